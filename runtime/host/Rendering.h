// A rendered conversation: its text, and the ranges where special tokens count.
#pragma once

#include "runtime/core/Tokenizer.h"
#include "runtime/host/TextBuffer.h"

namespace gcompile::runtime {

class Rendering {
public:
  Rendering() = default;
  Rendering(const Rendering &) = delete;
  Rendering &operator=(const Rendering &) = delete;
  ~Rendering() { free(ranges); }
  void markup(const char *string);
  // What spells a special token here is text all the same.
  void literal(const char *string, size_t length) { text.add(string, length); }

  bool failed() const { return text.failed; }

  TextBuffer text;
  ByteRange *ranges = nullptr;
  uint64_t rangeCount = 0;
};

} // namespace gcompile::runtime
