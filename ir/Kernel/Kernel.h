// The kernel dialect: operations, attributes, and small accessors that lowerings share. See
// KernelOps.td for what each operation means.
#pragma once

#include "ir/Format/Stack.h"
#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/Interfaces/DestinationStyleOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "ir/Kernel/KernelDialect.h.inc"
#include "ir/Kernel/KernelEnums.h.inc"
#define GET_ATTRDEF_CLASSES
#include "ir/Kernel/KernelAttrs.h.inc"
#define GET_OP_CLASSES
#include "ir/Kernel/KernelOps.h.inc"

namespace gcompile::kernel {

// Attribute on the module that names the machine: `kernel.target = #kernel.target<…>`.
inline constexpr llvm::StringLiteral targetAttrName = "kernel.target";

// Kernel functions (docs/decisions/0001): `func.func private @name(buffers…, scalars…, %begin:
// index, %end: index)` with this unit attribute. Their body is one kernel operation on the
// arguments until `kernel-to-loops` replaces it by loops over the tasks [begin, end).
inline constexpr llvm::StringLiteral kernelFunctionAttrName = "kernel.function";

// The operations that backends implement, as opposed to storage, launches and calls of the caller.
inline bool isKernel(mlir::Operation *op) {
  return mlir::isa<AppendKvOp>(op) ||
         (mlir::isa<mlir::DestinationStyleOpInterface>(op) &&
          mlir::isa<KernelDialect>(op->getDialect()) && !mlir::isa<FetchExpertsOp>(op));
}

// The number of active rows of a kernel.
mlir::Value activeRows(mlir::Operation *op);

// Groups that a product runs over: 1 without `groups`, else as kernel.group_rows makes them.
template <typename Product>
int64_t mostGroups(Product op) {
  if (op.getGroups().empty())
    return 1;
  int64_t slots = mlir::cast<mlir::ShapedType>(op.getOuts().getType()).getDimSize(0);
  return std::min<int64_t>(op.getMatrices(), slots);
}

// Registers the one-shot bufferization of kernel operations.
void registerBufferization(mlir::DialectRegistry &registry);

} // namespace gcompile::kernel
