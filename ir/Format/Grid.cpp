#include "ir/Format/Grid.h"
#include "ir/Format/FloatConvert.h"
#include "ir/Format/Pack.h"

#include <cassert>
#include <cmath>

namespace gcompile {
namespace {

// How many scales a row has; a table's rows may have one for each slice of their columns.
std::string scaleCountError(const GridRows &grid, const WeightFormatInfo &facts) {
  int64_t perRow = grid.scalesPerRow();
  bool whole = perRow * grid.rows == int64_t(grid.scales.size());
  if (facts.group ? whole && perRow * facts.group == grid.columns
                  : whole && perRow > 0 && grid.columns % perRow == 0)
    return "";
  return "has " + std::to_string(grid.scales.size()) + " scales for " + std::to_string(grid.rows) +
         " rows of " + std::to_string(grid.columns) + " columns";
}

} // namespace

std::string gridError(const GridRows &grid) {
  const WeightFormatInfo &facts = info(grid.format);
  if (!facts.isInteger)
    return "has format " + std::string(facts.name) + ", which is no grid";
  if (grid.rows < 1 || grid.columns < 1 || (facts.group && grid.columns % facts.group))
    return "has " + std::to_string(grid.rows) + " rows of " + std::to_string(grid.columns) +
           " columns, expected whole groups of " + std::to_string(facts.group);
  if (int64_t(grid.codes.size()) != grid.rows * grid.columns)
    return "has " + std::to_string(grid.codes.size()) + " codes for " + std::to_string(grid.rows) +
           " rows of " + std::to_string(grid.columns) + " columns";
  if (std::string error = scaleCountError(grid, facts); !error.empty())
    return error;
  int least = facts.bits == 8 ? -128 : facts.minCode;
  for (size_t i = 0; i < grid.codes.size(); ++i)
    if (grid.codes[i] < least || grid.codes[i] > facts.maxCode)
      return "has code " + std::to_string(grid.codes[i]) + " in row " +
             std::to_string(i / grid.columns) + ", expected " + std::to_string(least) + " to " +
             std::to_string(facts.maxCode);
  for (float scale : grid.scales)
    if (!std::isfinite(scale) || (facts.group && floatFromF16(f16FromFloat(scale)) != scale))
      return "has scale " + std::to_string(scale) + ", expected a finite " +
             (facts.group ? "f16" : "f32");
  return "";
}

GridRows gridFromFloat(WeightFormat format, int64_t rows, int64_t columns, const float *values) {
  const WeightFormatInfo &facts = info(format);
  assert(facts.isInteger && (facts.group == 0 || columns % facts.group == 0));
  GridRows grid;
  grid.format = format, grid.rows = rows, grid.columns = columns;
  int64_t padded = paddedColumns(format, columns);
  int64_t paddedScales = facts.group ? padded / facts.group : 1;
  int64_t scalesPerRow = facts.group ? columns / facts.group : 1;
  std::vector<uint8_t> codes(padded);
  std::vector<float> scales(paddedScales);
  for (int64_t r = 0; r < rows; ++r) {
    quantizeRow(format, columns, values + r * columns, codes.data(), scales.data());
    // Codes with an offset are unsigned, others signed.
    for (int64_t i = 0; i < columns; ++i)
      grid.codes.push_back(int8_t(codes[i] - facts.codeOffset));
    grid.scales.insert(grid.scales.end(), scales.begin(), scales.begin() + scalesPerRow);
  }
  return grid;
}

void decodeGridRow(const GridRows &grid, int64_t row, float *values) {
  const int8_t *codes = grid.codes.data() + row * grid.columns;
  int64_t perRow = grid.scalesPerRow(), run = grid.columns / perRow;
  const float *scales = grid.scales.data() + row * perRow;
  for (int64_t i = 0; i < grid.columns; ++i)
    values[i] = float(codes[i]) * scales[i / run];
}

} // namespace gcompile
