// Which weight format holds a coded tensor without a change to any value.
#include "compiler/Import/Coded/CodeStream.h"
#include "compiler/Import/Coded/CodedTensor.h"
#include "compiler/Import/Coded/ScaleRows.h"
#include "ir/Format/FloatConvert.h"
#include "ir/Format/Grid.h"

#include <algorithm>

using llvm::Error;
using llvm::Expected;

namespace gcompile {

namespace {

constexpr int64_t chunkEntries = int64_t{1} << 18;

// Formats with one scale for each row or group, those with fewer bits and longer groups first, so
// that the first that holds a tensor is the smallest.
struct Candidate {
  WeightFormat format;
  int64_t scaleGroup; // 0: rows
};
constexpr Candidate candidates[] = {
    {WeightFormat::W2, 0},       {WeightFormat::W2G64, 64}, {WeightFormat::W4, 0},
    {WeightFormat::W4G128, 128}, {WeightFormat::W4G32, 32}, {WeightFormat::W8, 0},
    {WeightFormat::W8G32, 32},
};

struct Range {
  int low, high; // of code − zero
};

// Reads all zero points, as no format holds them: with 8 in each, codes of 4 bits are symmetric.
Expected<Range> rangeOf(const Checkpoint &raw, const CodedTensor &tensor) {
  int half = 1 << (tensor.bits - 1);
  if (!tensor.zeros.tensor)
    return Range{-half, half - 1};
  int least = INT32_MAX, most = INT32_MIN;
  std::vector<int32_t> zeros;
  int64_t step = std::max<int64_t>(1, chunkEntries / tensor.groups());
  for (int64_t row = 0; row < tensor.rows; row += step) {
    if (Error error = readZeros(raw, tensor, row, std::min(step, tensor.rows - row), zeros))
      return std::move(error);
    auto [low, high] = std::minmax_element(zeros.begin(), zeros.end());
    least = std::min(least, *low);
    most = std::max(most, *high);
  }
  int low = tensor.zeros.order == ZeroOrder::Plain ? -half : 0;
  return Range{low - most, low + 2 * half - 1 - least};
}

Expected<bool> scalesAreF16(const Checkpoint &raw, const CodedTensor &tensor) {
  std::vector<float> scales;
  // Few entries for many rows are not read once per row.
  int64_t unit = tensor.scales.rowsPerEntry;
  int64_t step = std::max<int64_t>(1, chunkEntries / tensor.groups() / unit) * unit;
  for (int64_t row = 0; row < tensor.rows; row += step) {
    if (Error error = readScales(raw, tensor, row, std::min(step, tensor.rows - row), scales))
      return std::move(error);
    for (float scale : scales)
      if (floatFromF16(f16FromFloat(scale)) != scale)
        return false;
  }
  return true;
}

bool holds(const Candidate &candidate, const CodedTensor &tensor, Range range) {
  const WeightFormatInfo &format = info(candidate.format);
  // Encoders leave -128 out to stay symmetric; grids may have it (ir/Format/Grid.h).
  int least = format.bits == 8 ? -128 : format.minCode;
  if (range.low < least || range.high > format.maxCode)
    return false;
  if (tensor.sliceColumns) // each slice is channel-wise
    return isRowTableFormat(candidate.format) && candidate.scaleGroup == 0 &&
           (tensor.groups() == 1 || tensor.groupColumns == tensor.sliceColumns);
  if (tensor.groups() == 1)
    return candidate.scaleGroup == 0;
  return candidate.scaleGroup != 0 && tensor.groupColumns % candidate.scaleGroup == 0 &&
         tensor.columns % tensor.groupColumns == 0;
}

// Codes of nf4's own table with a scale, of any f32, for each 64 columns or fewer.
bool holdsNf4(const CodedTensor &tensor) {
  int64_t run = gridRuns(WeightFormat::NF4).scale;
  bool fits = tensor.groupColumns % run == 0 || (tensor.groups() == 1 && tensor.columns < run);
  return fits && tensor.bits == 4 && tensor.sliceColumns == 0 &&
         std::equal(tensor.table->begin(), tensor.table->end(), nf4Table, nf4Table + 16);
}

} // namespace

Expected<std::optional<WeightFormat>> nativeFormatOf(const Checkpoint &raw,
                                                     const CodedTensor &tensor) {
  if (tensor.biases.tensor)
    return std::nullopt;
  if (tensor.numbers == CodeNumbers::Table)
    return !tensor.groupIndex && !tensor.zeros.tensor && holdsNf4(tensor)
               ? std::optional(WeightFormat::NF4)
               : std::nullopt;
  auto index = readGroupIndex(raw, tensor);
  if (!index)
    return index.takeError();
  if (!index->empty())
    return std::nullopt;
  Expected<Range> range = rangeOf(raw, tensor);
  if (!range)
    return range.takeError();
  for (const Candidate &candidate : candidates) {
    if (!holds(candidate, tensor, *range))
      continue;
    if (candidate.scaleGroup != 0) {
      Expected<bool> exact = scalesAreF16(raw, tensor);
      if (!exact)
        return exact.takeError();
      if (!*exact)
        return std::nullopt;
    }
    return candidate.format;
  }
  return std::nullopt;
}

} // namespace gcompile
