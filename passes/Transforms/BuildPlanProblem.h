// The planning problem of a module: which items there are and what belongs together is read from
// the IR, what each option costs from the table.
#pragma once

#include "mlir/IR/BuiltinOps.h"
#include "passes/Planning/OptionTable.h"

namespace gcompile {

// Items in the order of the module: one for each checkpoint tensor of rank 2 (symbols that share a
// source, such as the embedding and the head, or the slices of one matrix, are one item), then the
// owning caches of each layer type. `n` and `k` are rows and columns of the whole source. Fails
// with a diagnostic when the table prices nothing for an item, prices something that the module has
// not, or makes no sense.
mlir::FailureOr<PlanProblem> buildPlanProblem(mlir::ModuleOp module, const OptionTable &table);

} // namespace gcompile
