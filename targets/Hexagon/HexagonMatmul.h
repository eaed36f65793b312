// matmul_integer on HVX: a panel's 64 output rows are two vectors of 32 dwords, and `vrmpy` adds
// four products of bytes to each. Replaces the operation by loops; all others are left to the
// default lowering (kernel-to-loops), which runs next.
#pragma once

#include "mlir/Pass/Pass.h"

#include <memory>

namespace gcompile {

std::unique_ptr<mlir::Pass> createHexagonMatmul();

} // namespace gcompile
