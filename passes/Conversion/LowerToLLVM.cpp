// gemma-lower-to-llvm: one conversion with one type converter, so that every pattern agrees on the
// width of index and on bare pointers (a chain of upstream passes cannot). Programs are left alone:
// kernel-lower-programs makes these.
#include "ir/Gemma/Gemma.h"
#include "ir/Kernel/Kernel.h"
#include "mlir/Conversion/ArithToLLVM/ArithToLLVM.h"
#include "mlir/Conversion/ControlFlowToLLVM/ControlFlowToLLVM.h"
#include "mlir/Conversion/FuncToLLVM/ConvertFuncToLLVM.h"
#include "mlir/Conversion/IndexToLLVM/IndexToLLVM.h"
#include "mlir/Conversion/LLVMCommon/ConversionTarget.h"
#include "mlir/Conversion/LLVMCommon/TypeConverter.h"
#include "mlir/Conversion/MathToLLVM/MathToLLVM.h"
#include "mlir/Conversion/MemRefToLLVM/MemRefToLLVM.h"
#include "mlir/Conversion/SCFToControlFlow/SCFToControlFlow.h"
#include "mlir/Conversion/UBToLLVM/UBToLLVM.h"
#include "mlir/Conversion/VectorToLLVM/ConvertVectorToLLVM.h"
#include "mlir/Dialect/Arith/Transforms/Passes.h"
#include "mlir/Dialect/MemRef/Transforms/Transforms.h"
#include "mlir/Dialect/Vector/Transforms/LoweringPatterns.h"
#include "mlir/Dialect/Vector/Transforms/VectorRewritePatterns.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include "passes/Passes.h"

using namespace mlir;

namespace gcompile {
#define GEN_PASS_DEF_LOWERTOLLVM
#include "passes/Passes.h.inc"

namespace {

bool isProgram(func::FuncOp function) { return function->hasAttr(gemma::programAttrName); }

struct LowerToLLVMPass : impl::LowerToLLVMBase<LowerToLLVMPass> {
  using LowerToLLVMBase::LowerToLLVMBase;

  void runOnOperation() override {
    MLIRContext *context = &getContext();
    SmallVector<Operation *> functions;
    for (auto function : getOperation().getOps<func::FuncOp>())
      if (!isProgram(function))
        functions.push_back(function);

    RewritePatternSet simplify(context);
    arith::populateArithExpandOpsPatterns(simplify);
    memref::populateExpandStridedMetadataPatterns(simplify);
    vector::populateVectorInsertExtractStridedSliceTransforms(simplify);
    vector::populateVectorBroadcastLoweringPatterns(simplify);
    vector::populateVectorShapeCastLoweringPatterns(simplify);
    vector::populateVectorStepLoweringPatterns(simplify);
    FrozenRewritePatternSet frozen(std::move(simplify));
    for (Operation *function : functions)
      if (failed(applyPatternsGreedily(function, frozen)))
        return signalPassFailure();

    mlir::LowerToLLVMOptions options(context);
    options.useBarePtrCallConv = true;
    options.overrideIndexBitwidth(indexBits.getValue());
    LLVMTypeConverter converter(context, options);
    RewritePatternSet patterns(context);
    populateSCFToControlFlowConversionPatterns(patterns);
    cf::populateControlFlowToLLVMConversionPatterns(converter, patterns);
    arith::populateArithToLLVMConversionPatterns(converter, patterns);
    populateMathToLLVMConversionPatterns(converter, patterns);
    populateFinalizeMemRefToLLVMConversionPatterns(converter, patterns);
    populateVectorToLLVMConversionPatterns(converter, patterns);
    index::populateIndexToLLVMConversionPatterns(converter, patterns);
    ub::populateUBToLLVMConversionPatterns(converter, patterns);
    populateFuncToLLVMConversionPatterns(converter, patterns);
    LLVMConversionTarget target(*context);
    if (failed(applyFullConversion(functions, target, std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace
} // namespace gcompile
