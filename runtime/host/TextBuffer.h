// A text that grows piece by piece. What finds no memory is dropped and remembered, so that whoever
// builds a text looks once, at its end.
#pragma once

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

namespace gcompile::runtime {

class TextBuffer {
public:
  TextBuffer() = default;
  TextBuffer(const TextBuffer &) = delete;
  TextBuffer &operator=(const TextBuffer &) = delete;
  ~TextBuffer() { free(text); }
  void add(const char *string, uint64_t length);
  void add(const char *string) { add(string, strlen(string)); }

  char *text = nullptr;
  uint64_t bytes = 0, capacity = 0;
  bool failed = false;
};

} // namespace gcompile::runtime
