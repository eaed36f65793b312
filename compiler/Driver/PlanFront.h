// The front of bytes, quality and speed of one model on one target: what each budget buys, under
// the same flags as planning.
#pragma once

#include "compiler/Driver/PlanModel.h"

#include "llvm/Support/Error.h"

#include <vector>

namespace gcompile {

struct FrontPlan {
  int64_t peakBytes = 0;
  double kl = 0, klLow = 0, klHigh = 0;
  double decodeTokensPerSecond = 0, prefillTokensPerSecond = 0; // 0: not predicted
  double gap = 0;                                               // to the bound at these bytes
  int64_t prefillChunk = 0;
  TablePlacement tables = TablePlacement::None;
  double bitsPerWeight = 0; // of the matrices in memory
};

struct PlanFront {
  int64_t context = 0;
  // By rising bytes; each is better than all before it in quality or in decoding speed.
  std::vector<FrontPlan> points;
};

// About `points` plans between the smallest budget that anything fits and the one beyond which
// nothing helps; fewer where there are no more. Empty when no plan is fast enough. Errors are
// contradictions in the flags.
llvm::Expected<PlanFront> planFront(const PlanRequest &request, size_t points);

} // namespace gcompile
