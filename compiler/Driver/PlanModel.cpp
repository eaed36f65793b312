#include "compiler/Driver/PlanModel.h"

#include "compiler/Driver/EncoderPhases.h"
#include "compiler/Driver/OptionTable.h"
#include "compiler/Driver/PredictSpeed.h"
#include "compiler/Plan/PlanReport.h"
#include "passes/Cost/ExpertShape.h"
#include "passes/Cost/QualityModel.h"
#include "passes/Planning/Solvers.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSet.h"

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

int64_t comfortableBudget(const PricedModel &priced) { return priced.fixed.activations * 16; }

static size_t optionIndex(const PlanItem &item, llvm::StringRef format) {
  for (size_t i = 0; i < item.options.size(); ++i)
    if (item.options[i].format == format)
      return i;
  return item.options.size();
}

static std::vector<PricedOption> priced(const PlanItem &item) {
  std::vector<PricedOption> out;
  for (const PlanOption &option : item.options)
    out.push_back({option.format, option.bytes, option.loss, option.seconds, option.storedBytes,
                   option.supported});
  return out;
}

static bool isFixed(const PlanItem &item) {
  return llvm::count_if(item.options, [](const PlanOption &o) { return o.supported; }) < 2;
}

namespace {

// Turns a solution into the plan, with account and predictions.
class PlanWriter {
public:
  PlanWriter(const PlanRequest &request, const ProgramChoice &choice, const MemoryAccount &fixed,
             const PlanProblem &problem, const PlanSolution &solution)
      : request(request), model(*request.model), choice(choice), fixed(fixed), problem(problem),
        solution(solution) {
    for (size_t i = 0; i < problem.items.size(); ++i)
      itemOf[problem.items[i].name] = i;
  }

  Plan write() {
    plan.model = model.name;
    plan.target = request.profile->name;
    plan.context = choice.shape.context;
    plan.modalities = request.options->modalities;
    plan.objective = request.options->objective;
    plan.budgetBytes = problem.budgetBytes;
    plan.prefillChunk = choice.shape.prefillChunk;
    plan.scoreChunk = choice.shape.scoreChunk;
    plan.localCapacity = localCapacity(model, choice.shape);
    plan.globalCapacity = globalCapacity(choice.shape);
    plan.memory = fixed;
    for (const TensorShape &tensor : model.tensors)
      writeTensor(tensor, find(tensor.name));
    writeKv(find(localKvItem), KvScope::Local);
    writeKv(find(globalKvItem), KvScope::Global);
    for (const Coupling &coupling : problem.couplings) {
      PlannedCoupling planned{coupling.reason, {}};
      for (size_t item : coupling.items)
        planned.items.push_back(problem.items[item].name);
      plan.couplings.push_back(std::move(planned));
    }
    predict();
    return std::move(plan);
  }

private:
  // −1: no choice (vectors), or no such cache.
  int64_t find(llvm::StringRef item) const {
    auto found = itemOf.find(item);
    return found == itemOf.end() ? -1 : int64_t(found->second);
  }
  // Its bytes are those of the tensor or cache and of the page tables that map it; the latter
  // belong to `runtime`.
  const PlanOption &chosen(int64_t item) const {
    return problem.items[item].options[solution.choice[item]];
  }

  void writeTensor(const TensorShape &shape, int64_t item) {
    PlannedTensor tensor;
    tensor.name = shape.name;
    tensor.role = shape.role;
    tensor.layer = shape.layer;
    tensor.n = shape.n;
    tensor.k = shape.k;
    if (item < 0) {
      tensor.format = WeightFormat::F32;
      tensor.bytes = shape.n * shape.k * 4;
      tensor.fixed = true;
    } else if (shape.role == "per_layer_table") {
      auto [placement, format] = *parseTableOption(chosen(item).format);
      plan.tables = placement;
      plan.tableCacheRows = choice.tableCacheRows; // also in memory: an edit may move the table
      tensor.format = format;
      tensor.placement = std::string(name(placement));
      tensor.bytes = tableRowBytes(model, format) * model.perLayerVocabulary;
      int64_t resident = placement == TablePlacement::Storage
                             ? tableCacheBytes(model, format, choice.tableCacheRows)
                             : tableMemoryBytes(model, format);
      plan.memory.tables += resident;
      plan.memory.runtime += chosen(item).bytes - resident;
    } else {
      tensor.format = *parseWeightFormat(chosen(item).format);
      tensor.bytes = packedBytes(model, shape, tensor.format);
      int64_t resident = residentBytes(model, shape, tensor.format);
      plan.memory.weights += resident;
      plan.memory.runtime += chosen(item).bytes - resident;
    }
    if (item >= 0) {
      tensor.fixed = isFixed(problem.items[item]);
      tensor.options = priced(problem.items[item]);
    }
    plan.tensorFormats[tensor.name] = tensor.format;
    plan.tensors.push_back(std::move(tensor));
  }

