// What a backend is: some code variants (one instruction set each), the passes that bring kernel
// functions to the LLVM dialect, and the step from there to an image. Backends are found through
// targets/TargetRegistry.h. Everything about a machine that lowerings may use is in the variant,
// which they see as `#kernel.target` on the module.
#pragma once

#include "ir/Kernel/Kernel.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/PassManager.h"
#include "targets/Common/LinkImage.h"
#include "llvm/Support/Error.h"

#include <string>
#include <string_view>

namespace gcompile {

struct TargetVariant {
  std::string_view name; // as in gc_code_variant and on the command line: "x86-64-vnni"
  std::string_view triple, cpu, features;
  unsigned vectorBytes, vectorRegisters;
  std::string_view dot; // KernelDialect.td
};

class TargetBackend {
public:
  virtual ~TargetBackend() = default;
  virtual llvm::StringRef name() const = 0;
  virtual llvm::ArrayRef<TargetVariant> variants() const = 0;
  virtual bool runsOnHost(const TargetVariant &variant) const = 0;

  // Kernel functions (docs/decisions/0001) to the LLVM dialect; programs in the module stay.
  virtual void addKernelLowering(mlir::OpPassManager &passes) const;
  // A module wholly in the LLVM dialect to an image in which `exports` can be found.
  virtual llvm::Expected<CodeImage> emitImage(mlir::ModuleOp module,
                                              llvm::ArrayRef<std::string> exports) const;
};

// `#kernel.target` of a variant.
kernel::TargetAttr targetAttr(mlir::MLIRContext *context, const TargetVariant &variant);

} // namespace gcompile
