// Encoders of the weight formats: float rows to P64 panels (docs/decisions/0001, "Weights: P64")
// and to rows of row tables, with a search for the scale that minimises the squared error.
//
// Results are the same bytes on every machine and for every split of the work: all sums have a
// fixed order, and multiply-adds are fused where that is written and nowhere else. Values must be
// finite (the reader of checkpoints refuses others). Decoding for tests is in ReferenceDecode.h,
// written apart from this.
#pragma once

#include "ir/Format/Format.h"
#include "ir/Format/Grid.h"

#include <cstdint>
#include <span>

namespace gcompile {

// Sums over the values that were encoded, padding excluded.
struct PackError {
  double squaredError = 0; // Σ (value − decoded)²
  double squaredSum = 0;   // Σ value²

  PackError &operator+=(const PackError &other) {
    squaredError += other.squaredError;
    squaredSum += other.squaredSum;
    return *this;
  }
  double relative() const { return squaredSum > 0 ? squaredError / squaredSum : 0; }
};

// Encodes up to 64 rows of k values (contiguous, row-major) as one panel; missing rows become zero
// rows. `panel` holds panelBytes(format, k). Channel-wise integer formats fill `scales` (64
// values), w8 also `corrections` (64 values); other formats ignore both, which may then be null.
PackError packPanel(WeightFormat format, int64_t rowCount, int64_t k, const float *rows,
                    std::span<uint8_t> panel, float *scales, int32_t *corrections);

// A whole blob of n rows in one go: packedBytes(format, n, k) at `blob`. For small tensors and
// tests.
PackError packMatrix(WeightFormat format, int64_t n, int64_t k, const float *rows,
                     std::span<uint8_t> blob);

// The error that packing rows of k values, `stride` values apart, would make, without writing
// anything. Sixteen rows of a channel-wise format cost as much as one.
PackError measureRows(WeightFormat format, int64_t rowCount, int64_t k, int64_t stride,
                      const float *rows);
inline PackError measureRow(WeightFormat format, int64_t k, const float *row) {
  return measureRows(format, 1, k, k, row);
}

// Codes of contiguous rows of an integer format without blocks as stored (w + codeOffset),
// `paddedColumns` a row, and their scales: one a row, or one per group already rounded to f16.
PackError quantizeRows(WeightFormat format, int64_t rowCount, int64_t k, const float *rows,
                       uint8_t *codes, float *scales);

// Places codes and scales that are known already (64 rows, as quantizeRows gives them; row stride
// paddedColumns and, for group formats, one scale per group) in a panel. Integer formats without
// blocks.
void layOutPanel(WeightFormat format, int64_t k, const uint8_t *codes, const float *groupScales,
                 std::span<uint8_t> panel);

// Rows [firstRow, firstRow + rowCount) of `grid`, at most 64, as one panel of its format: codes and
// scales are placed as they are, nothing is rounded. `panel`, `scales` and `corrections` are
// packPanel's. The grid must hold up to gridError.
void packPanelFromGrid(const GridRows &grid, int64_t firstRow, int64_t rowCount,
                       std::span<uint8_t> panel, float *scales, int32_t *corrections);

// Rows of a row table: `slices` pieces of `columns` values each (contiguous) to
// rowTableRowBytes(format, columns, slices) bytes each.
PackError encodeTableRows(WeightFormat format, int64_t rowCount, int64_t columns, int64_t slices,
                          const float *rows, std::span<uint8_t> out);

// Row `row` of `grid` as one row of a row table (w8 w4 w2): grid.columns / slices columns a slice.
// The grid has one scale a row, which all slices get, or one for each slice.
void encodeTableRowFromGrid(const GridRows &grid, int64_t row, int64_t slices,
                            std::span<uint8_t> out);

} // namespace gcompile
