#include "compiler/Driver/PlanModel.h"

#include "compiler/Driver/EncoderPhases.h"
#include "compiler/Driver/PlanWriter.h"
#include "compiler/Driver/PredictEngines.h"
#include "compiler/Driver/PredictSpeed.h"
#include "compiler/Plan/PlanReport.h"
#include "passes/Cost/ExpertShape.h"
#include "passes/Planning/Solvers.h"

#include "llvm/ADT/StringExtras.h"

#include <algorithm>
#include <chrono>
#include <cmath>

namespace gcompile {

// Rows of the storage row cache that cost little and keep a prompt's rows (docs: one row a token).
constexpr int64_t comfortableCacheRows = 1024;

std::vector<ProgramChoice> programChoices(const PlanRequest &request, int64_t context) {
  ProgramShape shape;
  shape.context = context;
  shape.threads = int64_t(request.profile->value("threads", 4));
  bool tiny = request.model->hidden <= 512;
  std::vector<ProgramChoice> choices;
  auto add = [&](int64_t chunk, int64_t rows) {
    shape.prefillChunk = chunk;
    shape.scoreChunk = std::min<int64_t>(16, chunk);
    rows = std::min(std::max(rows, chunk),
                    std::max<int64_t>(request.model->perLayerVocabulary, chunk));
    choices.push_back({shape, request.model->perLayerInput > 0 ? rows : 0});
  };
  if (!tiny) {
    add(128, comfortableCacheRows);
    add(128, 128);
  }
  add(64, tiny ? 256 : 64);
  if (tiny)
    add(64, 64);
  add(16, 16);
  return choices;
}

std::vector<ProgramChoice> storageChoices(const PlanRequest &request, int64_t context) {
  if (expertsOf(*request.model).experts == 0 || !canFetchExperts(*request.profile))
    return {};
  std::vector<ProgramChoice> choices = programChoices(request, context);
  // Few rows need few experts at once: for budgets that nothing else fits.
  ProgramChoice smallest = choices.back();
  smallest.shape.prefillChunk = smallest.shape.scoreChunk = 4;
  choices.push_back(smallest);
  for (ProgramChoice &choice : choices)
    choice.expertSlots = fewestExpertSlots(*request.model, choice.shape);
  return choices;
}

int64_t comfortableBudget(const PricedModel &priced) { return priced.fixed.activations * 16; }

int64_t budgetOf(const PlanRequest &request) {
  if (request.options->budgetBytes)
    return *request.options->budgetBytes;
  return int64_t(request.profile->value("process_budget_bytes", double(int64_t(4) << 30)));
}

llvm::Expected<int64_t> contextOf(const PlanRequest &request) {
  int64_t context = request.options->context;
  if (!request.options->contextGiven)
    return std::min(context, request.maxPositions);
  if (context > request.maxPositions)
    return llvm::createStringError("--context " + llvm::Twine(context) + ": the model has " +
                                   llvm::Twine(request.maxPositions) + " positions");
  return context;
}

// What gemma-plan decides about these priced options.
static llvm::Expected<PlanningModule::Decision>
decide(const PlanRequest &request, const ProgramChoice &choice, const PricedModel &priced) {
  return request.module->decide(priced.table, request.solver, choice.shape.context,
                                std::max(choice.shape.prefillChunk, choice.shape.scoreChunk),
                                choice.tableCacheRows);
}

// The choices that --experts leaves: with all experts in memory, and with experts on storage.
static std::vector<std::vector<ProgramChoice>> choicesOf(const PlanRequest &request,
                                                         int64_t context) {
  std::vector<std::vector<ProgramChoice>> choices;
  std::vector<ProgramChoice> storage = storageChoices(request, context);
  if (request.options->experts != TableChoice::Storage || storage.empty())
    choices.push_back(programChoices(request, context));
  if (request.options->experts != TableChoice::Memory && !storage.empty())
    choices.push_back(std::move(storage));
  return choices;
}

// The least budget that any program choice fits, at this context and these options.
static llvm::Expected<int64_t> smallestNeed(const PlanRequest &request, int64_t context,
                                            Plan *leastPlan) {
  int64_t least = std::numeric_limits<int64_t>::max();
  for (const std::vector<ProgramChoice> &choices : choicesOf(request, context)) {
    const ProgramChoice &choice = choices.back();
    llvm::Expected<PricedModel> priced = buildOptionTable(request, choice, 0);
    if (!priced)
      return priced.takeError();
    auto decision = decide(request, choice, *priced);
    if (!decision)
      return decision.takeError();
    const SolveResult &result = decision->result;
    Plan plan = writePlan(request, choice, priced->fixed, decision->problem, result.smallest);
    int64_t need = std::max(result.smallestBytes, addEncoderPhases(*request.model, plan));
    if (need >= least)
      continue;
    least = need;
    if (leastPlan)
      *leastPlan = std::move(plan);
  }
  return least;
}

static std::string roundedUpBudget(int64_t bytes) {
  int64_t unit = bytes >= 10000000 ? 1000000 : 100000;
  int64_t rounded = (bytes + unit - 1) / unit * unit;
  if (rounded >= 1000000000 && rounded % 10000000 == 0)
    return llvm::formatv("{0}GB", double(rounded) / 1e9).str();
  return rounded % 1000000 ? llvm::formatv("{0}KB", rounded / 1000).str()
                           : llvm::formatv("{0}MB", rounded / 1000000).str();
}

// What to change so that something fits: freed formats, tables on storage, a shorter context, else
// a larger budget.
static llvm::Expected<std::string> suggest(const PlanRequest &request, int64_t context,
                                           int64_t budget, int64_t smallest) {
  auto fits = [&](const CompilerInvocation &options, int64_t tryContext) -> llvm::Expected<bool> {
    PlanRequest changed = request;
    changed.options = &options;
    auto need = smallestNeed(changed, tryContext, nullptr);
    if (!need)
      return need.takeError();
    return *need <= budget;
  };
  std::string budgetAdvice = "--budget " + roundedUpBudget(smallest);
  CompilerInvocation options = *request.options;
  if (options.tables == TableChoice::Memory) {
    options.tables = TableChoice::Storage;
    llvm::Expected<bool> ok = fits(options, context);
    if (!ok)
      return ok.takeError();
    if (*ok)
      return "--tables storage or " + budgetAdvice;
  }
  if (options.experts == TableChoice::Memory) {
    options.experts = TableChoice::Storage;
    llvm::Expected<bool> ok = fits(options, context);
    if (!ok)
      return ok.takeError();
    if (*ok)
      return "--experts storage or " + budgetAdvice;
  }
  for (int64_t shorter = context / 2; shorter >= 256; shorter /= 2) {
    llvm::Expected<bool> ok = fits(*request.options, shorter);
    if (!ok)
      return ok.takeError();
    if (*ok)
      return "--context " + std::to_string(shorter) + " or " + budgetAdvice;
  }
  if (!options.weightFormats.empty() || options.localKv || options.globalKv) {
    options = *request.options;
    options.weightFormats.clear();
    options.localKv = options.globalKv = std::nullopt;
    llvm::Expected<bool> ok = fits(options, context);
    if (!ok)
      return ok.takeError();
    if (*ok)
      return "leave out --weight-format and --kv-format, or " + budgetAdvice;
  }
  return budgetAdvice;
}

namespace {

// A plan for one choice of programs, and what it is worth beside plans of other placements.
struct Attempt {
  ProgramChoice choice;
  Plan plan;
  double score = std::numeric_limits<double>::infinity();
};

// Tries choices within one budget.
class Attempts {
public:
  Attempts(const PlanRequest &request, int64_t budget) : request(request), budget(budget) {}

