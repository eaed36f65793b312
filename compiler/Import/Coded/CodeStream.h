// Codes as a file holds them: one byte per code, in row order, whatever the packing. No signs, no
// scales.
#pragma once

#include "compiler/Import/Coded/CodedTensor.h"

namespace gcompile {

// Code `index` of a stream of `bits`-bit codes that starts at the first bit; the byte behind the
// last one needed must be readable.
inline uint8_t streamCode(const uint8_t *bytes, uint64_t index, unsigned bits) {
  uint64_t bit = index * bits;
  unsigned window = bytes[bit / 8] | unsigned(bytes[bit / 8 + 1]) << 8;
  return uint8_t(window >> bit % 8 & ((1u << bits) - 1));
}

// The nibble of a word that holds AWQ's column c.
constexpr unsigned awqNibble[8] = {0, 4, 1, 5, 2, 6, 3, 7};

// Bytes that the codes of the whole tensor take; none when a size overflows or does not divide.
std::optional<uint64_t> codeBytes(const CodedTensor &tensor);

// Stored codes of rows [firstRow, firstRow + rowCount), rowCount · columns of them.
llvm::Error readCodes(const Checkpoint &raw, const CodedTensor &tensor, int64_t firstRow,
                      int64_t rowCount, llvm::MutableArrayRef<uint8_t> out);

// Zero points of these rows, rowCount · groups of them, row-major.
llvm::Error readZeros(const Checkpoint &raw, const CodedTensor &tensor, int64_t firstRow,
                      int64_t rowCount, std::vector<int32_t> &out);

} // namespace gcompile
