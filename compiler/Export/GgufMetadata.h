// Key/value pairs of a GGUF header, and those that llama.cpp wants of a Gemma 4 model.
#pragma once

#include "compiler/Import/ImportModel.h"

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"

#include <bit>
#include <cstdint>
#include <string>

namespace gcompile {

// Little-endian bytes of a header.
class GgufBytes {
public:
  template <typename T>
  void number(T value) {
    static_assert(std::endian::native == std::endian::little);
    text.append(reinterpret_cast<const char *>(&value), sizeof value);
  }
  void string(llvm::StringRef value) {
    number(uint64_t(value.size()));
    text.append(value.begin(), value.end());
  }
  std::string text;
};

class GgufMetadata {
public:
  void add(llvm::StringRef key, llvm::StringRef value);
  void add(llvm::StringRef key, uint32_t value);
  void add(llvm::StringRef key, float value);
  void add(llvm::StringRef key, bool value);
  void add(llvm::StringRef key, llvm::ArrayRef<int32_t> values);
  void add(llvm::StringRef key, llvm::ArrayRef<float> values);
  void add(llvm::StringRef key, llvm::ArrayRef<bool> values);
  void add(llvm::StringRef key, llvm::ArrayRef<std::string> values);
  // One number where all layers agree, else one per layer.
  void addPerLayer(llvm::StringRef key, llvm::ArrayRef<int32_t> values);

  uint64_t count() const { return pairs; }
  const std::string &bytes() const { return out.text; }

private:
  void key(llvm::StringRef name, uint32_t type);
  void arrayOf(llvm::StringRef name, uint32_t type, uint64_t count);
  GgufBytes out;
  uint64_t pairs = 0;
};

// Sizes, tokenizer and chat template. `fileType`: llama.cpp's label of the most common tensor type.
GgufMetadata ggufMetadata(const ImportedModel &model, uint32_t fileType);

} // namespace gcompile
