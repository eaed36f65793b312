#include "ir/Format/Grid.h"
#include "ir/Format/BlockEncoders.h"
#include "ir/Format/FloatConvert.h"
#include "ir/Format/Pack.h"

#include <algorithm>
#include <cassert>
#include <cmath>

namespace gcompile {
namespace {

int64_t countOf(int64_t columns, int64_t run) { return run == 0 ? 1 : (columns + run - 1) / run; }

struct CodeRange {
  int least, most;
};
CodeRange codeRange(const WeightFormatInfo &facts) {
  if (facts.format == WeightFormat::NF4)
    return {0, 15};
  return {facts.bits == 8 ? -128 : facts.minCode, facts.maxCode};
}

std::string countError(const char *what, size_t count, int64_t wanted, const GridRows &grid) {
  if (int64_t(count) == wanted)
    return "";
  return "has " + std::to_string(count) + " " + what + " for " + std::to_string(grid.rows) +
         " rows of " + std::to_string(grid.columns) + " columns, expected " +
         std::to_string(wanted);
}

std::string sizesError(const GridRows &grid, const WeightFormatInfo &facts) {
  GridRuns runs = gridRuns(grid.format);
  if (std::string error = countError("codes", grid.codes.size(), grid.rows * grid.columns, grid);
      !error.empty())
    return error;
  // A table's rows may have a scale for each slice of their columns.
  int64_t perRow = grid.scalesPerRow();
  bool isSliced = runs.scale == 0 && perRow > 0 && grid.columns % perRow == 0;
  int64_t scales = grid.rows * (isSliced ? perRow : countOf(grid.columns, runs.scale));
  if (std::string error = countError("scales", grid.scales.size(), scales, grid); !error.empty())
    return error;
  bool hasMinima = facts.block && blockLayout(grid.format).hasMinima;
  int64_t small = runs.subScale ? grid.rows * countOf(grid.columns, runs.subScale) : 0;
  if (std::string error = countError("small scales", grid.subScales.size(), small, grid);
      !error.empty())
    return error;
  if (std::string error =
          countError("small minima", grid.subMins.size(), hasMinima ? small : 0, grid);
      !error.empty())
    return error;
  return countError("minimum scales", grid.minScales.size(), hasMinima ? scales : 0, grid);
}

std::string rangeError(const char *what, const std::vector<int8_t> &values, CodeRange range,
                       int64_t rows) {
  // Without a way out of the loop, so that it is one of vectors; nearly always it finds nothing.
  int8_t least = 127, most = -128;
  for (int8_t value : values)
    least = std::min(least, value), most = std::max(most, value);
  if (values.empty() || (least >= range.least && most <= range.most))
    return "";
  for (size_t i = 0; i < values.size(); ++i)
    if (values[i] < range.least || values[i] > range.most)
      return std::string("has ") + what + " " + std::to_string(values[i]) + " in row " +
             std::to_string(i / (values.size() / rows)) + ", expected " +
             std::to_string(range.least) + " to " + std::to_string(range.most);
  return "";
}

} // namespace

GridRuns gridRuns(WeightFormat format) {
  const WeightFormatInfo &facts = info(format);
  if (facts.block)
    return {facts.block, blockLayout(format).subScaleColumns};
  return {facts.group, 0};
}

std::string gridError(const GridRows &grid) {
  const WeightFormatInfo &facts = info(grid.format);
  if (facts.bits > 8)
    return "has format " + std::string(facts.name) + ", which is no grid";
  if (grid.rows < 1 || grid.columns < 1)
    return "has " + std::to_string(grid.rows) + " rows of " + std::to_string(grid.columns) +
           " columns, expected some";
  if (std::string error = sizesError(grid, facts); !error.empty())
    return error;
  if (std::string error = rangeError("code", grid.codes, codeRange(facts), grid.rows);
      !error.empty())
    return error;
  if (grid.format == WeightFormat::Q4K)
    for (const std::vector<int8_t> *small : {&grid.subScales, &grid.subMins})
      if (std::string error = rangeError("small scale", *small, {0, 63}, grid.rows); !error.empty())
        return error;
  bool isHalf = facts.isInteger && facts.group;
  for (const std::vector<float> *scales : {&grid.scales, &grid.minScales})
    for (float scale : *scales)
      if (!std::isfinite(scale) || (isHalf && floatFromF16(f16FromFloat(scale)) != scale))
        return "has scale " + std::to_string(scale) + ", expected a finite " +
               (isHalf ? "f16" : "f32");
  return "";
}

GridRows gridFromFloat(WeightFormat format, int64_t rows, int64_t columns, const float *values) {
  const WeightFormatInfo &facts = info(format);
  assert(facts.bits <= 8);
  GridRows grid;
  grid.format = format, grid.rows = rows, grid.columns = columns;
  if (!facts.isInteger || facts.block) {
    for (int64_t r = 0; r < rows; ++r)
      detail::appendEncodedRow(grid, values + r * columns);
    return grid;
  }
  int64_t padded = paddedColumns(format, columns);
  int64_t scalesPerRow = countOf(columns, facts.group);
  int64_t paddedScales = countOf(padded, facts.group);
  std::vector<uint8_t> codes(rows * padded);
  std::vector<float> scales(rows * paddedScales);
  quantizeRows(format, rows, columns, values, codes.data(), scales.data());
  for (int64_t r = 0; r < rows; ++r) {
    // Codes with an offset are unsigned, others signed.
    for (int64_t i = 0; i < columns; ++i)
      grid.codes.push_back(int8_t(codes[r * padded + i] - facts.codeOffset));
    auto rowScales = scales.begin() + r * paddedScales;
    grid.scales.insert(grid.scales.end(), rowScales, rowScales + scalesPerRow);
  }
  return grid;
}

void decodeGridRow(const GridRows &grid, int64_t row, std::span<double> values) {
  const int8_t *codes = grid.codes.data() + row * grid.columns;
  GridRuns runs = gridRuns(grid.format);
  int64_t perRow = grid.scalesPerRow();
  int64_t run = runs.scale ? runs.scale : grid.columns / perRow;
  const float *scales = grid.scales.data() + row * perRow;
  int64_t first = runs.subScale ? row * countOf(grid.columns, runs.subScale) : 0;
  for (int64_t i = 0; i < grid.columns; ++i) {
    double scale = scales[i / run], code = codes[i];
    switch (grid.format) {
    case WeightFormat::NF4:
      values[i] = nf4Table[codes[i]] * scale;
      break;
    case WeightFormat::Q4K:
      values[i] = scale * grid.subScales[first + i / 32] * code -
                  double(grid.minScales[row * perRow + i / run]) * grid.subMins[first + i / 32];
      break;
    case WeightFormat::Q6K:
      values[i] = scale * grid.subScales[first + i / 16] * code;
      break;
    default:
      values[i] = scale * code;
    }
  }
}

void decodeGridRow(const GridRows &grid, int64_t row, float *values) {
  std::vector<double> exact(grid.columns);
  decodeGridRow(grid, row, exact);
  for (int64_t i = 0; i < grid.columns; ++i)
    values[i] = float(exact[i]);
}

} // namespace gcompile
