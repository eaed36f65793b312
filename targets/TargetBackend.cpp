#include "targets/TargetBackend.h"
#include "mlir/Transforms/Passes.h"
#include "passes/Passes.h"
#include "targets/Common/EmitMachineCode.h"

using namespace mlir;

namespace gcompile {

void TargetBackend::addKernelLowering(OpPassManager &passes) const {
  passes.addPass(createKernelToLoops());
  passes.addPass(createCanonicalizerPass());
  passes.addPass(createCSEPass());
  passes.addPass(createExpandMath());
  passes.addPass(createLowerToLLVM());
}

llvm::Expected<CodeImage> TargetBackend::emitImage(ModuleOp module,
                                                   llvm::ArrayRef<std::string> exports) const {
  EmitOptions options;
  options.exports.assign(exports.begin(), exports.end());
  llvm::Expected<std::string> object = emitMachineCode(module, options);
  if (!object)
    return object.takeError();
  return linkImage(*object, exports);
}

kernel::TargetAttr targetAttr(MLIRContext *context, const TargetVariant &variant) {
  context->loadDialect<kernel::KernelDialect>();
  return kernel::TargetAttr::get(context, variant.name, variant.triple, variant.cpu,
                                 variant.features, variant.vectorBytes, variant.vectorRegisters,
                                 variant.dot);
}

} // namespace gcompile
