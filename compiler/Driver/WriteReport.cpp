#include "compiler/Driver/WriteReport.h"

#include "compiler/Plan/PlanPrices.h"
#include "compiler/Report/HtmlReport.h"
#include "passes/Planning/ParetoFront.h"

namespace gcompile {

// Enough for a smooth line.
constexpr size_t frontPoints = 256;

// Of the plan's own prices, so that a plan from a file has one too. A plan that was edited and not
// replayed has none.
static std::vector<ReportFrontPoint> frontOf(const Plan &plan) {
  llvm::Expected<PricedPlan> priced = pricedPlan(plan);
  if (!priced) {
    llvm::consumeError(priced.takeError());
    return {};
  }
  // Losses add up; the plan's link says which expected KL a sum stands for. Files of before it was
  // kept have the plan's own sum alone.
  double loss = evaluate(priced->problem, priced->solution).loss;
  const Predictions &known = plan.predicted;
  double klPerLoss = loss > 0 ? known.kl / loss : 1;
  auto klOf = [&](double sum) {
    return known.klLink ? known.klLink->kl(sum + known.fixedDamage()) : sum * klPerLoss;
  };
  std::vector<ReportFrontPoint> points;
  // The objective also weighs time and storage; a line of quality keeps what improves quality.
  for (const FrontPoint &point : solveFront(priced->problem, {.points = frontPoints})) {
    double kl = klOf(point.cost.loss);
    if (points.empty() || kl < points.back().kl)
      points.push_back({point.cost.bytes, kl, point.cost.seconds});
  }
  return points;
}

llvm::Error writeReport(llvm::StringRef path, const ReportFacts &facts) {
  ReportInput input;
  input.plan = facts.plan;
  input.profile = facts.profile;
  input.command = facts.command;
  input.notes = facts.notes;
  input.front = frontOf(*facts.plan);
  input.exactSizes = facts.exactSizes;
  if (facts.arena)
    for (const ProgramArena &program : *facts.arena)
      input.arena.push_back({program.program, program.arenaBytes, program.liveBytes});
  return writeOutput(path, htmlReport(input));
}

} // namespace gcompile
