#include "compiler/Driver/PlanFront.h"

#include "compiler/Driver/EncoderPhases.h"
#include "compiler/Driver/PlanWriter.h"
#include "compiler/Driver/PlanningModule.h"
#include "passes/Planning/ParetoFront.h"

#include <algorithm>
#include <cmath>

namespace gcompile {
namespace {

// One choice of chunks and caches, and the budgets for which planning takes it.
struct Stretch {
  ProgramChoice choice;
  PricedModel priced;
  PlanProblem problem;
  int64_t from = 0, to = 0;
};

FrontPlan pointOf(const Plan &plan, const FrontPoint &point) {
  FrontPlan out;
  out.peakBytes = plan.memory.peak();
  out.kl = plan.predicted.kl;
  out.klLow = plan.predicted.klLow;
  out.klHigh = plan.predicted.klHigh;
  out.decodeTokensPerSecond = plan.predicted.decodeTokensPerSecond;
  out.prefillTokensPerSecond = plan.predicted.prefillTokensPerSecond;
  double objective = point.cost.objective;
  out.gap = std::max(0.0, (objective - point.bound) / std::max(std::abs(objective), 1e-12));
  out.prefillChunk = plan.prefillChunk;
  out.tables = plan.tables;
  double bytes = 0, values = 0;
  for (const PlannedTensor &tensor : plan.tensors)
    if (tensor.role != "norm" && tensor.role != "per_layer_table") {
      bytes += double(tensor.bytes);
      values += double(tensor.n) * double(tensor.k);
    }
  out.bitsPerWeight = values > 0 ? bytes * 8 / values : 0;
  return out;
}

// As planning goes through the choices: the first that is comfortable and fits.
llvm::Expected<std::vector<Stretch>> stretchesOf(const PlanRequest &request, int64_t context) {
  std::vector<Stretch> stretches;
  std::vector<ProgramChoice> choices = programChoices(request, context);
  int64_t upper = std::numeric_limits<int64_t>::max();
  for (const ProgramChoice &choice : choices) {
    llvm::Expected<PricedModel> priced = buildOptionTable(request, choice, 0);
    if (!priced)
      return priced.takeError();
    int64_t from = &choice == &choices.back() ? 0 : comfortableBudget(*priced);
    if (from >= upper)
      continue;
    llvm::Expected<PlanProblem> problem = request.module->problem(priced->table);
    if (!problem)
      return problem.takeError();
    stretches.push_back({choice, std::move(*priced), std::move(*problem), from, upper - 1});
    upper = from;
  }
  return stretches;
}

// Each better than all that need less in quality or in decoding speed.
std::vector<FrontPlan> undominated(std::vector<FrontPlan> plans) {
  std::sort(plans.begin(), plans.end(), [](const FrontPlan &a, const FrontPlan &b) {
    return a.peakBytes != b.peakBytes ? a.peakBytes < b.peakBytes : a.kl < b.kl;
  });
  std::vector<FrontPlan> kept;
  double bestKl = std::numeric_limits<double>::infinity(), bestSpeed = -1;
  for (const FrontPlan &plan : plans) {
    if (plan.kl >= bestKl && plan.decodeTokensPerSecond <= bestSpeed)
      continue;
    bestKl = std::min(bestKl, plan.kl);
    bestSpeed = std::max(bestSpeed, plan.decodeTokensPerSecond);
    kept.push_back(plan);
  }
  return kept;
}

} // namespace

llvm::Expected<PlanFront> planFront(const PlanRequest &request, size_t points) {
  llvm::Expected<int64_t> context = contextOf(request);
  if (!context)
    return context.takeError();
  if (llvm::Error error = checkModalities(*request.model, request.options->modalities,
                                          *context > 0 ? *context : request.maxPositions))
    return error;
  PlanFront front;
  front.context = *context;
  if (front.context == 0) {
    // What planning would choose for this budget.
    llvm::Expected<PlanOutcome> outcome = planModel(request);
    if (!outcome)
      return outcome.takeError();
    front.context = outcome->plan ? outcome->plan->context : 512;
  }
  llvm::Expected<std::vector<Stretch>> stretches = stretchesOf(request, front.context);
  if (!stretches)
    return stretches.takeError();

  std::vector<FrontPlan> all;
  auto solve = [&](const Stretch &stretch, int64_t from, int64_t to, size_t budgets) {
    FrontOptions options{.minBytes = from, .maxBytes = to, .points = budgets};
    for (const FrontPoint &point : solveFront(stretch.problem, options))
      all.push_back(pointOf(
          writePlan(request, stretch.choice, stretch.priced.fixed, stretch.problem, point.solution),
          point));
  };
  // A look at the whole range first: beyond some size bytes buy neither quality nor speed.
  const Stretch &main = stretches->front();
  solve(main, main.from, main.to, std::max<size_t>(points / 8, 4));
  front.points = undominated(all);
  if (!front.points.empty())
    solve(main, main.from, front.points.back().peakBytes, points);
  for (const Stretch &stretch : *stretches) {
    if (&stretch != &main)
      solve(stretch, stretch.from, stretch.to, std::max<size_t>(points / 8, 4));
    // The plan of the budget that was given is on the front, not only near it.
    int64_t budget = budgetOf(request);
    if (budget >= stretch.from && budget <= stretch.to)
      solve(stretch, stretch.from, budget, 2);
  }
  front.points = undominated(std::move(all));
  return front;
}

} // namespace gcompile
