#include "runtime/core/Status.h"

namespace gcompile::runtime {

Message &Message::operator<<(const char *string) {
  for (; *string; ++string)
    put(*string);
  return *this;
}

Message &Message::operator<<(uint64_t value) {
  char digits[20];
  int count = 0;
  do {
    digits[count++] = char('0' + value % 10);
    value /= 10;
  } while (value);
  while (count)
    put(digits[--count]);
  return *this;
}

Message &Message::operator<<(int64_t value) {
  if (value < 0)
    put('-');
  return *this << (value < 0 ? 0 - uint64_t(value) : uint64_t(value));
}

Message &Message::printable(const char *string, uint64_t bytes) {
  for (uint64_t i = 0; i < bytes && string[i]; ++i)
    put(string[i] >= 0x20 && string[i] < 0x7f ? string[i] : '?');
  return *this;
}

} // namespace gcompile::runtime
