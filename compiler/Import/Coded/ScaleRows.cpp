#include "compiler/Import/Coded/ScaleRows.h"

#include "compiler/Import/Coded/SmallFloats.h"
#include "compiler/Import/HostileJson.h"
#include "ir/Format/FloatConvert.h"

#include "llvm/Support/CheckedArithmetic.h"

#include <cstring>

using llvm::Error;
using llvm::Expected;
using llvm::Twine;

namespace gcompile {

namespace {

// Entry rows of `rows` weight rows.
int64_t entryRows(const ScaleGrid &grid, int64_t rows) {
  return (rows - 1) / grid.rowsPerEntry + 1;
}

float convertEntry(TensorType type, const uint8_t *bytes) {
  uint16_t half;
  float value;
  switch (type) {
  case TensorType::F8E4M3:
    return floatFromE4M3(*bytes);
  case TensorType::F8E8M0:
    return floatFromE8M0(*bytes);
  case TensorType::BF16:
    std::memcpy(&half, bytes, 2);
    return floatFromBf16(half);
  case TensorType::F16:
    std::memcpy(&half, bytes, 2);
    return floatFromF16(half);
  default:
    std::memcpy(&value, bytes, 4);
    return value;
  }
}

Error readFloats(const Checkpoint &raw, const TensorInfo &tensor, TensorType type, uint64_t first,
                 uint64_t count, float *out) {
  uint64_t size = tensorTypeBytes(type);
  llvm::SmallVector<uint8_t, 0> bytes;
  bytes.resize_for_overwrite(count * size);
  if (Error error = raw.read(tensor, first * size, bytes))
    return error;
  for (uint64_t i = 0; i < count; ++i) {
    out[i] = convertEntry(type, bytes.data() + i * size);
    if (!std::isfinite(out[i]))
      return importError("tensor " + inQuotes(tensor.name) + " has " +
                         (std::isnan(out[i]) ? "NaN" : "infinity") + " at element " +
                         Twine(first + i) + "; scales have to be finite");
  }
  return Error::success();
}

// Double quantised entries [first, first + count).
Error readNested(const Checkpoint &raw, const ScaleGrid &grid, uint64_t first, uint64_t count,
                 float *out) {
  float table[256];
  if (Error error = readFloats(raw, *grid.nestedTable, TensorType::F32, 0, 256, table))
    return error;
  uint64_t block = grid.nestedBlock, firstBlock = first / block;
  std::vector<float> scales((first + count - 1) / block + 1 - firstBlock);
  if (Error error = readFloats(raw, *grid.nestedScale, TensorType::F32, firstBlock, scales.size(),
                               scales.data()))
    return error;
  llvm::SmallVector<uint8_t, 0> codes;
  codes.resize_for_overwrite(count);
  if (Error error = raw.read(*grid.tensor, first, codes))
    return error;
  for (uint64_t i = 0; i < count; ++i)
    out[i] = table[codes[i]] * scales[(first + i) / block - firstBlock] + grid.nestedOffset;
  return Error::success();
}

} // namespace

std::optional<uint64_t> gridEntries(const ScaleGrid &grid, int64_t rows) {
  if (rows <= 0 || grid.rowsPerEntry <= 0 || grid.groups <= 0)
    return std::nullopt;
  return llvm::checkedMulUnsigned<uint64_t>(entryRows(grid, rows), grid.groups);
}

Error readGrid(const Checkpoint &raw, const ScaleGrid &grid, int64_t rows, int64_t firstRow,
               int64_t rowCount, std::vector<float> &out) {
  uint64_t groups = grid.groups, allRows = entryRows(grid, rows);
  uint64_t first = firstRow / grid.rowsPerEntry;
  uint64_t count = (firstRow + rowCount - 1) / grid.rowsPerEntry + 1 - first;
  std::vector<float> entries(count * groups);
  if (grid.transposed) {
    std::vector<float> column(count);
    for (uint64_t group = 0; group < groups; ++group) {
      if (Error error = readFloats(raw, *grid.tensor, grid.type, group * allRows + first, count,
                                   column.data()))
        return error;
      for (uint64_t row = 0; row < count; ++row)
        entries[row * groups + group] = column[row];
    }
  } else if (grid.nestedTable) {
    if (Error error = readNested(raw, grid, first * groups, count * groups, entries.data()))
      return error;
  } else if (Error error = readFloats(raw, *grid.tensor, grid.type, first * groups, count * groups,
                                      entries.data())) {
    return error;
  }
  out.resize(rowCount * groups);
  for (int64_t row = 0; row < rowCount; ++row)
    std::memcpy(out.data() + row * groups,
                entries.data() + ((firstRow + row) / grid.rowsPerEntry - first) * groups,
                groups * sizeof(float));
  return Error::success();
}

Error readScales(const Checkpoint &raw, const CodedTensor &tensor, int64_t firstRow,
                 int64_t rowCount, std::vector<float> &out) {
  if (Error error = readGrid(raw, tensor.scales, tensor.rows, firstRow, rowCount, out))
    return error;
  if (tensor.factor == 1)
    return Error::success();
  for (float &scale : out) {
    scale = tensor.divideByFactor ? scale / tensor.factor : scale * tensor.factor;
    if (!std::isfinite(scale))
      return importError("tensor " + inQuotes(tensor.scales.tensor->name) +
                         " has a scale that is not finite with the factor of the tensor, " +
                         std::to_string(tensor.factor));
  }
  return Error::success();
}

Expected<std::vector<uint32_t>> readGroupIndex(const Checkpoint &raw, const CodedTensor &tensor) {
  std::vector<uint32_t> result;
  if (!tensor.groupIndex)
    return result;
  std::vector<int32_t> stored(tensor.columns);
  if (Error error = raw.read(*tensor.groupIndex, 0,
                             {reinterpret_cast<uint8_t *>(stored.data()), stored.size() * 4}))
    return std::move(error);
  bool plain = true;
  for (int64_t k = 0; k < tensor.columns; ++k) {
    if (stored[k] == -1) // "no index": columns are in order
      return std::vector<uint32_t>();
    if (stored[k] < 0 || stored[k] >= tensor.groups())
      return importError("tensor " + inQuotes(tensor.groupIndex->name) + " puts column " +
                         Twine(k) + " in group " + Twine(stored[k]) + " of " +
                         Twine(tensor.groups()));
    plain &= stored[k] == k / tensor.groupColumns;
    result.push_back(uint32_t(stored[k]));
  }
  if (plain)
    result.clear();
  return result;
}

} // namespace gcompile
