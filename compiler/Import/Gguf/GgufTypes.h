// The tensor types of GGUF files: one table with size and decoder of each. A block is a fixed
// number of consecutive values of one row; rows begin on blocks. Values are f32, computed left to
// right as the format's formula is written, bit for bit what the format's own library gives.
#pragma once

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"

#include <cstdint>
#include <string>

namespace gcompile {

// Decodes `count` consecutive blocks into count · blockValues floats. Answers the index of the
// first block with a scale that is no finite number (or that no writer makes), `count` when there
// is none; what was decoded of such a block has no meaning.
using GgufDecode = size_t (*)(const uint8_t *blocks, size_t count, float *values);

struct GgufType {
  uint32_t id;
  llvm::StringRef name; // as GGUF's own tools spell it: "Q4_K"
  uint32_t blockValues; // 1 for plain numbers
  uint32_t blockBytes;
  GgufDecode decode; // null: known by size, not read as weights (integers, f64)
};

llvm::ArrayRef<GgufType> ggufTypes();
const GgufType *findGgufType(uint32_t id); // null: ggufTypeFault says why
const GgufType *findGgufType(llvm::StringRef name);

// What a type that is not in the table is, and what to use instead: "IQ2_XS (16), whose codes are
// looked up in lattice tables; …".
std::string ggufTypeFault(uint32_t id);

} // namespace gcompile
