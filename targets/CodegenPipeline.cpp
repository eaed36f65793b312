#include "targets/CodegenPipeline.h"
#include "mlir/Pass/PassRegistry.h"
#include "passes/Passes.h"

using namespace mlir;

namespace gcompile {
namespace {

// Puts the description of the machine on the module, where the lowerings read it.
struct AttachTarget : PassWrapper<AttachTarget, OperationPass<ModuleOp>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(AttachTarget)
  explicit AttachTarget(const TargetVariant &variant) : variant(variant) {}

  StringRef getArgument() const final { return "kernel-attach-target"; }
  StringRef getDescription() const final { return "set kernel.target of the module"; }
  void runOnOperation() override {
    getOperation()->setAttr(kernel::targetAttrName, targetAttr(&getContext(), variant));
  }

  const TargetVariant &variant;
};

struct CodegenOptions : PassPipelineOptions<CodegenOptions> {
  Option<std::string> target{*this, "target", llvm::cl::desc("code variant, such as x86-64-vnni"),
                             llvm::cl::init("x86-64-v3")};
};

} // namespace

void buildCodegenPipeline(OpPassManager &manager, BackendVariant target) {
  manager.addPass(std::make_unique<AttachTarget>(*target.variant));
  target.backend->addKernelLowering(manager);
  manager.addPass(createLowerPrograms());
}

void registerCodegenPipeline() {
  PassPipelineRegistration<CodegenOptions>(
      "gemma-codegen", "kernel functions and programs to the LLVM dialect for one code variant",
      [](OpPassManager &manager, const CodegenOptions &options) {
        llvm::Expected<BackendVariant> target = findVariant(options.target);
        if (!target)
          llvm::report_fatal_error(target.takeError(), /*gen_crash_diag=*/false);
        buildCodegenPipeline(manager, *target);
      });
}

} // namespace gcompile
