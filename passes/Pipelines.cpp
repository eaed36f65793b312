#include "passes/Pipelines.h"
#include "mlir/Dialect/Arith/Transforms/BufferizableOpInterfaceImpl.h"
#include "mlir/Dialect/Bufferization/Transforms/FuncBufferizableOpInterfaceImpl.h"
#include "mlir/Dialect/Bufferization/Transforms/Passes.h"
#include "mlir/Dialect/Func/Extensions/AllExtensions.h"
#include "mlir/Dialect/Tensor/Transforms/BufferizableOpInterfaceImpl.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Transforms/Passes.h"
#include "passes/Passes.h"

using namespace mlir;

namespace gcompile {

void buildPreparePipeline(OpPassManager &manager, const PrepareOptions &options) {
  SelectModalitiesOptions modalities;
  modalities.keep.assign(options.modalities.begin(), options.modalities.end());
  manager.addPass(createSelectModalities(modalities));
  manager.addPass(createShareKvCaches());
  SplitPhasesOptions phases;
  phases.prefill = options.prefillChunk;
  phases.score = options.scoreChunk;
  manager.addPass(createSplitPhases(phases));
}

void buildToKernelPipeline(OpPassManager &manager) {
  manager.addPass(createGemmaToKernel());
  manager.addPass(createCanonicalizerPass());
  manager.addPass(createCSEPass());
  bufferization::OneShotBufferizePassOptions bufferize;
  bufferize.bufferAlignment = 128;
  manager.addPass(bufferization::createOneShotBufferizePass(bufferize));
  manager.addPass(createCanonicalizerPass());
  manager.addPass(createPlanMemory());
  manager.addPass(createCSEPass());
  manager.addPass(createOutlineKernels());
}

void registerPipelines() {
  PassPipelineRegistration<>("gemma-prepare",
                             "modalities, KV sharing and phases of an imported model",
                             [](OpPassManager &manager) { buildPreparePipeline(manager); });
  PassPipelineRegistration<>("gemma-to-kernel-pipeline",
                             "planned programs to launches of kernel functions over planned memory",
                             buildToKernelPipeline);
}

void registerModelDialects(DialectRegistry &registry) {
  registry
      .insert<gemma::GemmaDialect, kernel::KernelDialect, arith::ArithDialect, func::FuncDialect,
              memref::MemRefDialect, tensor::TensorDialect, bufferization::BufferizationDialect,
              scf::SCFDialect, vector::VectorDialect, math::MathDialect, LLVM::LLVMDialect>();
  arith::registerBufferizableOpInterfaceExternalModels(registry);
  bufferization::func_ext::registerBufferizableOpInterfaceExternalModels(registry);
  tensor::registerBufferizableOpInterfaceExternalModels(registry);
  func::registerAllExtensions(registry);
  kernel::registerBufferization(registry);
}

} // namespace gcompile
