// gemma-share-kv-caches: the last layers of E models project no keys and values; they read what the
// last owning layer of their type wrote. Aliases are replaced by their donors, so that each
// remaining cache is memory.
#include "passes/Passes.h"

using namespace mlir;

namespace gcompile {
#define GEN_PASS_DEF_SHAREKVCACHES
#include "passes/Passes.h.inc"

namespace {
struct ShareKvCaches : impl::ShareKvCachesBase<ShareKvCaches> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    SymbolTable symbols(module);
    for (auto cache : llvm::make_early_inc_range(module.getOps<gemma::KvCacheOp>())) {
      if (!cache.getDonor())
        continue;
      auto donor = symbols.lookup<gemma::KvCacheOp>(*cache.getDonor());
      if (!donor || donor.getDonor()) {
        cache.emitOpError() << "names donor @" << *cache.getDonor()
                            << ", which is no cache of an owning layer";
        return signalPassFailure();
      }
      if (donor.getHeads() != cache.getHeads() || donor.getHeadDim() != cache.getHeadDim() ||
          donor.getWindow() != cache.getWindow() ||
          donor.getDerivedKeys() != cache.getDerivedKeys()) {
        cache.emitOpError() << "differs from its donor @" << *cache.getDonor()
                            << " in heads, head size, window or derived keys";
        return signalPassFailure();
      }
      if (failed(SymbolTable::replaceAllSymbolUses(cache, donor.getSymNameAttr(), module)))
        return signalPassFailure();
      symbols.erase(cache);
      ++shared;
    }
  }
};
} // namespace
} // namespace gcompile
