// A plan from a file, edited or not: its decisions are taken, everything else is counted anew.
#include "compiler/Driver/EncoderPhases.h"
#include "compiler/Driver/PlanWriter.h"
#include "compiler/Driver/PlannedScales.h"
#include "compiler/Driver/PredictEngines.h"
#include "compiler/Plan/PlanReport.h"
#include "passes/Cost/ExpertShape.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringMap.h"

#include <algorithm>

namespace gcompile {

static size_t optionIndex(const PlanItem &item, llvm::StringRef format) {
  for (size_t i = 0; i < item.options.size(); ++i)
    if (item.options[i].format == format)
      return i;
  return item.options.size();
}

static void keepExclusions(std::vector<PricedOption> &options,
                           const std::vector<PricedOption> &decided) {
  for (PricedOption &option : options)
    for (const PricedOption &other : decided)
      if (other.format == option.format)
        option.allowed = option.allowed && other.allowed;
}

// The predictions of a plan file, where what was measured for it is better than what this run
// knows. The cost of static scales holds for the very scales that it was measured with.
static std::optional<Predictions> keptQuality(const CompilerInvocation &options,
                                              const Plan &edited) {
  if (!edited.predicted.klLink || !options.calibration.empty() || options.sensitivity)
    return std::nullopt;
  Predictions kept = edited.predicted;
  if (kept.staticCost && kept.staticCost->scales != scalesOf(edited).hash())
    kept.staticCost.reset();
  bool isMeasured = kept.staticCost || kept.klBasis == QualityBasis::Calibration ||
                    kept.klBasis == QualityBasis::Sensitivities;
  return isMeasured ? std::optional(std::move(kept)) : std::nullopt;
}

// Puts the losses of a plan's options in the place of the table's. The answer names an option that
// the plan does not price; empty: all were found.
static std::string keepLosses(const Plan &edited, OptionTable &table) {
  llvm::StringMap<const std::vector<PricedOption> *> kept;
  for (const PlannedTensor &tensor : edited.tensors)
    kept[tensor.name] = &tensor.options;
  for (const PlannedKv &kv : edited.kvCaches)
    kept[kv.layerType == "global" ? globalKvItem : localKvItem] = &kv.options;
  for (auto &[item, options] : table.options)
    for (PlanOption &option : options) {
      const std::vector<PricedOption> *from = kept.lookup(item);
      auto same = [&](const PricedOption &other) { return other.format == option.format; };
      if (!from)
        return "'" + item + "'";
      auto found = llvm::find_if(*from, same);
      if (found == from->end())
        return "'" + option.format + "' of '" + item + "'";
      option.loss = found->loss;
    }
  return "";
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
  if (edited.experts != TablePlacement::None && expertsOf(model).experts == 0)
    return refuse(otherModel + "it places experts, which '" + model.name + "' has none of");
  TableChoice experts = request.options->experts;
  if (experts != TableChoice::Auto && expertsOf(model).experts > 0 &&
      (experts == TableChoice::Storage) != edited.expertsOnStorage())
    return refuse(std::string("its experts lie ") +
                  (edited.expertsOnStorage() ? "on storage" : "in memory") +
                  ", --experts says something else");
  if (edited.expertsOnStorage()) {
    int64_t fewest = fewestExpertSlots(model, choice.shape), all = expertsInAll(model);
    if (!canFetchExperts(*request.profile))
      return refuse("its experts lie on storage, which programs for '" + edited.target +
                    "' cannot ask for");
    if (edited.expertSlots < fewest || edited.expertSlots > all)
      return refuse("expert_slots is " + llvm::Twine(edited.expertSlots) + ", expected " +
                    llvm::Twine(fewest) + " (what a chunk may need of one layer) to " +
                    llvm::Twine(all));
    choice.expertSlots = edited.expertSlots;
  }
  int64_t budget = request.options->budgetBytes.value_or(edited.budgetBytes);
  CompilerInvocation options = *request.options;
  options.objective = edited.objective;
  options.modalities = edited.modalities;
  PlanRequest changed = request;
  changed.options = &options;
  changed.replayed = &edited;
  if (!edited.activations && request.activations == Activations::Static &&
      request.activationScales.empty())
    return refuse("it holds no scales of activations, --activations says static");
  if (edited.activations) {
    changed.activations = *edited.activations;
    changed.activationScales = edited.activationScales;
    changed.cacheScales = edited.cacheScales;
    // Prices are those of the plan's activations, whatever the checkpoint states.
    if (request.quality && edited.activations == Activations::Dynamic) {
      auto dynamic = std::make_shared<QualityModel>(*request.quality);
      dynamic->staticInputs.clear();
      changed.quality = std::move(dynamic);
    }
    if (options.activations && options.activations != edited.activations)
      return refuse("its activations are " + std::string(name(*edited.activations)) +
                    ", --activations says " + std::string(name(*options.activations)));
    if (options.kvScales &&
        (options.kvScales == Activations::Static) != !edited.cacheScales.empty())
      return refuse("it holds " + std::string(edited.cacheScales.empty() ? "no" : "static") +
                    " scales of caches, --kv-scales says " + std::string(name(*options.kvScales)));
    if (std::string wrong = strayScales(model, edited); !wrong.empty())
      return refuse(wrong);
  }
  llvm::Expected<PricedModel> priced = buildOptionTable(changed, choice, budget);
  if (!priced)
    return priced.takeError();
  // What was measured when the plan was made holds where nothing is measured now.
  std::optional<Predictions> kept = keptQuality(*request.options, edited);
  if (kept) {
    OptionTable table = priced->table;
    std::string missing = keepLosses(edited, table);
    // Errors of weights are measured again as well as they were.
    if (!missing.empty() && kept->klBasis != QualityBasis::Weights)
      return refuse("its expected quality was measured, but it prices no " + missing +
                    "; give --calibration again");
    if (missing.empty()) {
      changed.keptQuality = &*kept;
      priced->table = std::move(table);
    }
  }
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

  Plan plan = writePlan(changed, choice, priced->fixed, *problem, solution);
  if (int64_t encoding = addEncoderPhases(model, plan); encoding > budget)
    return refuse("encoding an image or sound needs " + humanBytes(encoding) + ", the budget is " +
                  humanBytes(budget));
  predictEngines(plan, model, *request.profile);
  // Who decided, and how good that was, stays as the file says; the objective is counted anew.
  plan.solver = edited.solver;
  double objective = evaluate(*problem, solution).objective;
  plan.optimality = edited.optimality;
  plan.optimality.fixedBytes = problem->fixedBytes;
  plan.optimality.objective = objective;
  plan.optimality.gap = relativeGap(objective, edited.optimality.bound);
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
