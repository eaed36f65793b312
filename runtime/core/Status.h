// Outcome of an operation inside the runtime: a code and one line for people, in fixed memory.
//
// Freestanding: no libc, no allocation. A line that does not fit is cut. Messages follow the house
// style: lower case, name the thing, the value, what was wanted, the way out.
#pragma once

#include "runtime/include/gcompile/runtime.h"

namespace gcompile::runtime {

class Message {
public:
  Message &clear() {
    used = 0;
    text[0] = 0;
    return *this;
  }
  Message &operator<<(const char *string);
  Message &operator<<(uint64_t value);
  Message &operator<<(int64_t value);
  Message &operator<<(uint32_t value) { return *this << uint64_t(value); }
  Message &operator<<(int32_t value) { return *this << int64_t(value); }
  // At most `bytes` of a string that may lack its zero; bytes that do not print become '?'.
  Message &printable(const char *string, uint64_t bytes);
  const char *c_str() const { return text; }

private:
  void put(char c) {
    if (used + 1 < sizeof text) {
      text[used++] = c;
      text[used] = 0;
    }
  }
  char text[512] = {0};
  uint32_t used = 0;
};

// What a function of the runtime returns; the message is written to by whoever fails.
using Status = gc_status;

} // namespace gcompile::runtime
