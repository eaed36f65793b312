// A module in the LLVM dialect to an object file, assembly or LLVM IR for the machine of its
// `#kernel.target`. Floating-point operations are neither fused nor reordered; no call of a C
// library is ever invented. Safe to call from several threads on different modules.
#pragma once

#include "mlir/IR/BuiltinOps.h"
#include "llvm/Support/Error.h"

#include <string>
#include <vector>

namespace gcompile {

enum class MachineCodeKind { Object, Assembly, LlvmIr };

struct EmitOptions {
  MachineCodeKind kind = MachineCodeKind::Object;
  std::vector<std::string> exports; // functions that callers look up; all others become internal
};

llvm::Expected<std::string> emitMachineCode(mlir::ModuleOp module, const EmitOptions &options);

// The translations that emitMachineCode needs; contexts that run passes in threads register them
// up front.
void registerMachineCodeTranslations(mlir::DialectRegistry &registry);

} // namespace gcompile
