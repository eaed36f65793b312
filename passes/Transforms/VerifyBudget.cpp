// gemma-verify-budget: recounts bytes from the IR alone and fails when they exceed the budget.
#include "ir/Format/CacheLayout.h"
#include "passes/Passes.h"

using namespace mlir;

namespace gcompile {
#define GEN_PASS_DEF_VERIFYBUDGET
#include "passes/Passes.h.inc"

namespace {

constexpr int64_t tensorAlignment = 128; // GC_TENSOR_ALIGNMENT

int64_t align(int64_t bytes) {
  return (bytes + tensorAlignment - 1) / tensorAlignment * tensorAlignment;
}

// Bytes in memory of a weight; tables are counted apart.
int64_t plannedBytes(gemma::WeightOp weight) {
  auto type = cast<ShapedType>(weight.getType());
  if (type.getRank() == 1)
    return align(type.getNumElements() * 4);
  if (weight.getRole() == gemma::perLayerTableRole || !weight.getFormat() ||
      gemma::isExpertOnStorage(weight))
    return 0;
  return align(gemma::packedBytes(weight, *parseWeightFormat(*weight.getFormat())));
}

int64_t plannedBytes(gemma::KvCacheOp cache) {
  if (!cache.getCapacity() || !cache.getKFormat() || !cache.getVFormat())
    return 0;
  return align(cacheLayout(*cache.getKFormat(), *cache.getVFormat(), cache.getHeads(),
                           cache.getHeadDim(), *cache.getCapacity())
                   ->bytes);
}

struct VerifyBudget : impl::VerifyBudgetBase<VerifyBudget> {
  using VerifyBudgetBase::VerifyBudgetBase;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    int64_t weights = 0, tables = 0, caches = 0, arena = 0;
    for (auto weight : module.getOps<gemma::WeightOp>())
      if (weight.getRole() == gemma::perLayerTableRole)
        tables += align(gemma::tableResidentBytes(weight));
    // One cache for all layers.
    for (auto weight : module.getOps<gemma::WeightOp>())
      if (gemma::isExpertOnStorage(weight)) {
        tables += *weight.getCacheSlots() * *weight.getBlockBytes();
        break;
      }
    auto exactWeights = module->getAttrOfType<IntegerAttr>("kernel.weights_bytes");
    if (exactWeights) {
      weights = exactWeights.getInt();
      caches = module->getAttrOfType<IntegerAttr>("kernel.cache_bytes").getInt();
      // score runs only on demand and is not part of the peak (DESIGN.md 4).
      for (auto program : module.getOps<func::FuncOp>())
        if (auto bytes = program->getAttrOfType<IntegerAttr>("kernel.arena_bytes");
            bytes && program.getName() != "score")
          arena = std::max(arena, bytes.getInt());
    } else {
      for (auto weight : module.getOps<gemma::WeightOp>())
        weights += plannedBytes(weight);
      for (auto cache : module.getOps<gemma::KvCacheOp>())
        caches += plannedBytes(cache);
    }
    int64_t sum = weights + tables + caches + arena + other;
    if (budget == 0 || sum <= budget)
      return;
    module.emitError() << "needs " << sum << " bytes (weights " << weights << ", tables " << tables
                       << ", kv " << caches << ", scratch " << arena << ", other "
                       << other.getValue() << "), over the budget of " << budget.getValue();
    signalPassFailure();
  }
};
} // namespace
} // namespace gcompile
