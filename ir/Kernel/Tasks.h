// How many tasks a kernel operation has. A task is the unit that `parallel_for` hands out; what it
// is depends on the operation alone, never on the number of threads (docs/decisions/0001). The
// emission of loops and the emission of launches both read the rule here.
#pragma once

#include "mlir/IR/Operation.h"

#include <cstdint>

namespace gcompile::kernel {

// An operation with r active rows has `fixed + perRow · r` tasks.
struct TaskRule {
  int64_t fixed = 0;
  int64_t perRow = 0;
};

TaskRule taskRule(mlir::Operation *op);

// Columns of one task of an element-wise operation: a row is cut into pieces of this many.
inline constexpr int64_t elementwiseTaskColumns = 2048;

// Query heads that one task of `attend` computes together: they share a kv head, so that its keys
// and values are read and decoded once for all of them.
int64_t attendHeadsPerTask(int64_t heads, int64_t kvHeads);

} // namespace gcompile::kernel