  void writeKv(int64_t item, KvScope scope) {
    if (item < 0)
      return;
    KvFormat format = *parseKvFormat(chosen(item).format);
    KvBytes bytes = kvBytes(model, choice.shape, scope, format, format);
    bool global = scope == KvScope::Global;
    PlannedKv kv;
    kv.layerType = global ? "global" : "local";
    kv.k = kv.v = format;
    kv.derivedKeys = bytes.derivedLayers > 0;
    kv.layers = bytes.layers;
    kv.heads = bytes.heads;
    kv.headDim = bytes.headDim;
    kv.capacity = bytes.capacity;
    kv.bytes = bytes.total();
    kv.fixed = isFixed(problem.items[item]);
    kv.options = priced(problem.items[item]);
    plan.memory.runtime += chosen(item).bytes - bytes.total();
    plan.memory.kvCache += bytes.window;
    plan.memory.activations += bytes.surplus;
    (global ? plan.globalK : plan.localK) = format;
    (global ? plan.globalV : plan.localV) = format;
    plan.kvCaches.push_back(std::move(kv));
  }

  void predict() {
    MachineModel machine = machineModel(*request.profile);
    plan.predicted.measured = request.profile->name == "host";
    predictSpeed(plan, model, machine);
    double damage = evaluate(problem, solution).loss;
    QualityEstimate quality =
        request.quality ? request.quality->estimate(damage) : QualityModel(model).estimate(damage);
    plan.predicted.kl = quality.kl;
    plan.predicted.klLow = quality.low;
    plan.predicted.klHigh = quality.high;
    plan.predicted.klBasis = quality.basis;
  }

  const PlanRequest &request;
  const ModelShape &model;
  const ProgramChoice &choice;
  const MemoryAccount &fixed;
  const PlanProblem &problem;
  const PlanSolution &solution;
  llvm::StringMap<size_t> itemOf;
  Plan plan;
};

} // namespace

Plan writePlan(const PlanRequest &request, const ProgramChoice &choice, const MemoryAccount &fixed,
               const PlanProblem &problem, const PlanSolution &solution) {
  return PlanWriter(request, choice, fixed, problem, solution).write();
}

static double gapOf(double objective, double bound) {
  double gap = (objective - bound) / std::max(std::abs(objective), 1e-12);
  return gap < 1e-9 ? 0 : gap;
}

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

