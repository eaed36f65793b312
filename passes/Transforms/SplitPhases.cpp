// gemma-split-phases: prefill and decode are separate programs over the same weights and caches.
// Prefill returns nothing, so all that feeds no cache is dead: for E models the layers that share K
// and V (20 of 35 in E2B) and the head. Exact: only what no cache write depends on is erased
// (ModelGraph).
#include "passes/Analysis/ModelGraph.h"
#include "passes/Passes.h"
#include "passes/Transforms/ImageSpans.h"

using namespace mlir;

namespace gcompile {
#define GEN_PASS_DEF_SPLITPHASES
#include "passes/Passes.h.inc"

namespace {

func::FuncOp cloneProgram(func::FuncOp forward, StringRef name, int64_t rows) {
  OpBuilder builder(forward);
  auto program = cast<func::FuncOp>(builder.clone(*forward));
  program.setName(name);
  program->setAttr(gemma::programAttrName, builder.getStringAttr(name));
  program->setAttr(gemma::rowsAttrName, builder.getI64IntegerAttr(rows));
  return program;
}

// What no cache write depends on is dead in prefill.
int64_t eraseWhatFeedsNoCache(func::FuncOp program) {
  SmallVector<Operation *> writes;
  for (auto append : program.getOps<gemma::AppendKvOp>())
    writes.push_back(append);
  llvm::DenseSet<Operation *> needed = ModelGraph(program).feeding(writes);
  int64_t erased = 0;
  for (Operation &op : llvm::make_early_inc_range(llvm::reverse(program.front())))
    if (!needed.contains(&op) && !isa<func::ReturnOp>(op)) {
      op.erase();
      ++erased;
    }
  return erased;
}

struct SplitPhases : impl::SplitPhasesBase<SplitPhases> {
  using SplitPhasesBase::SplitPhasesBase;

  void runOnOperation() override {
    func::FuncOp forward;
    for (auto function : getOperation().getOps<func::FuncOp>())
      if (auto program = function->getAttrOfType<StringAttr>(gemma::programAttrName);
          program && program == "forward")
        forward = function;
    if (!forward) {
      getOperation().emitError("has no forward program to split");
      return signalPassFailure();
    }
    if (prefill < 1 || score < 1) {
      getOperation().emitError("needs chunks of at least one row");
      return signalPassFailure();
    }
    func::FuncOp prefillProgram = cloneProgram(forward, "prefill", prefill);
    auto returnOp = cast<func::ReturnOp>(prefillProgram.front().getTerminator());
    returnOp->setOperands({});
    prefillProgram.setFunctionType(
        FunctionType::get(&getContext(), prefillProgram.getArgumentTypes(), {}));
    skipped += eraseWhatFeedsNoCache(prefillProgram);
    dropImageSpans(cloneProgram(forward, "decode", 1)); // a decoded token is no image
    cloneProgram(forward, "score", score);
    forward.erase();
  }
};
} // namespace
} // namespace gcompile
