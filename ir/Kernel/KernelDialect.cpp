// Registration of the kernel dialect.
#include "ir/Kernel/Kernel.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

#include "ir/Kernel/KernelDialect.cpp.inc"
#include "ir/Kernel/KernelEnums.cpp.inc"
#define GET_ATTRDEF_CLASSES
#include "ir/Kernel/KernelAttrs.cpp.inc"

void gcompile::kernel::KernelDialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "ir/Kernel/KernelAttrs.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "ir/Kernel/KernelOps.cpp.inc"
      >();
}
