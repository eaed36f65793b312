// gemma-select-modalities: the user keeps some of text, vision and audio; the weights of the others
// leave the module, and without vision its programs become causal. Fails when a dropped weight is
// still used, which would mean that the importer wired a tower into a text program.
#include "passes/Passes.h"
#include "passes/Transforms/ImageSpans.h"

using namespace mlir;

namespace gcompile {
#define GEN_PASS_DEF_SELECTMODALITIES
#include "passes/Passes.h.inc"

namespace {
struct SelectModalities : impl::SelectModalitiesBase<SelectModalities> {
  using SelectModalitiesBase::SelectModalitiesBase;

  void runOnOperation() override {
    SymbolTable symbols(getOperation());
    for (auto weight : llvm::make_early_inc_range(getOperation().getOps<gemma::WeightOp>())) {
      StringRef modality = weight.getModality();
      if (modality == "text" || llvm::is_contained(keep, modality))
        continue;
      if (!SymbolTable::symbolKnownUseEmpty(weight, getOperation())) {
        weight.emitOpError() << "belongs to modality '" << modality
                             << "', which is dropped, but is still used";
        return signalPassFailure();
      }
      symbols.erase(weight);
      ++dropped;
    }
    if (!llvm::is_contained(keep, "vision"))
      for (auto program : getOperation().getOps<func::FuncOp>())
        dropImageSpans(program);
  }
};
} // namespace
} // namespace gcompile
