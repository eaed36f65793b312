// What makes GPU entries of kernel functions. A kernel function does a range of tasks; its entry
// has the same arguments, and each thread of the grid takes every (threads of the grid)-th task of
// [begin, end), beginning at its own number. So any grid and block is correct, and one thread a
// block makes a block's index its task.
#pragma once

#include "mlir/Pass/Pass.h"

#include <memory>

namespace gcompile {

// Before the conversion to LLVM: @kernel becomes @kernel.tasks, and a new @kernel calls it task by
// task. Prefetches go: PTX has no use for hints of a CPU's caches.
std::unique_ptr<mlir::Pass> createNvptxMakeEntries();

// After it: entries get the calling convention of GPU kernels.
std::unique_ptr<mlir::Pass> createNvptxMarkEntries();

} // namespace gcompile
