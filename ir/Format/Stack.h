// Matrices of one shape and format that lie behind each other in one tensor: experts. Each is a
// whole P64 blob (docs/decisions/0001, 0008) at a multiple of 128 bytes. Sizes are bytes.
#pragma once

#include "ir/Format/Format.h"

namespace gcompile {

// From one matrix of n × k to the next.
int64_t stackedStride(WeightFormat format, int64_t n, int64_t k);
// All of them; there is no padding behind the last one.
int64_t stackedBytes(WeightFormat format, int64_t matrices, int64_t n, int64_t k);

} // namespace gcompile
