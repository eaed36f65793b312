// Spans of images in a program's arguments (docs/decisions/0016).
#pragma once

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace gcompile {

// Makes a program causal: no attention names spans, and the program does not take them. Nothing
// happens to a program without them.
void dropImageSpans(mlir::func::FuncOp program);

} // namespace gcompile