  bool fitsButSlow = false; // something would fit but for --min-decode

  // No plan: nothing fits.
  llvm::Expected<std::optional<Attempt>> at(const ProgramChoice &choice,
                                            const PricedModel &priced) {
    auto decision = decide(request, choice, priced);
    if (!decision)
      return decision.takeError();
    const auto &[problem, result] = *decision;
    fitsButSlow |= !result.solution && result.smallestBytes <= budget;
    if (!result.solution)
      return std::nullopt;
    Attempt attempt{choice, writePlan(request, choice, priced.fixed, problem, *result.solution)};
    if (addEncoderPhases(*request.model, attempt.plan) > budget)
      return std::nullopt;
    // What formats cost in time is the objective's; only waiting for storage is weighed here.
    attempt.score =
        result.cost.objective +
        (priced.placementLossPerSecond - problem.lossPerSecond) *
            expertReadSecondsOf(attempt.plan, *request.model, pricingMachine(*request.profile));
    attempt.plan.optimality = {.objective = result.cost.objective,
                               .bound = result.bound,
                               .lossPerSecond = problem.lossPerSecond,
                               .lossPerStoredByte = problem.lossPerStoredByte,
                               .fixedSeconds = problem.fixedSeconds,
                               .fixedBytes = problem.fixedBytes,
                               .maxSeconds =
                                   std::isfinite(problem.maxSeconds) ? problem.maxSeconds : 0,
                               .gap = relativeGap(result.cost.objective, result.bound)};
    return attempt;
  }

  // The first of `choices` that is comfortable and fits; experts on storage with as many slots as
  // serve the model best.
  llvm::Expected<std::optional<Attempt>> first(const std::vector<ProgramChoice> &choices) {
    for (const ProgramChoice &choice : choices) {
      llvm::Expected<PricedModel> priced = buildOptionTable(request, choice, budget);
      if (!priced)
        return priced.takeError();
      if (&choice != &choices.back() && budget < comfortableBudget(*priced))
        continue;
      llvm::Expected<std::optional<Attempt>> attempt = at(choice, *priced);
      if (attempt && *attempt && choice.expertSlots > 0)
        attempt = withMoreSlots(std::move(**attempt));
      if (!attempt || *attempt)
        return attempt;
    }
    return std::nullopt;
  }

private:
  llvm::Expected<std::optional<Attempt>> atSlots(const Attempt &like, int64_t slots) {
    ProgramChoice choice = like.choice;
    choice.expertSlots = slots;
    llvm::Expected<PricedModel> priced = buildOptionTable(request, choice, budget);
    if (!priced)
      return priced.takeError();
    return at(choice, *priced);
  }

