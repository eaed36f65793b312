// Rows of weights on the grid of one weight format: codes and scales as a quantized checkpoint
// holds them, before they are laid out as panels (docs/decisions/0009). Filled by readers of
// checkpoints, consumed by packers; nothing is rounded on the way.
#pragma once

#include "ir/Format/Format.h"

#include <cstdint>
#include <string>
#include <vector>

namespace gcompile {

// Row-major; every vector has rows · (entries per row) elements, or is empty where the format has
// no such part. Groups and blocks run along a row and never cross rows; `columns` is a multiple of
// them.
//
// | format | value | codes | scales | subScales | subMins | minScales |
// |---|---|---|---|---|---|---|
// | w8 w4 w2 | code · scale | w, without codeOffset | one a row, f32 | | | |
// | w8g32 w4g32 w2g64 | code · scale | w, without codeOffset | one a group, f16 | | | |
//
// Ranges are those of the format, except that eight bits may also hold −128. Scales are finite and
// of either sign.
struct GridRows {
  WeightFormat format = WeightFormat::F32;
  int64_t rows = 0, columns = 0;
  std::vector<int8_t> codes; // one per value
  std::vector<float> scales; // f16: each is exactly a finite f16
  // Formats whose scales have two levels: small integers for groups, multiplied by the block's
  // f16 scale.
  std::vector<int8_t> subScales, subMins;
  std::vector<float> minScales;

  int64_t scalesPerRow() const { return rows ? int64_t(scales.size()) / rows : 0; }
};

// What of `grid` is not as the table above says: sizes, codes out of range, scales that are not
// finite or not exactly f16. Empty: nothing. Reads all of it.
std::string gridError(const GridRows &grid);

// Rows of floats (contiguous) rounded to the grid of an integer format, as packPanel rounds them;
// columns must be a multiple of the format's group.
GridRows gridFromFloat(WeightFormat format, int64_t rows, int64_t columns, const float *values);

// The values of one row, f32: each product rounded once, left to right.
void decodeGridRow(const GridRows &grid, int64_t row, float *values);

} // namespace gcompile
