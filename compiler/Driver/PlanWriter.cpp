#include "compiler/Driver/PlanWriter.h"
#include "compiler/Driver/PredictSpeed.h"
#include "passes/Cost/ExpertShape.h"

#include "llvm/ADT/StringMap.h"

#include <algorithm>
#include <cmath>

namespace gcompile {

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
    plan.activations = request.activations;
    plan.activationScales = request.activationScales;
    if (expertsOf(model).experts > 0) {
      plan.experts = choice.expertSlots > 0 ? TablePlacement::Storage : TablePlacement::Memory;
      plan.expertSlots = choice.expertSlots;
    }
    plan.cacheScales = request.cacheScales;
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
      bool cached = isExpert(shape) && choice.expertSlots > 0;
      int64_t resident = cached ? expertPartBytes(model, shape, tensor.format) *
                                      expertSlotShare(model, choice.expertSlots, shape.layer)
                                : residentBytes(model, shape, tensor.format);
      if (cached)
        tensor.placement = std::string(name(TablePlacement::Storage));
      (cached ? plan.memory.tables : plan.memory.weights) += resident;
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
    QualityBasis basis = QualityBasis::Prior;
    KlLink link;
    if (request.keptQuality) {
      basis = request.keptQuality->klBasis;
      link = *request.keptQuality->klLink;
      plan.predicted.klFromFile = true;
      plan.predicted.staticCost = request.keptQuality->staticCost;
    } else {
      const QualityModel known = request.quality ? *request.quality : QualityModel(model);
      basis = known.basis;
      link = known.estimateLink();
      plan.predicted.staticCost = request.staticCost;
    }
    QualityEstimate quality = estimateKl(link, basis, damage, plan.predicted.fixedDamage());
    plan.predicted.klLink = link;
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

double relativeGap(double objective, double bound) {
  double gap = (objective - bound) / std::max(std::abs(objective), 1e-12);
  return gap < 1e-9 ? 0 : gap;
}

} // namespace gcompile
