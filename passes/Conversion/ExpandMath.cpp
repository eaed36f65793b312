// gemma-expand-math: polynomials in place of calls of libm, on every target. Kernel lowerings write
// their elementary functions as arithmetic themselves; this pass catches the rest, so that an image
// never has an undefined symbol. Operations that targets have instructions for (fma, sqrt, abs,
// floor, roundeven, copysign) stay.
#include "mlir/Dialect/Math/Transforms/Passes.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include "passes/Passes.h"

using namespace mlir;

namespace gcompile {
#define GEN_PASS_DEF_EXPANDMATH
#include "passes/Passes.h.inc"

namespace {

struct ExpandMathPass : impl::ExpandMathBase<ExpandMathPass> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    populateMathPolynomialApproximationPatterns(patterns);
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace
} // namespace gcompile
