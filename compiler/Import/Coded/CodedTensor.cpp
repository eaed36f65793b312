#include "compiler/Import/Coded/CodedTensor.h"

#include "compiler/Import/Coded/CodeStream.h"
#include "compiler/Import/Coded/ScaleRows.h"
#include "compiler/Import/HostileJson.h"

#include <algorithm>
#include <cmath>

using llvm::Error;
using llvm::MutableArrayRef;
using llvm::Twine;

namespace gcompile {

namespace {

constexpr int64_t chunkCodes = int64_t{1} << 20;

Error refuse(const CodedTensor &tensor, const Twine &what) {
  return importError("module " + inQuotes(tensor.module) + ": " + what);
}

std::string described(const TensorInfo &tensor) {
  return inQuotes(tensor.name) + " is " + tensorTypeName(tensor.type).str() + " " +
         shapeString(tensor.shape);
}

bool isScaleType(TensorType type) {
  return type == TensorType::F32 || type == TensorType::BF16 || type == TensorType::F16 ||
         type == TensorType::F8E4M3 || type == TensorType::F8E8M0;
}

Error checkGrid(const CodedTensor &tensor, const ScaleGrid &grid) {
  if (!isScaleType(grid.type))
    return refuse(tensor, described(*grid.tensor) + ", expected floats");
  if (grid.groups != tensor.groups())
    return refuse(tensor, described(*grid.tensor) + ", expected " + Twine(tensor.groups()) +
                              " groups of columns as the scales have");
  std::optional<uint64_t> entries = gridEntries(grid, tensor.rows);
  uint64_t size = grid.nestedTable ? 1 : tensorTypeBytes(grid.type);
  if (!entries || *entries > UINT64_MAX / 8 || *entries * size != grid.tensor->bytes)
    return refuse(tensor, described(*grid.tensor) + ", expected " + Twine(entries.value_or(0)) +
                              " values of " + Twine(size) + " bytes for " + Twine(tensor.rows) +
                              " rows and " + Twine(grid.groups) + " groups");
  if (!grid.nestedTable)
    return Error::success();
  if (grid.nestedTable->type != TensorType::F32 || grid.nestedTable->elements() != 256)
    return refuse(tensor, described(*grid.nestedTable) + ", expected F32 256");
  uint64_t block = grid.nestedBlock;
  if (block == 0 || grid.nestedScale->type != TensorType::F32 ||
      uint64_t(grid.nestedScale->elements()) != (*entries - 1) / block + 1)
    return refuse(tensor, described(*grid.nestedScale) + ", expected F32 with one value per " +
                              Twine(block) + " of " + Twine(*entries) + " scales");
  return Error::success();
}

Error checkZeros(const CodedTensor &tensor) {
  const TensorInfo &zeros = *tensor.zeros.tensor;
  uint64_t rows = tensor.rows, groups = tensor.groups(), bits = tensor.bits, words = 0;
  switch (tensor.zeros.order) {
  case ZeroOrder::Plain: {
    bool integer = zeros.type == TensorType::I8 || zeros.type == TensorType::U8 ||
                   zeros.type == TensorType::I32 || zeros.type == TensorType::I64;
    uint64_t count = zeros.elements();
    if (!integer || (count != rows * groups && count != 1))
      return refuse(tensor, described(zeros) + ", expected an integer for each of " + Twine(rows) +
                                " rows and " + Twine(groups) + " groups");
    return Error::success();
  }
  case ZeroOrder::DownRows:
    words = (rows * bits + 31) / 32 * groups;
    break;
  case ZeroOrder::DownWords:
    words = (rows + 32 / bits - 1) / (32 / bits) * groups;
    break;
  case ZeroOrder::AlongRows:
    words = rows * bits % 32 == 0 ? rows * bits / 32 * groups : 0;
    break;
  case ZeroOrder::AwqWords:
    words = rows % 8 == 0 ? rows / 8 * groups : 0;
    break;
  }
  if (words == 0 || zeros.bytes != words * 4)
    return refuse(tensor, described(zeros) + ", expected " + Twine(words) +
                              " words of zero points for " + Twine(rows) + " rows and " +
                              Twine(groups) + " groups of " + Twine(bits) + " bits");
  return Error::success();
}

} // namespace

Error checkCodedTensor(const CodedTensor &tensor) {
  if (tensor.rows <= 0 || tensor.columns <= 0 || tensor.bits < 1 || tensor.bits > 8)
    return refuse(tensor, "codes of " + Twine(tensor.bits) + " bits for shape " +
                              Twine(tensor.rows) + "x" + Twine(tensor.columns) +
                              ", expected 1 to 8 bits and a shape that is not empty");
  std::optional<uint64_t> bytes = codeBytes(tensor);
  if (!bytes || *bytes != tensor.codes->bytes)
    return refuse(tensor, described(*tensor.codes) + " of " + Twine(tensor.codes->bytes) +
                              " bytes, expected " +
                              (bytes ? std::to_string(*bytes) : std::string("another shape")) +
                              " for " + Twine(tensor.rows) + "x" + Twine(tensor.columns) +
                              " codes of " + Twine(tensor.bits) + " bits");
  if (!tensor.scales.tensor)
    return refuse(tensor, "there are no scales");
  if (tensor.groups() <= 0 || tensor.groupColumns <= 0)
    return refuse(tensor, "groups of " + Twine(tensor.groupColumns) + " columns");
  // The last group may be short only where there are blocks of rows and columns.
  int64_t groups = (tensor.columns - 1) / tensor.groupColumns + 1;
  if (groups != tensor.groups() ||
      (tensor.columns % tensor.groupColumns != 0 && tensor.scales.rowsPerEntry == 1))
    return refuse(tensor, described(*tensor.scales.tensor) + " gives " + Twine(tensor.groups()) +
                              " groups; groups of " + Twine(tensor.groupColumns) +
                              " columns do not divide " + Twine(tensor.columns) +
                              " columns into as many");
  if (Error error = checkGrid(tensor, tensor.scales))
    return error;
  if (tensor.biases.tensor)
    if (Error error = checkGrid(tensor, tensor.biases))
      return error;
  if (tensor.zeros.tensor)
    if (Error error = checkZeros(tensor))
      return error;
  if (tensor.groupIndex && (tensor.groupIndex->type != TensorType::I32 ||
                            tensor.groupIndex->elements() != tensor.columns))
    return refuse(tensor,
                  described(*tensor.groupIndex) + ", expected I32 " + Twine(tensor.columns));
  if (tensor.numbers == CodeNumbers::Table &&
      (!tensor.table || tensor.table->size() != size_t(1) << tensor.bits))
    return refuse(tensor,
                  "the table of values does not fit codes of " + Twine(tensor.bits) + " bits");
  if (!std::isfinite(tensor.factor) || (tensor.divideByFactor && tensor.factor == 0))
    return refuse(tensor, "the scale of the whole tensor is " + std::to_string(tensor.factor));
  return Error::success();
}

namespace {

// What decoding some rows needs, read once.
struct RowParts {
  std::vector<uint8_t> codes;
  std::vector<float> scales, biases;
  std::vector<int32_t> zeros;
};

Error readParts(const Checkpoint &raw, const CodedTensor &tensor, int64_t firstRow,
                int64_t rowCount, RowParts &parts) {
  parts.codes.resize(rowCount * tensor.columns);
  if (Error error = readCodes(raw, tensor, firstRow, rowCount, parts.codes))
    return error;
  if (Error error = readScales(raw, tensor, firstRow, rowCount, parts.scales))
    return error;
  if (tensor.biases.tensor)
    if (Error error = readGrid(raw, tensor.biases, tensor.rows, firstRow, rowCount, parts.biases))
      return error;
  if (tensor.zeros.tensor)
    return readZeros(raw, tensor, firstRow, rowCount, parts.zeros);
  return Error::success();
}

// code = (stored ^ flip) − zero; codes of tables and of forms with a bias stay as they are stored.
struct CodeRule {
  unsigned flip = 0; // turns two's complement into offset binary
  int half = 0;
};

CodeRule ruleOf(const CodedTensor &tensor) {
  int half = 1 << (tensor.bits - 1);
  if (tensor.biases.tensor || tensor.numbers == CodeNumbers::Table)
    return {};
  // Packed zero points are in units of the stored code, plain ones of the signed one.
  bool inStored = tensor.zeros.tensor && tensor.zeros.order != ZeroOrder::Plain;
  return {tensor.numbers == CodeNumbers::TwosComplement ? unsigned(half) : 0, inStored ? 0 : half};
}

int zeroOf(const CodeRule &rule, const RowParts &parts, size_t entry) {
  return rule.half + (parts.zeros.empty() ? 0 : parts.zeros[entry]);
}

// Columns [begin, end) of a row, which share an entry.
void decodeGroup(const CodedTensor &tensor, const CodeRule &rule, const RowParts &parts,
                 size_t entry, llvm::ArrayRef<uint8_t> codes, float *target) {
  float scale = parts.scales[entry];
  if (tensor.numbers == CodeNumbers::Table) {
    for (size_t k = 0; k < codes.size(); ++k)
      target[k] = (*tensor.table)[codes[k]] * scale;
    return;
  }
  int zero = zeroOf(rule, parts, entry);
  float bias = parts.biases.empty() ? 0.0f : parts.biases[entry];
  if (bias != 0)
    for (size_t k = 0; k < codes.size(); ++k)
      target[k] = float(int(codes[k] ^ rule.flip) - zero) * scale + bias;
  else
    for (size_t k = 0; k < codes.size(); ++k)
      target[k] = float(int(codes[k] ^ rule.flip) - zero) * scale;
}

template <typename Sink>
Error forChunks(const CodedTensor &tensor, int64_t firstRow, int64_t rowCount, Sink sink) {
  int64_t step = std::max<int64_t>(1, chunkCodes / tensor.columns);
  for (int64_t done = 0; done < rowCount; done += step)
    if (Error error = sink(firstRow + done, std::min(step, rowCount - done), done))
      return error;
  return Error::success();
}

Error notFinite(const CodedTensor &tensor, int64_t row, int64_t column) {
  return refuse(tensor,
                "the value at row " + Twine(row) + ", column " + Twine(column) + " is not finite");
}

} // namespace

Error decodeRows(const Checkpoint &raw, const CodedTensor &tensor, int64_t firstRow,
                 int64_t rowCount, MutableArrayRef<float> out) {
  auto index = readGroupIndex(raw, tensor);
  if (!index)
    return index.takeError();
  RowParts parts;
  CodeRule rule = ruleOf(tensor);
  int64_t columns = tensor.columns, groups = tensor.groups();
  return forChunks(
      tensor, firstRow, rowCount, [&](int64_t first, int64_t count, int64_t done) -> Error {
        if (Error error = readParts(raw, tensor, first, count, parts))
          return error;
        for (int64_t row = 0; row < count; ++row) {
          llvm::ArrayRef<uint8_t> codes(parts.codes.data() + row * columns, columns);
          float *target = out.data() + (done + row) * columns;
          for (int64_t group = 0; group < groups && index->empty(); ++group) {
            int64_t begin = group * tensor.groupColumns;
            int64_t size = std::min(columns - begin, tensor.groupColumns);
            decodeGroup(tensor, rule, parts, row * groups + group, codes.slice(begin, size),
                        target + begin);
          }
          for (size_t k = 0; k < index->size(); ++k)
            decodeGroup(tensor, rule, parts, row * groups + (*index)[k], codes[k], target + k);
          bool finite = std::all_of(target, target + columns,
                                    [](float value) { return std::isfinite(value); });
          if (!finite)
            return notFinite(tensor, first + row,
                             std::find_if_not(target, target + columns, [](float value) {
                               return std::isfinite(value);
                             }) - target);
        }
        return Error::success();
      });
}

Error appendRowsOnGrid(const Checkpoint &raw, const CodedTensor &tensor, int64_t firstRow,
                       int64_t rowCount, GridRows &out) {
  int64_t columns = tensor.columns, groups = tensor.groups();
  int64_t run = gridRuns(out.format).scale;
  int64_t gridGroup = run                   ? std::min(run, columns)
                      : tensor.sliceColumns ? tensor.sliceColumns
                                            : columns;
  int64_t repeats = tensor.groupColumns / gridGroup;
  RowParts parts;
  CodeRule rule = ruleOf(tensor);
  out.codes.reserve(out.codes.size() + rowCount * columns);
  Error failed =
      forChunks(tensor, firstRow, rowCount, [&](int64_t first, int64_t count, int64_t) -> Error {
        if (Error error = readParts(raw, tensor, first, count, parts))
          return error;
        for (int64_t row = 0; row < count; ++row)
          for (int64_t group = 0; group < groups; ++group) {
            size_t entry = row * groups + group;
            out.scales.insert(out.scales.end(), repeats, parts.scales[entry]);
            const uint8_t *codes = parts.codes.data() + row * columns + group * tensor.groupColumns;
            size_t at = out.codes.size();
            out.codes.resize(at + tensor.groupColumns);
            int zero = zeroOf(rule, parts, entry);
            for (int64_t k = 0; k < tensor.groupColumns; ++k)
              out.codes[at + k] = int8_t(int(codes[k] ^ rule.flip) - zero);
          }
        return Error::success();
      });
  out.rows += rowCount;
  out.columns = columns;
  return failed;
}

} // namespace gcompile
