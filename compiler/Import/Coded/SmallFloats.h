// Floats of 4 and 8 bits as tables over all their codes (formats note, section 3). NaN codes decode
// to NaN, so that whoever reads a scale can refuse them.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

namespace gcompile {

inline float floatFromE4M3(uint8_t code) {
  int exponent = code >> 3 & 15, fraction = code & 7;
  float magnitude = exponent == 15 && fraction == 7 ? std::numeric_limits<float>::quiet_NaN()
                    : exponent == 0 ? std::ldexp(float(fraction), -9)
                                    : std::ldexp(float(8 + fraction), exponent - 10);
  return code & 0x80 ? -magnitude : magnitude;
}

inline float floatFromE5M2(uint8_t code) {
  int exponent = code >> 2 & 31, fraction = code & 3;
  float magnitude = exponent == 31  ? fraction ? std::numeric_limits<float>::quiet_NaN()
                                               : std::numeric_limits<float>::infinity()
                    : exponent == 0 ? std::ldexp(float(fraction), -16)
                                    : std::ldexp(float(4 + fraction), exponent - 17);
  return code & 0x80 ? -magnitude : magnitude;
}

inline float floatFromE8M0(uint8_t code) {
  return code == 255 ? std::numeric_limits<float>::quiet_NaN() : std::ldexp(1.0f, code - 127);
}

inline float floatFromE2M1(uint8_t code) {
  constexpr float values[8] = {0, .5f, 1, 1.5f, 2, 3, 4, 6};
  return code & 8 ? -values[code & 7] : values[code & 7];
}

// gemma.cpp's 8-bit "switched" floats: 2 bits of fraction below 2^-7, 3 from there on. 0x80 is
// reserved and decodes to 0.
inline float floatFromSfp8(uint8_t code) {
  int low = code & 127;
  float magnitude = low == 0   ? 0.0f
                    : low < 64 ? std::ldexp(float(4 + (low & 3)), (low >> 2) - 25)
                               : std::ldexp(float(8 + (low & 7)), (low >> 3) - 18);
  return code & 0x80 ? 0.0f - magnitude : magnitude;
}

// All values of a code of `bits` bits, for CodeNumbers::Table.
inline std::shared_ptr<const std::vector<float>> tableOf(float (*decode)(uint8_t), unsigned bits) {
  auto table = std::make_shared<std::vector<float>>(size_t(1) << bits);
  for (size_t code = 0; code < table->size(); ++code)
    (*table)[code] = decode(uint8_t(code));
  return table;
}

} // namespace gcompile
