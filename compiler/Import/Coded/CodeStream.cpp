#include "compiler/Import/Coded/CodeStream.h"

#include "llvm/Support/CheckedArithmetic.h"

#include <cstring>

using llvm::Error;
using llvm::MutableArrayRef;

namespace gcompile {

namespace {

using Bytes = llvm::SmallVector<uint8_t, 0>;

// With one byte more than asked for, so that streamCode may look ahead.
Error readBytes(const Checkpoint &raw, const TensorInfo &tensor, uint64_t offset, uint64_t count,
                Bytes &out) {
  out.resize_for_overwrite(count + 1);
  out[count] = 0;
  return raw.read(tensor, offset, {out.data(), count});
}

uint64_t rowBytes(const CodedTensor &tensor) {
  return tensor.codes->bytes / static_cast<uint64_t>(tensor.rows);
}

void unpackStream(const uint8_t *bytes, unsigned bits, uint64_t first,
                  MutableArrayRef<uint8_t> out) {
  switch (first == 0 ? bits : 0) {
  case 8:
    std::memcpy(out.data(), bytes, out.size());
    return;
  case 4:
    for (size_t i = 0; i < out.size(); ++i)
      out[i] = bytes[i / 2] >> 4 * (i % 2) & 15;
    return;
  case 2:
    for (size_t i = 0; i < out.size(); ++i)
      out[i] = bytes[i / 4] >> 2 * (i % 4) & 3;
    return;
  default:
    for (size_t i = 0; i < out.size(); ++i)
      out[i] = streamCode(bytes, first + i, bits);
  }
}

uint32_t wordAt(const uint8_t *bytes, uint64_t index) {
  uint32_t word;
  std::memcpy(&word, bytes + 4 * index, 4);
  return word;
}

void unpackWords(const uint8_t *bytes, unsigned bits, MutableArrayRef<uint8_t> out) {
  unsigned perWord = 32 / bits, mask = (1u << bits) - 1;
  for (size_t i = 0; i < out.size(); ++i)
    out[i] = uint8_t(wordAt(bytes, i / perWord) >> i % perWord * bits & mask);
}

Error readRowOrders(const Checkpoint &raw, const CodedTensor &tensor, int64_t firstRow,
                    int64_t rowCount, MutableArrayRef<uint8_t> out) {
  uint64_t stride = rowBytes(tensor);
  Bytes bytes;
  if (Error error = readBytes(raw, *tensor.codes, firstRow * stride, rowCount * stride, bytes))
    return error;
  for (int64_t row = 0; row < rowCount; ++row) {
    MutableArrayRef<uint8_t> codes = out.slice(row * tensor.columns, tensor.columns);
    const uint8_t *start = bytes.data() + row * stride;
    if (tensor.order == CodeOrder::RowWords)
      unpackWords(start, tensor.bits, codes);
    else
      unpackStream(start, tensor.bits, 0, codes);
  }
  return Error::success();
}

Error readFlat(const Checkpoint &raw, const CodedTensor &tensor, int64_t firstRow, int64_t rowCount,
               MutableArrayRef<uint8_t> out) {
  uint64_t firstBit = uint64_t(firstRow) * tensor.columns * tensor.bits;
  uint64_t endBit = firstBit + uint64_t(rowCount) * tensor.columns * tensor.bits;
  uint64_t begin = firstBit / 8, end = (endBit + 7) / 8;
  Bytes bytes;
  if (Error error = readBytes(raw, *tensor.codes, begin, end - begin, bytes))
    return error;
  uint64_t first = (firstBit - begin * 8) / tensor.bits;
  if (tensor.order == CodeOrder::FlatStream) {
    unpackStream(bytes.data(), tensor.bits, first, out);
    return Error::success();
  }
  for (size_t i = 0; i < out.size(); ++i)
    out[i] = bytes[(first + i) / 2] >> ((first + i) % 2 ? 0 : 4) & 15;
  return Error::success();
}

Error readColumnStream(const Checkpoint &raw, const CodedTensor &tensor, int64_t firstRow,
                       int64_t rowCount, MutableArrayRef<uint8_t> out) {
  uint64_t words = uint64_t(tensor.columns) * tensor.bits / 32;
  Bytes part, turned;
  turned.resize_for_overwrite(rowCount * words * 4 + 1);
  turned.back() = 0;
  for (uint64_t word = 0; word < words; ++word) {
    if (Error error = readBytes(raw, *tensor.codes, 4 * (word * tensor.rows + firstRow),
                                4 * uint64_t(rowCount), part))
      return error;
    for (int64_t row = 0; row < rowCount; ++row)
      std::memcpy(turned.data() + 4 * (row * words + word), part.data() + 4 * row, 4);
  }
  for (int64_t row = 0; row < rowCount; ++row)
    unpackStream(turned.data() + 4 * row * words, tensor.bits, 0,
                 out.slice(row * tensor.columns, tensor.columns));
  return Error::success();
}

Error readAwq(const Checkpoint &raw, const CodedTensor &tensor, int64_t firstRow, int64_t rowCount,
              MutableArrayRef<uint8_t> out) {
  uint64_t firstWord = firstRow / 8, endWord = (firstRow + rowCount + 7) / 8;
  Bytes part;
  for (int64_t k = 0; k < tensor.columns; ++k) {
    if (Error error = readBytes(raw, *tensor.codes, 4 * (k * (tensor.rows / 8) + firstWord),
                                4 * (endWord - firstWord), part))
      return error;
    for (int64_t row = 0; row < rowCount; ++row) {
      uint64_t n = firstRow + row;
      out[row * tensor.columns + k] =
          wordAt(part.data(), n / 8 - firstWord) >> 4 * awqNibble[n % 8] & 15;
    }
  }
  return Error::success();
}

int64_t plainInteger(TensorType type, const uint8_t *bytes) {
  switch (type) {
  case TensorType::I8:
    return static_cast<int8_t>(bytes[0]);
  case TensorType::U8:
    return bytes[0];
  case TensorType::I32: {
    int32_t value;
    std::memcpy(&value, bytes, 4);
    return value;
  }
  default: {
    int64_t value;
    std::memcpy(&value, bytes, 8);
    return value;
  }
  }
}

// Zero points whose streams run down the rows: words [.., groups].
Error readZerosDown(const Checkpoint &raw, const CodedTensor &tensor, int64_t firstRow,
                    int64_t rowCount, std::vector<int32_t> &out) {
  const ZeroPoints &zeros = tensor.zeros;
  uint64_t groups = tensor.groups(), bits = tensor.bits;
  uint64_t perWord = 32 / bits, words = zeros.tensor->bytes / 4 / groups;
  bool whole = zeros.order == ZeroOrder::DownWords;
  uint64_t firstWord = whole ? firstRow / perWord : firstRow * bits / 32;
  uint64_t endWord =
      whole ? (firstRow + rowCount - 1) / perWord + 1 : ((firstRow + rowCount) * bits + 31) / 32;
  endWord = std::min(endWord, words);
  Bytes bytes;
  if (Error error = readBytes(raw, *zeros.tensor, 4 * firstWord * groups,
                              4 * (endWord - firstWord) * groups, bytes))
    return error;
  for (int64_t row = 0; row < rowCount; ++row)
    for (uint64_t group = 0; group < groups; ++group) {
      uint64_t n = firstRow + row;
      uint64_t bit = whole ? n / perWord * 32 + n % perWord * bits : n * bits;
      uint64_t word = bit / 32 - firstWord;
      uint64_t window = wordAt(bytes.data(), word * groups + group);
      if (bit % 32 + bits > 32)
        window |= uint64_t(wordAt(bytes.data(), (word + 1) * groups + group)) << 32;
      out[row * groups + group] = int32_t(window >> bit % 32 & ((1u << bits) - 1)) + zeros.add;
    }
  return Error::success();
}

// Zero points whose streams run along the rows: words [groups, ..].
Error readZerosAlong(const Checkpoint &raw, const CodedTensor &tensor, int64_t firstRow,
                     int64_t rowCount, std::vector<int32_t> &out) {
  const ZeroPoints &zeros = tensor.zeros;
  uint64_t groups = tensor.groups(), bits = tensor.bits;
  uint64_t words = zeros.tensor->bytes / 4 / groups;
  uint64_t firstWord = firstRow * bits / 32, endWord = ((firstRow + rowCount) * bits + 31) / 32;
  Bytes bytes;
  for (uint64_t group = 0; group < groups; ++group) {
    if (Error error = readBytes(raw, *zeros.tensor, 4 * (group * words + firstWord),
                                4 * (endWord - firstWord), bytes))
      return error;
    for (int64_t row = 0; row < rowCount; ++row) {
      uint64_t n = firstRow + row;
      uint64_t bit = n * bits - firstWord * 32;
      unsigned window = bytes[bit / 8] | unsigned(bytes[bit / 8 + 1]) << 8;
      unsigned code = zeros.order == ZeroOrder::AwqWords
                          ? wordAt(bytes.data(), n / 8 - firstWord) >> 4 * awqNibble[n % 8] & 15
                          : window >> bit % 8 & ((1u << bits) - 1);
      out[row * groups + group] = int32_t(code) + zeros.add;
    }
  }
  return Error::success();
}

} // namespace

std::optional<uint64_t> codeBytes(const CodedTensor &tensor) {
  auto up = [](uint64_t value, uint64_t unit) { return (value + unit - 1) / unit; };
  uint64_t rows = tensor.rows, columns = tensor.columns, bits = tensor.bits;
  auto product = llvm::checkedMulUnsigned(rows, columns);
  if (!product || *product > UINT64_MAX / 64)
    return std::nullopt;
  switch (tensor.order) {
  case CodeOrder::RowStream: {
    // Rows may be filled up to whole words.
    uint64_t least = up(columns * bits, 8), stated = tensor.codes ? tensor.codes->bytes / rows : 0;
    bool padded = stated == up(columns * bits, 32) * 4;
    return rows * (padded ? stated : least);
  }
  case CodeOrder::RowWords:
    return rows * up(columns, 32 / bits) * 4;
  case CodeOrder::FlatStream:
    return up(*product * bits, 8);
  case CodeOrder::FlatHighNibble:
    return up(*product, 2);
  case CodeOrder::ColumnStream:
    if (columns * bits % 32 != 0)
      return std::nullopt;
    return *product * bits / 8;
  case CodeOrder::AwqWords:
    if (rows % 8 != 0)
      return std::nullopt;
    return *product / 2;
  }
  return std::nullopt;
}

Error readCodes(const Checkpoint &raw, const CodedTensor &tensor, int64_t firstRow,
                int64_t rowCount, MutableArrayRef<uint8_t> out) {
  switch (tensor.order) {
  case CodeOrder::RowStream:
  case CodeOrder::RowWords:
    return readRowOrders(raw, tensor, firstRow, rowCount, out);
  case CodeOrder::FlatStream:
  case CodeOrder::FlatHighNibble:
    return readFlat(raw, tensor, firstRow, rowCount, out);
  case CodeOrder::ColumnStream:
    return readColumnStream(raw, tensor, firstRow, rowCount, out);
  case CodeOrder::AwqWords:
    return readAwq(raw, tensor, firstRow, rowCount, out);
  }
  return Error::success();
}

Error readZeros(const Checkpoint &raw, const CodedTensor &tensor, int64_t firstRow,
                int64_t rowCount, std::vector<int32_t> &out) {
  uint64_t groups = tensor.groups();
  out.resize(rowCount * groups);
  switch (tensor.zeros.order) {
  case ZeroOrder::DownRows:
  case ZeroOrder::DownWords:
    return readZerosDown(raw, tensor, firstRow, rowCount, out);
  case ZeroOrder::AlongRows:
  case ZeroOrder::AwqWords:
    return readZerosAlong(raw, tensor, firstRow, rowCount, out);
  case ZeroOrder::Plain:
    break;
  }
  const TensorInfo &zeros = *tensor.zeros.tensor;
  uint64_t size = tensorTypeBytes(zeros.type), perTensor = zeros.elements() == 1;
  Bytes bytes;
  if (Error error = readBytes(raw, zeros, perTensor ? 0 : firstRow * groups * size,
                              perTensor ? size : rowCount * groups * size, bytes))
    return error;
  for (size_t i = 0; i < out.size(); ++i) {
    int64_t value = plainInteger(zeros.type, bytes.data() + (perTensor ? 0 : i * size));
    if (value < -256 || value > 256)
      return llvm::createStringError("tensor '" + zeros.name + "' has a zero point of " +
                                     llvm::Twine(value) + ", expected -256 to 256");
    out[i] = int32_t(value);
  }
  return Error::success();
}

} // namespace gcompile
