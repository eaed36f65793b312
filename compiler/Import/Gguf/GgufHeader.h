// What stands before the data of a GGUF file (versions 2 and 3): keys with values, and the list of
// tensors, every number checked against the size of the file before anything is read or allocated
// by it. Apart from the reader of weights so that tests and the fuzzer can feed it bytes;
// importance matrices and models share it.
#pragma once

#include "compiler/Import/Gguf/GgufTypes.h"

#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Support/Error.h"

#include <cstdint>
#include <string>
#include <vector>

namespace gcompile {

enum class GgufValueType : uint8_t {
  U8,
  I8,
  U16,
  I16,
  U32,
  I32,
  F32,
  Bool,
  String,
  Array,
  U64,
  I64,
  F64
};

// One value, or an array of values of one type. Integers of all widths are int64 (larger ones are
// refused while reading).
struct GgufValue {
  GgufValueType type = GgufValueType::U32; // of the element, in arrays
  bool isArray = false;
  std::vector<int64_t> integers; // integer types and bool
  std::vector<double> numbers;   // f32, f64
  std::string text;              // strings, one after the other
  std::vector<uint32_t> ends;    // of each string in `text`

  size_t size() const; // 1 for a single value
  llvm::StringRef string(size_t index) const;
  bool isInteger() const { return type != GgufValueType::String && !isNumber(); }
  bool isNumber() const { return type == GgufValueType::F32 || type == GgufValueType::F64; }
};

struct GgufTensor {
  std::string name;
  const GgufType *type = nullptr;
  llvm::SmallVector<int64_t, 4> extents; // ne: the fastest first; empty: a scalar
  uint64_t offset = 0;                   // from the start of the file
  uint64_t bytes = 0;

  int64_t elements() const;
};

struct GgufHeader {
  uint32_t version = 0;
  llvm::StringMap<GgufValue> values;
  std::vector<std::string> keys; // in the order of the file
  std::vector<GgufTensor> tensors;

  const GgufValue *find(llvm::StringRef key) const; // null: absent
  // The single string of this key; empty when it is absent or something else.
  llvm::StringRef text(llvm::StringRef key) const;
};

// A file of `bytes` bytes; `read` fills its second argument from that offset on.
struct GgufSource {
  uint64_t bytes = 0;
  llvm::function_ref<llvm::Error(uint64_t, llvm::MutableArrayRef<uint8_t>)> read;
};

// `what` names the file in messages.
llvm::Expected<GgufHeader> parseGgufHeader(const GgufSource &source, llvm::StringRef what);

// Whether a file begins like one of GGUF.
bool isGguf(llvm::StringRef firstBytes);

} // namespace gcompile
