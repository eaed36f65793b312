// The blocks that a token, or a prompt, goes through one after the other, with the time of each:
// what can be given to one engine or another. Their times sum to decodeTime and prefillTime.
// Seconds.
#pragma once

#include "passes/Cost/PrefillTime.h"

namespace gcompile {

struct PassBlock {
  // "rows" (of tables on storage, and experts), "inputs" (per-layer inputs of all layers),
  // "attention", "feed_forward" (experts included), "per_layer_input", "head", "choose" (the next
  // token).
  std::string name;
  int64_t layer = -1; // −1: belongs to none
  double seconds = 0;
  bool processorOnly = false; // files and the choice of a token stay with the processor
};

// Empty where decodeTime and prefillTime know nothing.
std::vector<PassBlock> decodeBlocks(const MachineModel &machine, const ModelShape &model,
                                    const DecodeWork &work);
std::vector<PassBlock> prefillBlocks(const MachineModel &machine, const ModelShape &model,
                                     const PrefillWork &work);

} // namespace gcompile