  // Rising slots until nothing fits; then what the best plan leaves of the budget.
  llvm::Expected<std::optional<Attempt>> withMoreSlots(Attempt best) {
    int64_t all = expertsInAll(*request.model), slots = best.choice.expertSlots;
    auto consider = [&](int64_t count) -> llvm::Expected<bool> {
      llvm::Expected<std::optional<Attempt>> attempt = atSlots(best, count);
      if (!attempt)
        return attempt.takeError();
      if (*attempt && (*attempt)->score < best.score)
        best = std::move(**attempt);
      return attempt->has_value();
    };
    while (slots < all) {
      slots = std::min(all, slots + std::max<int64_t>(slots / 4, 1));
      llvm::Expected<bool> fits = consider(slots);
      if (!fits)
        return fits.takeError();
      if (!*fits)
        break;
    }
    int64_t block = best.plan.memory.tables / best.choice.expertSlots;
    int64_t left = (budget - best.plan.memory.peak()) / (withPageTables(block) + 1);
    slots = std::min(all, best.choice.expertSlots + std::max<int64_t>(left, 0));
    if (slots > best.choice.expertSlots)
      if (llvm::Expected<bool> fits = consider(slots); !fits)
        return fits.takeError();
    return std::move(best);
  }

  const PlanRequest &request;
  int64_t budget;
};

} // namespace

static llvm::Expected<PlanOutcome> planAt(const PlanRequest &request, int64_t context,
                                          int64_t budget) {
  auto start = std::chrono::steady_clock::now();
  PlanOutcome outcome;
  outcome.budgetBytes = budget;
  Attempts attempts(request, budget);
  std::optional<Attempt> best;
  for (const std::vector<ProgramChoice> &choices : choicesOf(request, context)) {
    llvm::Expected<std::optional<Attempt>> attempt = attempts.first(choices);
    if (!attempt)
      return attempt.takeError();
    if (*attempt && (!best || (*attempt)->score < best->score))
      best = std::move(*attempt);
  }
  if (best) {
    outcome.plan = std::move(best->plan);
    predictEngines(*outcome.plan, *request.model, *request.profile);
    outcome.plan->solver =
        request.solver.empty() ? std::string(solverNames().front()) : request.solver;
    outcome.plan->seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return outcome;
  }
  Plan leastPlan;
  auto need = smallestNeed(request, context, &leastPlan);
  if (!need)
    return need.takeError();
  const MemoryAccount &least = leastPlan.memory;
  outcome.smallestBudgetBytes = *need;
  if (attempts.fitsButSlow) {
    outcome.suggestion = "a lower --min-decode";
    outcome.message = "no plan within " + humanBytes(budget) + " is predicted to decode " +
                      llvm::formatv("{0:f1}", request.options->minDecode).str() +
                      " tokens per second; try " + outcome.suggestion;
    return outcome;
  }
  llvm::Expected<std::string> suggestion = suggest(request, context, budget, *need);
  if (!suggestion)
    return suggestion.takeError();
  outcome.suggestion = *suggestion;
  outcome.message = "no plan fits " + humanBytes(budget) + ": the smallest needs " +
                    humanBytes(*need) + " (weights " + humanBytes(least.weights) +
                    (least.tables ? ", tables " + humanBytes(least.tables) : "") + ", kv " +
                    humanBytes(least.kvCache) + ", activations " + humanBytes(least.activations) +
                    (least.encoders ? ", encoders " + humanBytes(least.encoders) : "") +
                    ", runtime " + humanBytes(least.runtime + least.code) + "); try " +
                    outcome.suggestion;
  return outcome;
}

llvm::Expected<PlanOutcome> planModel(const PlanRequest &request) {
  int64_t budget = budgetOf(request);
  llvm::Expected<int64_t> context = contextOf(request);
  if (!context)
    return context.takeError();
  if (llvm::Error error = checkModalities(*request.model, request.options->modalities,
                                          *context > 0 ? *context : request.maxPositions))
    return error;
  if (request.options->experts == TableChoice::Storage && expertsOf(*request.model).experts > 0 &&
      !canFetchExperts(*request.profile))
    return llvm::createStringError(
        "--experts storage: programs for '" + request.profile->name + "' (" +
        request.profile->architecture +
        ") cannot ask for experts while they run; leave it out, or choose a target with a CPU");
  if (*context > 0)
    return planAt(request, *context, budget);

  // Auto: the longest context whose caches take at most a fifth of the budget.
  for (int64_t length = int64_t(1) << 24; length >= 512; length /= 2) {
    if (length > request.maxPositions)
      continue;
    llvm::Expected<PlanOutcome> outcome = planAt(request, length, budget);
    if (!outcome || (outcome->plan && outcome->plan->memory.kvCache <= budget / 5))
      return outcome;
  }
  return planAt(request, std::min<int64_t>(512, request.maxPositions), budget);
}

} // namespace gcompile
