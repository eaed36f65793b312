// Rows of weights on the grid of one weight format: codes and scales as a quantized checkpoint
// holds them, before they are laid out as panels (docs/decisions/0009). Filled by readers of
// checkpoints, consumed by packers; nothing is rounded on the way.
#pragma once

#include "ir/Format/Format.h"

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace gcompile {

// Row-major; every vector has rows · (entries per row) elements, or is empty where the format has
// no such part. Groups and blocks run along a row and never cross rows; the last of a row may be
// short.
//
// w8 w4 w2: value = code · scale; codes w, without codeOffset; a scale a row, f32.
// w8g32 w4g32 w2g64 w4g128: the same with a scale a group, f16.
// q4_k: value = scale · subScale · code − minScale · subMin; codes 0 … 15; scale and minScale one a
//   256, f16; subScale and subMin one a 32, 0 … 63.
// q6_k: value = scale · subScale · code; codes −32 … 31; scale one a 256, f16; subScale one a 16,
//   −128 … 127.
// nf4: value = nf4Table[code] · scale; codes 0 … 15; a scale a 64, f32.
//
// Ranges are those of the format, except that eight bits may also hold −128. Scales are finite and
// of either sign. Rows that become rows of a table may have several scales (Pack.h).
struct GridRows {
  WeightFormat format = WeightFormat::F32;
  int64_t rows = 0, columns = 0;
  std::vector<int8_t> codes; // one per value
  std::vector<float> scales; // f16: each is exactly a finite f16
  // Scales of two levels: small integers for groups, multiplied by the block's f16 scale.
  std::vector<int8_t> subScales, subMins;
  std::vector<float> minScales;

  int64_t scalesPerRow() const { return rows ? int64_t(scales.size()) / rows : 0; }
};

// Values that share an entry of `scales` (0: the whole row), and one of `subScales` (0: none).
struct GridRuns {
  int64_t scale, subScale;
};
GridRuns gridRuns(WeightFormat format);

// What of `grid` is not as the list above says: sizes, codes out of range, scales that are not
// finite or not exactly f16. Empty: nothing. Reads all of it.
std::string gridError(const GridRows &grid);

// Rows of floats (contiguous) rounded to the grid of a format of codes, as packPanel rounds them.
GridRows gridFromFloat(WeightFormat format, int64_t rows, int64_t columns, const float *values);

// The values of one row: exact, and as f32 (what operations on f32 from left to right give too, as
// only the last one rounds).
void decodeGridRow(const GridRows &grid, int64_t row, std::span<double> values);
void decodeGridRow(const GridRows &grid, int64_t row, float *values);

} // namespace gcompile
