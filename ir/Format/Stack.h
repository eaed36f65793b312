// Matrices of one shape and format that lie behind each other in one tensor: experts. Each is a
// whole P64 blob (docs/decisions/0001, 0008) at a multiple of 128 bytes. Sizes are bytes.
#pragma once

#include "ir/Format/Format.h"

namespace gcompile {

// From one matrix of n × k to the next.
int64_t stackedStride(WeightFormat format, int64_t n, int64_t k);
// All of them; there is no padding behind the last one.
int64_t stackedBytes(WeightFormat format, int64_t matrices, int64_t n, int64_t k);

// One expert on storage, and in a slot of the cache (docs/decisions/0012): gate and up at 0, down
// behind them, each padded so that a block can be read past the page cache and costs the sum of two
// choices.
inline constexpr int64_t expertBlockAlignment = 4096;
int64_t expertBlockPart(WeightFormat format, int64_t n, int64_t k); // padded bytes of a matrix
struct ExpertBlock {
  int64_t downOffset = 0, bytes = 0;
};
ExpertBlock expertBlock(WeightFormat gateUp, WeightFormat down, int64_t hidden,
                        int64_t intermediate);

} // namespace gcompile
