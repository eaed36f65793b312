#include "compiler/Plan/PlanPrices.h"

#include "llvm/ADT/StringMap.h"
#include "llvm/Support/FormatVariadic.h"

#include <algorithm>
#include <cmath>

namespace gcompile {

std::string chosenOption(const Plan &plan, const PlannedTensor &tensor) {
  std::string format(name(tensor.format));
  return tensor.role == "per_layer_table" ? std::string(name(plan.tables)) + ":" + format : format;
}

namespace {

class Rebuild {
public:
  explicit Rebuild(const Plan &plan) : plan(plan) {}

  llvm::Expected<PricedPlan> run() {
    for (const PlannedTensor &tensor : plan.tensors)
      if (!tensor.options.empty()) {
        ItemKind kind = tensor.role == "per_layer_table" ? ItemKind::Table : ItemKind::Weight;
        PlanItem item{tensor.name, tensor.role, kind, tensor.layer, tensor.n, tensor.k, {}};
        if (llvm::Error error = add(std::move(item), tensor.options, {chosenOption(plan, tensor)}))
          return error;
      }
    for (const PlannedKv &kv : plan.kvCaches)
      if (!kv.options.empty()) {
        PlanItem item{"kv." + kv.layerType, "kv_cache", ItemKind::KvCache, -1, 0, 0, {}};
        std::string k(name(kv.k)), pair = k + "/" + std::string(name(kv.v));
        std::vector<std::string> names = {pair};
        if (kv.k == kv.v)
          names.push_back(k);
        if (llvm::Error error = add(std::move(item), kv.options, names))
          return error;
      }
    if (result.problem.items.empty())
      return llvm::createStringError("it keeps no prices");
    if (llvm::Error error = addCouplings())
      return error;
    addLimits();
    if (std::string why = check(result.problem); !why.empty())
      return llvm::createStringError(why);
    if (llvm::Error error = agrees())
      return error;
    return std::move(result);
  }

private:
  // `names`: how the chosen option may be called.
  llvm::Error add(PlanItem item, const std::vector<PricedOption> &options,
                  llvm::ArrayRef<std::string> names) {
    size_t chosen = options.size();
    for (const PricedOption &option : options) {
      if (llvm::is_contained(names, option.format)) {
        chosen = item.options.size();
        chosenBytes += option.bytes;
      }
      item.options.push_back({option.format, option.bytes, option.loss, option.seconds,
                              option.allowed, option.storedBytes});
    }
    if (chosen == options.size())
      return llvm::createStringError("it takes '" + names.front() + "' for '" + item.name +
                                     "', which it does not price");
    if (!item.options[chosen].supported)
      return llvm::createStringError("it takes '" + names.front() + "' for '" + item.name +
                                     "', which it says is ruled out");
    indexOf[item.name] = result.problem.items.size();
    result.problem.items.push_back(std::move(item));
    result.solution.choice.push_back(chosen);
    return llvm::Error::success();
  }

  llvm::Error addCouplings() {
    for (const PlannedCoupling &coupling : plan.couplings) {
      Coupling out{coupling.reason, {}};
      for (const std::string &name : coupling.items) {
        auto found = indexOf.find(name);
        if (found == indexOf.end())
          found = indexOf.find("kv." + name);
        if (found == indexOf.end())
          return llvm::createStringError("its coupling '" + coupling.reason + "' names '" + name +
                                         "', which it does not price");
        out.items.push_back(found->second);
      }
      result.problem.couplings.push_back(std::move(out));
    }
    return llvm::Error::success();
  }

  void addLimits() {
    PlanProblem &problem = result.problem;
    // What is not priced is the rest of the account, also after exact sizes replaced estimates.
    // With towers the account is that of the largest phase, which may be another than text.
    bool textOnly = plan.memory.encoders == 0 && plan.modalities.size() == 1;
    problem.fixedBytes = textOnly ? std::max<int64_t>(0, plan.memory.peak() - chosenBytes)
                                  : plan.optimality.fixedBytes;
    problem.budgetBytes = plan.budgetBytes;
    problem.fixedSeconds = plan.optimality.fixedSeconds;
    if (plan.optimality.maxSeconds > 0)
      problem.maxSeconds = plan.optimality.maxSeconds;
    problem.lossPerSecond = plan.optimality.lossPerSecond;
    problem.lossPerStoredByte = plan.optimality.lossPerStoredByte;
  }

  llvm::Error agrees() const {
    double objective = evaluate(result.problem, result.solution).objective;
    double recorded = plan.optimality.objective;
    if (std::abs(objective - recorded) > 1e-6 * std::max(std::abs(recorded), 1e-9))
      return llvm::createStringError(
          llvm::formatv("its prices give an objective of {0:e6}, it records {1:e6}: it was edited "
                        "after planning; replay it with --plan FILE --emit plan first",
                        objective, recorded)
              .str());
    if (std::string why = verify(result.problem, result.solution); !why.empty())
      return llvm::createStringError(why);
    return llvm::Error::success();
  }

  const Plan &plan;
  PricedPlan result;
  int64_t chosenBytes = 0;
  llvm::StringMap<size_t> indexOf;
};

} // namespace

llvm::Expected<PricedPlan> pricedPlan(const Plan &plan) { return Rebuild(plan).run(); }

} // namespace gcompile
