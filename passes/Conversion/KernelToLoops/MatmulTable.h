// Products with weights that are places in a table of floats (nf4); part of matmul_float.
#pragma once

#include "passes/Conversion/KernelToLoops/Emitters.h"
#include "passes/Conversion/KernelToLoops/VectorMath.h"

namespace gcompile::kernel {

mlir::LogicalResult emitTableProduct(VectorMath &m, MatmulFloatOp op, TaskRange tasks,
                                     const TargetInfo &target);

} // namespace gcompile::kernel
