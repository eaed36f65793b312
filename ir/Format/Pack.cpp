// Codes of a panel are first written row by row, one byte each, and then laid out (PanelLayout.h).
#include "ir/Format/Pack.h"
#include "ir/Format/FloatConvert.h"
#include "ir/Format/PanelLayout.h"
#include "ir/Format/ScaleSearch.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <vector>

namespace gcompile {

using detail::layOutQuads;
using detail::storeHalf;

namespace {

// k-major transpose in tiles of 16 k, so that both sides stay in cache.
template <typename Store>
void layOutFloats(int64_t rowCount, int64_t k, const float *rows, Store store) {
  for (int64_t begin = 0; begin < k; begin += 16) {
    int64_t end = std::min(k, begin + 16);
    for (int64_t r = 0; r < rowCount; ++r)
      for (int64_t i = begin; i < end; ++i)
        store(i * 64 + r, rows[r * k + i]);
  }
}

float roundTo(WeightFormat format, float value) {
  switch (format) {
  case WeightFormat::BF16:
    return floatFromBf16(bf16FromFloat(value));
  case WeightFormat::F16:
    return floatFromF16(f16FromFloat(value));
  default:
    return value;
  }
}

PackError measureFloatRow(WeightFormat format, int64_t k, const float *row) {
  PackError error;
  float decoded[512];
  for (int64_t begin = 0; begin < k; begin += 512) {
    int64_t count = std::min<int64_t>(512, k - begin);
    for (int64_t i = 0; i < count; ++i)
      decoded[i] = roundTo(format, row[begin + i]);
    error += detail::sumErrors(row + begin, decoded, count);
  }
  return error;
}

PackError packFloatPanel(WeightFormat format, int64_t rowCount, int64_t k, const float *rows,
                         std::span<uint8_t> panel) {
  uint8_t *out = panel.data();
  if (rowCount < panelRows)
    std::memset(out, 0, panel.size());
  PackError error;
  for (int64_t r = 0; r < rowCount; ++r)
    error += measureFloatRow(format, k, rows + r * k);
  switch (format) {
  case WeightFormat::F32:
    layOutFloats(rowCount, k, rows, [out](int64_t i, float x) { std::memcpy(out + 4 * i, &x, 4); });
    break;
  case WeightFormat::BF16:
    layOutFloats(rowCount, k, rows,
                 [out](int64_t i, float x) { storeHalf(out, i, bf16FromFloat(x)); });
    break;
  default:
    layOutFloats(rowCount, k, rows,
                 [out](int64_t i, float x) { storeHalf(out, i, f16FromFloat(x)); });
    break;
  }
  return error;
}

// Codes and scales of rows `stride` values apart; both contiguous, codes padded to whole groups.
PackError quantizeRowsApart(const WeightFormatInfo &facts, int64_t columns, int64_t rowCount,
                            int64_t k, int64_t stride, const float *rows, uint8_t *codes,
                            float *scales) {
  const detail::ScaleSearch &search = detail::scaleSearch(facts.format);
  std::vector<float> padded;
  if (k != columns || (facts.group && stride != columns)) {
    padded.assign(rowCount * columns, 0.0f);
    for (int64_t r = 0; r < rowCount; ++r)
      std::copy_n(rows + r * stride, k, padded.data() + r * columns);
    rows = padded.data(), stride = columns;
  }
  int64_t length = facts.group ? facts.group : columns;
  int64_t runs = rowCount * (columns / length), apart = facts.group ? length : stride;
  detail::findScales(search, rows, length, apart, runs, scales);
  return detail::quantizeRuns(search, facts.codeOffset, rows, length, apart, runs, scales, codes);
}

PackError gridRoundingError(const GridRows &grid, const float *rows) {
  PackError error;
  std::vector<double> decoded(grid.columns);
  for (int64_t r = 0; r < grid.rows; ++r) {
    decodeGridRow(grid, r, decoded);
    for (int64_t i = 0; i < grid.columns; ++i) {
      double value = rows[r * grid.columns + i], difference = value - decoded[i];
      error.squaredError += difference * difference;
      error.squaredSum += value * value;
    }
  }
  return error;
}

int32_t codeSum(const uint8_t *codes, int64_t count) {
  int32_t sum = 0;
  for (int64_t i = 0; i < count; ++i)
    sum += static_cast<int8_t>(codes[i]);
  return sum;
}

// What stands beside the panels of channel-wise formats.
void finishChannelWise(WeightFormat format, int64_t columns, const uint8_t *codes,
                       const float *rowScales, float *scales, int32_t *corrections) {
  std::copy_n(rowScales, panelRows, scales);
  if (format == WeightFormat::W8)
    for (int64_t r = 0; r < panelRows; ++r)
      corrections[r] = -128 * codeSum(codes + r * columns, columns);
}

} // namespace

PackError quantizeRows(WeightFormat format, int64_t rowCount, int64_t k, const float *rows,
                       uint8_t *codes, float *scales) {
  const WeightFormatInfo &facts = info(format);
  assert(facts.isInteger && !facts.block);
  return quantizeRowsApart(facts, paddedColumns(format, k), rowCount, k, k, rows, codes, scales);
}

PackError measureRows(WeightFormat format, int64_t rowCount, int64_t k, int64_t stride,
                      const float *rows) {
  const WeightFormatInfo &facts = info(format);
  if (facts.isInteger && !facts.block) {
    int64_t columns = paddedColumns(format, k);
    std::vector<float> scales(rowCount * (facts.group ? columns / facts.group : 1));
    return quantizeRowsApart(facts, columns, rowCount, k, stride, rows, nullptr, scales.data());
  }
  PackError error;
  for (int64_t r = 0; r < rowCount; ++r) {
    const float *row = rows + r * stride;
    error += facts.bits > 8 ? measureFloatRow(format, k, row)
                            : gridRoundingError(gridFromFloat(format, 1, k, row), row);
  }
  return error;
}

void layOutPanel(WeightFormat format, int64_t k, const uint8_t *codes, const float *groupScales,
                 std::span<uint8_t> panel) {
  const WeightFormatInfo &facts = info(format);
  assert(facts.isInteger && !facts.block);
  assert(static_cast<int64_t>(panel.size()) == panelBytes(format, k));
  int64_t columns = paddedColumns(format, k);
  // Blocks: a group with its scales, or 64 columns to keep the transpose in cache.
  int64_t blockColumns = facts.group ? facts.group : 64;
  int64_t codeBytes = blockColumns * panelRows * facts.bits / 8;
  int64_t blocks = columns / blockColumns;
  uint8_t *out = panel.data();
  for (int64_t block = 0; block < blocks; ++block) {
    layOutQuads(facts.bits, codes, columns, block * blockColumns / 4, blockColumns / 4, out,
                panelRows * facts.bits / 2);
    out += codeBytes;
    if (facts.group == 0)
      continue;
    for (int64_t r = 0; r < panelRows; ++r)
      storeHalf(out, r, f16FromFloat(groupScales[r * blocks + block]));
    out += 2 * panelRows;
  }
}

PackError packPanel(WeightFormat format, int64_t rowCount, int64_t k, const float *rows,
                    std::span<uint8_t> panel, float *scales, int32_t *corrections) {
  const WeightFormatInfo &facts = info(format);
  assert(rowCount >= 0 && rowCount <= panelRows);
  assert(static_cast<int64_t>(panel.size()) == panelBytes(format, k));
  if (facts.bits > 8)
    return packFloatPanel(format, rowCount, k, rows, panel);
  if (!facts.isInteger || facts.block) {
    GridRows grid = gridFromFloat(format, rowCount, k, rows);
    detail::layOutBlocks(grid, 0, rowCount, panel);
    return gridRoundingError(grid, rows);
  }

  int64_t columns = paddedColumns(format, k);
  int64_t scalesPerRow = facts.group ? columns / facts.group : 1;
  std::vector<uint8_t> codes(panelRows * columns, static_cast<uint8_t>(facts.codeOffset));
  std::vector<float> rowScales(panelRows * scalesPerRow, 0.0f);
  PackError error =
      quantizeRowsApart(facts, columns, rowCount, k, k, rows, codes.data(), rowScales.data());
  layOutPanel(format, k, codes.data(), rowScales.data(), panel);
  if (facts.group == 0)
    finishChannelWise(format, columns, codes.data(), rowScales.data(), scales, corrections);
  return error;
}

void packPanelFromGrid(const GridRows &grid, int64_t firstRow, int64_t rowCount,
                       std::span<uint8_t> panel, float *scales, int32_t *corrections) {
  const WeightFormatInfo &facts = info(grid.format);
  int64_t k = grid.columns, columns = paddedColumns(grid.format, k);
  int64_t gridScales = grid.scalesPerRow();
  assert(facts.bits <= 8 && rowCount >= 0 && rowCount <= panelRows);
  assert(firstRow >= 0 && firstRow + rowCount <= grid.rows);
  assert(static_cast<int64_t>(grid.codes.size()) == grid.rows * k);
  if (!facts.isInteger || facts.block)
    return detail::layOutBlocks(grid, firstRow, rowCount, panel);
  assert(gridScales == (facts.group ? (k + facts.group - 1) / facts.group : 1));
  int64_t scalesPerRow = facts.group ? columns / facts.group : 1;
  std::vector<uint8_t> codes(panelRows * columns, static_cast<uint8_t>(facts.codeOffset));
  std::vector<float> rowScales(panelRows * scalesPerRow, 0.0f);
  for (int64_t r = 0; r < rowCount; ++r) {
    const int8_t *from = grid.codes.data() + (firstRow + r) * k;
    for (int64_t i = 0; i < k; ++i)
      codes[r * columns + i] = static_cast<uint8_t>(from[i] + facts.codeOffset);
    std::copy_n(grid.scales.data() + (firstRow + r) * gridScales, gridScales,
                rowScales.data() + r * scalesPerRow);
  }
  layOutPanel(grid.format, k, codes.data(), rowScales.data(), panel);
  if (facts.group == 0)
    finishChannelWise(grid.format, columns, codes.data(), rowScales.data(), scales, corrections);
}

PackError packMatrix(WeightFormat format, int64_t n, int64_t k, const float *rows,
                     std::span<uint8_t> blob) {
  assert(static_cast<int64_t>(blob.size()) == packedBytes(format, n, k));
  PackError error;
  int64_t bytes = panelBytes(format, k);
  bool channelWise = info(format).isInteger && info(format).group == 0;
  float scales[panelRows];
  int32_t corrections[panelRows];
  for (int64_t first = 0, panel = 0; first < n; first += panelRows, ++panel) {
    error += packPanel(format, std::min(panelRows, n - first), k, rows + first * k,
                       blob.subspan(panel * bytes, bytes), scales, corrections);
    if (!channelWise)
      continue;
    std::memcpy(blob.data() + scalesOffset(format, n, k) + 4 * first, scales, sizeof(scales));
    if (format == WeightFormat::W8)
      std::memcpy(blob.data() + correctionOffset(format, n, k) + 4 * first, corrections,
                  sizeof(corrections));
  }
  return error;
}

namespace {

void layOutTableSlice(const WeightFormatInfo &facts, const uint8_t *codes, int64_t columns,
                      uint8_t *out) {
  if (facts.bits == 8) {
    std::memcpy(out, codes, columns);
    return;
  }
  int64_t fields = 8 / facts.bits; // a byte holds columns j, j + 16, …
  for (int64_t first = 0; first < columns; first += 16 * fields, out += 16)
    for (int64_t j = 0; j < 16; ++j) {
      unsigned byte = 0;
      for (int64_t field = 0; field < fields; ++field)
        byte |= static_cast<unsigned>(codes[first + 16 * field + j]) << (facts.bits * field);
      out[j] = static_cast<uint8_t>(byte);
    }
}

} // namespace

PackError encodeTableRows(WeightFormat format, int64_t rowCount, int64_t columns, int64_t slices,
                          const float *rows, std::span<uint8_t> out) {
  const WeightFormatInfo &facts = info(format);
  int64_t rowBytes = rowTableRowBytes(format, columns, slices);
  assert(isRowTableFormat(format));
  assert(static_cast<int64_t>(out.size()) == rowCount * rowBytes);
  int64_t padded = (columns + 63) / 64 * 64, pieces = rowCount * slices;
  int64_t sliceBytes = rowTableSliceBytes(format, columns);
  std::memset(out.data(), 0, out.size());
  PackError error;
  std::vector<uint8_t> codes(facts.isInteger ? pieces * padded : 0);
  std::vector<float> scales(facts.isInteger ? pieces : 0);
  if (facts.isInteger)
    error = quantizeRowsApart(facts, padded, pieces, columns, columns, rows, codes.data(),
                              scales.data());
  for (int64_t piece = 0; piece < pieces; ++piece) {
    const float *values = rows + piece * columns;
    uint8_t *row = out.data() + piece / slices * rowBytes, *at = row + piece % slices * sliceBytes;
    if (facts.isInteger) {
      layOutTableSlice(facts, codes.data() + piece * padded, padded, at);
      std::memcpy(row + slices * sliceBytes + 4 * (piece % slices), &scales[piece], 4);
      continue;
    }
    error += measureFloatRow(format, columns, values);
    if (format == WeightFormat::F32)
      std::memcpy(at, values, 4 * columns);
    else
      for (int64_t i = 0; i < columns; ++i)
        storeHalf(at, i, bf16FromFloat(values[i]));
  }
  return error;
}

void encodeTableRowFromGrid(const GridRows &grid, int64_t row, int64_t slices,
                            std::span<uint8_t> out) {
  const WeightFormatInfo &facts = info(grid.format);
  int64_t columns = grid.columns / slices, scalesPerRow = grid.scalesPerRow();
  assert(facts.isInteger && isRowTableFormat(grid.format) && columns * slices == grid.columns);
  assert(row >= 0 && row < grid.rows && (scalesPerRow == 1 || scalesPerRow == slices));
  assert(static_cast<int64_t>(out.size()) == rowTableRowBytes(grid.format, columns, slices));
  int64_t padded = (columns + 63) / 64 * 64;
  int64_t sliceBytes = rowTableSliceBytes(grid.format, columns);
  std::memset(out.data(), 0, out.size());
  std::vector<uint8_t> codes(padded);
  for (int64_t slice = 0; slice < slices; ++slice) {
    const int8_t *from = grid.codes.data() + row * grid.columns + slice * columns;
    std::fill(codes.begin() + columns, codes.end(), static_cast<uint8_t>(facts.codeOffset));
    for (int64_t i = 0; i < columns; ++i)
      codes[i] = static_cast<uint8_t>(from[i] + facts.codeOffset);
    layOutTableSlice(facts, codes.data(), padded, out.data() + slice * sliceBytes);
    float scale = grid.scales[row * scalesPerRow + (scalesPerRow == 1 ? 0 : slice)];
    std::memcpy(out.data() + slices * sliceBytes + 4 * slice, &scale, 4);
  }
}

} // namespace gcompile
