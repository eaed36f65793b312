// The decisions of a plan as plain values, and the one function that writes them into a module.
// gemma-plan (which decides) and gemma-apply-plan (which replays) both end here.
#pragma once

#include "ir/Format/ActivationScales.h"
#include "ir/Format/Format.h"
#include "ir/Gemma/Gemma.h"
#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/StringMap.h"

namespace gcompile {

struct PlanDecisions {
  llvm::StringMap<WeightFormat> tensorFormats;        // by canonical checkpoint name
  llvm::StringMap<ActivationScales> activationScales; // by the name of the weight; absent: dynamic
  llvm::DenseMap<int64_t, CacheScaleChoice> cacheScales; // by layer; absent: as each row needs
  KvFormat localK = KvFormat::F16, localV = KvFormat::F16, globalK = KvFormat::F16,
           globalV = KvFormat::F16;
  bool tableOnStorage = false;
  int64_t tableCacheRows = 0; // slots of the row cache of a table on storage
  int64_t expertSlots = 0;    // of the cache of experts on storage; 0: experts lie in memory
  int64_t context = 4096;     // positions
  int64_t chunk = 128;        // most rows that any program adds at once
};

// Slots of a cache: the context, or a ring that holds the window of every row of a chunk; a
// multiple of 64.
int64_t cacheCapacity(int64_t window, int64_t context, int64_t chunk);

// Sets every decision on one symbol. Vectors stay f32. Fails with a diagnostic on the operation
// when the decisions do not name it or name what it cannot take.
mlir::LogicalResult writeDecisions(gemma::WeightOp weight, const PlanDecisions &decisions);
mlir::LogicalResult writeDecisions(gemma::KvCacheOp cache, const PlanDecisions &decisions);
// On all weights and caches of a module; experts on storage get their places in a block.
mlir::LogicalResult writeDecisions(mlir::ModuleOp module, const PlanDecisions &decisions);

} // namespace gcompile
