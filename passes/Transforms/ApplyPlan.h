// The decisions of a plan as plain values, for the pass that writes them into the module.
#pragma once

#include "ir/Format/Format.h"
#include "mlir/Pass/Pass.h"
#include "llvm/ADT/StringMap.h"

namespace gcompile {

struct PlanDecisions {
  llvm::StringMap<WeightFormat> tensorFormats; // by canonical checkpoint name
  KvFormat localK = KvFormat::F16, localV = KvFormat::F16, globalK = KvFormat::F16,
           globalV = KvFormat::F16;
  int64_t context = 4096; // positions
  int64_t chunk = 128;    // most rows that any program adds at once
};

std::unique_ptr<mlir::Pass> createApplyPlan(PlanDecisions decisions);

// Slots of a cache: the context, or a ring that holds the window of every row of a chunk; a
// multiple of 64.
int64_t cacheCapacity(int64_t window, int64_t context, int64_t chunk);

} // namespace gcompile
