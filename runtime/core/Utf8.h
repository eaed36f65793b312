// Strict UTF-8 (Unicode 15, table 3-7): no overlong forms, no surrogates, nothing above U+10FFFF.
#pragma once

#include <stdint.h>

namespace gcompile::runtime {

struct Utf8 {
  uint32_t codePoint; // when bytes > 0
  int bytes; // length of the character; 0: invalid at the first byte; -1: valid so far, more bytes
             // are needed
};

inline Utf8 decodeUtf8(const uint8_t *text, uint64_t bytes) {
  if (bytes == 0)
    return {0, -1};
  uint8_t a = text[0];
  if (a < 0x80)
    return {a, 1};
  int length = a >= 0xC2 && a <= 0xDF ? 2 : (a & 0xF0) == 0xE0 ? 3 : a >= 0xF0 && a <= 0xF4 ? 4 : 0;
  if (!length)
    return {0, 0};
  uint32_t code = a & (0x7F >> length);
  for (int i = 1; i < length; ++i) {
    if (uint64_t(i) >= bytes)
      return {0, -1};
    uint8_t low = 0x80, high = 0xBF;
    if (i == 1) {
      low = a == 0xE0 ? 0xA0 : a == 0xF0 ? 0x90 : 0x80;
      high = a == 0xED ? 0x9F : a == 0xF4 ? 0x8F : 0xBF;
    }
    if (text[i] < low || text[i] > high)
      return {0, 0};
    code = code << 6 | (text[i] & 0x3F);
  }
  return {code, length};
}

} // namespace gcompile::runtime
