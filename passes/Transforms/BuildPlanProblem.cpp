#include "passes/Transforms/BuildPlanProblem.h"

#include "ir/Gemma/Gemma.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringSet.h"

using namespace mlir;

namespace gcompile {
namespace {

class Builder {
public:
  Builder(ModuleOp module, const OptionTable &table) : module(module), table(table) {}

  FailureOr<PlanProblem> build() {
    for (auto weight : module.getOps<gemma::WeightOp>())
      if (failed(add(weight)))
        return failure();
    if (table.expertSlots > 0) {
      coupleExperts(gemma::expertsGateUpRole);
      coupleExperts(gemma::expertsDownRole);
    }
    if (failed(addCaches(localKvItem, true)) || failed(addCaches(globalKvItem, false)))
      return failure();
    for (const auto &[name, options] : table.options)
      if (!used.contains(name))
        return module.emitError() << "has no tensor or cache '" << name
                                  << "', which the option table prices";
    problem.fixedBytes = table.fixedBytes;
    problem.budgetBytes = table.budgetBytes;
    problem.fixedSeconds = table.fixedSeconds;
    problem.maxSeconds = table.maxSeconds;
    problem.lossPerSecond = table.lossPerSecond;
    problem.lossPerStoredByte = table.lossPerStoredByte;
    if (std::string why = check(problem); !why.empty())
      return module.emitError() << "cannot be planned: " << why;
    return std::move(problem);
  }

private:
  LogicalResult price(Operation *op, PlanItem &item) {
    auto found = table.options.find(item.name);
    if (found == table.options.end())
      return op->emitOpError() << "has no options in the table ('" << item.name << "')";
    item.options = found->second;
    used.insert(item.name);
    return success();
  }

  LogicalResult add(gemma::WeightOp weight) {
    auto type = cast<ShapedType>(weight.getType());
    if (type.getRank() < 2)
      return success();
    auto [entry, isNew] = itemOf.try_emplace(weight.getSource(), problem.items.size());
    if (!isNew) {
      PlanItem &item = problem.items[entry->second];
      item.n = std::max<int64_t>(item.n, weight.getFirstRow() + type.getDimSize(0));
      return success();
    }
    PlanItem item;
    item.name = weight.getSource().str();
    item.role = weight.getRole().str();
    item.kind = weight.getRole() == gemma::perLayerTableRole ? ItemKind::Table : ItemKind::Weight;
    item.layer = int64_t(weight.getLayer());
    item.n = weight.getFirstRow() + type.getDimSize(0);
    item.k = type.getDimSize(1);
    if (failed(price(weight, item)))
      return failure();
    problem.items.push_back(std::move(item));
    return success();
  }

  // All layers share the slots of one cache (docs/decisions/0012).
  void coupleExperts(StringRef role) {
    Coupling coupling{"experts on storage share slots of one size", {}};
    for (auto [index, item] : llvm::enumerate(problem.items))
      if (role == item.role)
        coupling.items.push_back(index);
    if (coupling.items.size() > 1)
      problem.couplings.push_back(std::move(coupling));
  }

  // Readers have no cache of their own: what their donor's layer type takes holds for them.
  LogicalResult addCaches(StringRef name, bool local) {
    for (auto cache : module.getOps<gemma::KvCacheOp>()) {
      if (cache.getDonor() || (cache.getWindow() != 0) != local)
        continue;
      PlanItem item;
      item.name = name.str();
      item.role = "kv_cache";
      item.kind = ItemKind::KvCache;
      if (failed(price(cache, item)))
        return failure();
      problem.items.push_back(std::move(item));
      return success();
    }
    return success();
  }

  ModuleOp module;
  const OptionTable &table;
  PlanProblem problem;
  llvm::StringMap<size_t> itemOf;
  llvm::StringSet<> used;
};

} // namespace

FailureOr<PlanProblem> buildPlanProblem(ModuleOp module, const OptionTable &table) {
  return Builder(module, table).build();
}

} // namespace gcompile
