// Rows of weights on the grid of one weight format: codes and scales as a quantized checkpoint
// holds them, before they are laid out as panels (docs/decisions/0009). Filled by readers of
// checkpoints, consumed by packers; nothing is rounded on the way.
#pragma once

#include "ir/Format/Format.h"

#include <cstdint>
#include <vector>

namespace gcompile {

// Row-major; every vector has rows · (entries per row) elements, or is empty where the format has
// no such part. Groups run along a row and never cross rows; the last may be short only for
// channel-wise formats.
struct GridRows {
  WeightFormat format = WeightFormat::F32;
  int64_t rows = 0, columns = 0;
  std::vector<int8_t> codes; // one per value: w of symmetric integer formats (without codeOffset)
  // Channel-wise formats: one per row, any finite f32. Group formats: one per group, each exactly
  // a finite f16.
  std::vector<float> scales;
};

} // namespace gcompile
