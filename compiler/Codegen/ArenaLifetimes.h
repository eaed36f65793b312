// How full the arena of each program is over its launches, read back from the planned module: for
// reports.
#pragma once

#include "mlir/IR/BuiltinOps.h"

#include <cstdint>
#include <string>
#include <vector>

namespace gcompile {

struct ProgramArena {
  std::string program; // "prefill", "decode", "score"
  int64_t arenaBytes = 0;
  // What is alive after each birth or death of a buffer, in program order; gaps between buffers are
  // left out. The largest is at most arenaBytes.
  std::vector<int64_t> liveBytes;
};

// Of a module after kernel-plan-memory.
std::vector<ProgramArena> arenaLifetimes(mlir::ModuleOp module);

} // namespace gcompile