// The least budget that any program choice fits, at this context and these options.
static llvm::Expected<std::pair<int64_t, PlanSolution>>
smallestNeed(const PlanRequest &request, int64_t context, Plan *leastPlan) {
  ProgramChoice least = programChoices(request, context).back();
  llvm::Expected<PricedModel> priced = buildOptionTable(request, least, 0);
  if (!priced)
    return priced.takeError();
  auto decision = decide(request, least, *priced);
  if (!decision)
    return decision.takeError();
  const SolveResult &result = decision->result;
  Plan plan = PlanWriter(request, least, priced->fixed, decision->problem, result.smallest).write();
  int64_t encoding = addEncoderPhases(*request.model, plan);
  if (leastPlan)
    *leastPlan = std::move(plan);
  return std::make_pair(std::max(result.smallestBytes, encoding), result.smallest);
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
    return need->first <= budget;
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

static llvm::Expected<PlanOutcome> planAt(const PlanRequest &request, int64_t context,
                                          int64_t budget) {
  auto start = std::chrono::steady_clock::now();
  PlanOutcome outcome;
  outcome.budgetBytes = budget;
  std::vector<ProgramChoice> choices = programChoices(request, context);
  bool fitsButSlow = false;
  for (const ProgramChoice &choice : choices) {
    llvm::Expected<PricedModel> priced = buildOptionTable(request, choice, budget);
    if (!priced)
      return priced.takeError();
    if (&choice != &choices.back() && budget < comfortableBudget(*priced))
      continue;
    auto decision = decide(request, choice, *priced);
    if (!decision)
      return decision.takeError();
    const auto &[problem, result] = *decision;
    fitsButSlow |= !result.solution && result.smallestBytes <= budget;
    if (!result.solution)
      continue;
    Plan plan = PlanWriter(request, choice, priced->fixed, problem, *result.solution).write();
    if (addEncoderPhases(*request.model, plan) > budget)
      continue;
    outcome.plan = std::move(plan);
    outcome.plan->solver =
        request.solver.empty() ? std::string(solverNames().front()) : request.solver;
    outcome.plan->optimality = {.objective = result.cost.objective,
                                .bound = result.bound,
                                .lossPerSecond = problem.lossPerSecond,
                                .lossPerStoredByte = problem.lossPerStoredByte,
                                .fixedSeconds = problem.fixedSeconds,
                                .fixedBytes = problem.fixedBytes,
                                .maxSeconds =
                                    std::isfinite(problem.maxSeconds) ? problem.maxSeconds : 0,
                                .gap = gapOf(result.cost.objective, result.bound)};
    outcome.plan->seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return outcome;
  }
  Plan leastPlan;
  auto need = smallestNeed(request, context, &leastPlan);
  if (!need)
    return need.takeError();
  const MemoryAccount &least = leastPlan.memory;
  outcome.smallestBudgetBytes = need->first;
  if (fitsButSlow) {
    outcome.suggestion = "a lower --min-decode";
    outcome.message = "no plan within " + humanBytes(budget) + " is predicted to decode " +
                      llvm::formatv("{0:f1}", request.options->minDecode).str() +
                      " tokens per second; try " + outcome.suggestion;
    return outcome;
  }
  llvm::Expected<std::string> suggestion = suggest(request, context, budget, need->first);
  if (!suggestion)
    return suggestion.takeError();
  outcome.suggestion = *suggestion;
  outcome.message =
      "no plan fits " + humanBytes(budget) + ": the smallest needs " + humanBytes(need->first) +
      " (weights " + humanBytes(least.weights) + ", tables " + humanBytes(least.tables) + ", kv " +
      humanBytes(least.kvCache) + ", activations " + humanBytes(least.activations) +
      (least.encoders ? ", encoders " + humanBytes(least.encoders) : "") + ", runtime " +
      humanBytes(least.runtime + least.code) + "); try " + outcome.suggestion;
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

static void keepExclusions(std::vector<PricedOption> &options,
                           const std::vector<PricedOption> &decided) {
  for (PricedOption &option : options)
    for (const PricedOption &other : decided)
      if (other.format == option.format)
        option.allowed = option.allowed && other.allowed;
}

llvm::Expected<Plan> replayPlan(const PlanRequest &request, const Plan &edited) {
  auto refuse = [&](const llvm::Twine &why) {
    return llvm::createStringError("the plan cannot be replayed: " + why);
  };
  const ModelShape &model = *request.model;
  if (edited.target != request.profile->name)
    return refuse("it is for target '" + edited.target + "', not '" + request.profile->name + "'");
  if (edited.context > request.maxPositions)
    return refuse("its context is " + llvm::Twine(edited.context) + ", the model has " +
                  llvm::Twine(request.maxPositions) + " positions");
  if (request.options->contextGiven && request.options->context > 0 &&
      request.options->context != edited.context)
    return refuse("its context is " + llvm::Twine(edited.context) + ", --context says " +
                  llvm::Twine(request.options->context));
  if (request.options->wasGiven("--objective") && request.options->objective != edited.objective)
    return refuse("its objective is " + std::string(name(edited.objective)) +
                  ", --objective says " + std::string(name(request.options->objective)));
  if (request.options->wasGiven("--modalities") && request.options->modalities != edited.modalities)
    return refuse("its modalities are " + llvm::join(edited.modalities, ",") +
                  ", --modalities says " + llvm::join(request.options->modalities, ","));
  // Copies of a model may lie in folders of other names, so a name alone is no reason.
  std::string otherModel = edited.model == model.name ? ""
                                                      : "it is for model '" + edited.model +
                                                            "', not '" + model.name + "': ";
  if (llvm::Error error = checkModalities(model, edited.modalities, edited.context))
    return error;
  ProgramChoice choice;
  choice.shape = {edited.context, edited.prefillChunk, edited.scoreChunk,
                  int64_t(request.profile->value("threads", 4))};
  choice.tableCacheRows = edited.tableCacheRows;
  if (edited.tables == TablePlacement::Storage &&
      edited.tableCacheRows < std::max(edited.prefillChunk, edited.scoreChunk))
    return refuse("table_cache_rows is " + llvm::Twine(edited.tableCacheRows) +
                  ", less than a chunk");
  int64_t budget = request.options->budgetBytes.value_or(edited.budgetBytes);
  CompilerInvocation options = *request.options;
  options.objective = edited.objective;
  options.modalities = edited.modalities;
  PlanRequest changed = request;
  changed.options = &options;
  llvm::Expected<PricedModel> priced = buildOptionTable(changed, choice, budget);
  if (!priced)
    return priced.takeError();
  llvm::Expected<PlanProblem> problem = request.module->problem(priced->table);
  if (!problem)
    return problem.takeError();
  llvm::StringMap<size_t> itemOf;
  for (size_t i = 0; i < problem->items.size(); ++i)
    itemOf[problem->items[i].name] = i;

  llvm::StringMap<const PlannedTensor *> byName;
  for (const PlannedTensor &tensor : edited.tensors)
    byName[tensor.name] = &tensor;
  PlanSolution solution{std::vector<size_t>(problem->items.size(), 0)};
  auto choose = [&](size_t item, const std::string &format) -> llvm::Error {
    const PlanItem &planItem = problem->items[item];
    solution.choice[item] = optionIndex(planItem, format);
    if (solution.choice[item] == planItem.options.size())
      return refuse("'" + planItem.name + "' takes '" + format + "', which it cannot");
    if (!planItem.options[solution.choice[item]].supported)
      return refuse("'" + planItem.name + "' takes '" + format +
                    "', but --weight-format, --kv-format or --tables fix something else");
    return llvm::Error::success();
  };
  for (size_t i = 0; i < model.tensors.size(); ++i) {
    const TensorShape &tensor = model.tensors[i];
    auto found = byName.find(tensor.name);
    if (found == byName.end())
      return refuse(otherModel + "it has no tensor '" + tensor.name + "', which the model needs");
    const PlannedTensor &wanted = *found->second;
    byName.erase(found);
    if (wanted.n != tensor.n || wanted.k != tensor.k)
      return refuse(otherModel + "'" + tensor.name + "' has shape " + llvm::Twine(wanted.n) + "x" +
                    llvm::Twine(wanted.k) + ", the model's has " + llvm::Twine(tensor.n) + "x" +
                    llvm::Twine(tensor.k));
    std::string format(name(wanted.format));
    auto item = itemOf.find(tensor.name);
    if (item == itemOf.end()) {
      if (wanted.format != WeightFormat::F32)
        return refuse("'" + tensor.name + "' takes '" + format + "', but vectors stay f32");
      continue;
    }
    if (tensor.role == "per_layer_table")
      format = tableOptionName(edited.tables, wanted.format);
    if (llvm::Error error = choose(item->second, format))
      return error;
  }
  if (!byName.empty())
    return refuse(otherModel + "it has a tensor '" + byName.begin()->first() +
                  "', which the model has not");
  for (auto [cache, k, v] : {std::tuple(localKvItem, edited.localK, edited.localV),
                             std::tuple(globalKvItem, edited.globalK, edited.globalV)}) {
    auto item = itemOf.find(cache);
    if (item == itemOf.end())
      continue;
    if (k != v)
      return refuse("k is " + std::string(name(k)) + " and v " + std::string(name(v)) +
                    "; caches take one format for both now");
    if (llvm::Error error = choose(item->second, std::string(name(k))))
      return error;
  }
  if (std::string why = verify(*problem, solution); !why.empty())
    return refuse(why);

  Plan plan = PlanWriter(changed, choice, priced->fixed, *problem, solution).write();
  if (int64_t encoding = addEncoderPhases(model, plan); encoding > budget)
    return refuse("encoding an image or sound needs " + humanBytes(encoding) + ", the budget is " +
                  humanBytes(budget));
  // Who decided, and how good that was, stays as the file says; the objective is counted anew.
  plan.solver = edited.solver;
  double objective = evaluate(*problem, solution).objective;
  plan.optimality = edited.optimality;
  plan.optimality.fixedBytes = problem->fixedBytes;
  plan.optimality.objective = objective;
  plan.optimality.gap = gapOf(objective, edited.optimality.bound);
  // So do the reasons why an item had no choice, which the flags of this run need not repeat.
  llvm::StringMap<const PlannedTensor *> decided;
  for (const PlannedTensor &tensor : edited.tensors)
    decided[tensor.name] = &tensor;
  for (PlannedTensor &tensor : plan.tensors)
    if (const PlannedTensor *other = decided.lookup(tensor.name)) {
      tensor.fixed = other->fixed;
      keepExclusions(tensor.options, other->options);
    }
  for (PlannedKv &kv : plan.kvCaches)
    for (const PlannedKv &other : edited.kvCaches)
      if (other.layerType == kv.layerType) {
        // The other way round is a plan of before keys were derived.
        if (other.derivedKeys && !kv.derivedKeys)
          return refuse("k of the " + kv.layerType +
                        " caches is 'derived', but this model's keys are not its values");
        kv.fixed = other.fixed;
        keepExclusions(kv.options, other.options);
      }
  return plan;
}

} // namespace gcompile
