// One function a type decodes one block; `each` makes the loop over blocks. Products are rounded
// one by one: this file is compiled without contraction to fused multiply-add.
#include "compiler/Import/Gguf/GgufBlocks.h"

#include "ir/Format/FloatConvert.h"

#include <array>
#include <bit>
#include <cstring>

namespace gcompile::gguf {

namespace {

uint16_t load16(const uint8_t *bytes) { return static_cast<uint16_t>(bytes[0] | bytes[1] << 8); }

uint32_t load32(const uint8_t *bytes) {
  uint32_t value;
  std::memcpy(&value, bytes, 4);
  return value;
}

float half(const uint8_t *bytes) { return floatFromF16(load16(bytes)); }

bool isFiniteHalf(const uint8_t *bytes) { return (load16(bytes) & 0x7c00u) != 0x7c00u; }

bool isFinite(float value) { return (std::bit_cast<uint32_t>(value) & 0x7f800000u) != 0x7f800000u; }

// 2^(e - 127); e = 0 is a subnormal number.
float powerOfE8M0(uint8_t e) {
  return std::bit_cast<float>(e == 0 ? 0x00400000u : static_cast<uint32_t>(e) << 23);
}

constexpr int8_t iq4Values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                  1,    13,   25,  38,  53,  69,  89,  113};

constexpr float e2m1Values[16] = {0,    .5f,  1,  1.5f,  2,  3,  4,  6,
                                  -0.f, -.5f, -1, -1.5f, -2, -3, -4, -6};

// Decode: bool (const uint8_t *block, float *out), false when a scale is no number.
template <size_t Bytes, size_t Values, typename Decode>
size_t each(const uint8_t *blocks, size_t count, float *values, Decode decode) {
  size_t firstBad = count;
  for (size_t i = 0; i < count; ++i)
    if (!decode(blocks + i * Bytes, values + i * Values) && firstBad == count)
      firstBad = i;
  return firstBad;
}

// Blocks of 32 whose element i < 16 is the low nibble of byte i, i >= 16 the high one of byte i
// - 16.
template <typename Value>
void decodeHalves(const uint8_t *codes, float *out, Value value) {
  for (int i = 0; i < 16; ++i) {
    out[i] = value(codes[i] & 15, i);
    out[i + 16] = value(codes[i] >> 4, i + 16);
  }
}

} // namespace

size_t decodeF32(const uint8_t *blocks, size_t count, float *values) {
  std::memcpy(values, blocks, count * 4);
  for (size_t i = 0; i < count; ++i)
    if (!isFinite(values[i]))
      return i;
  return count;
}

size_t decodeF16(const uint8_t *blocks, size_t count, float *values) {
  return each<2, 1>(blocks, count, values, [](const uint8_t *block, float *out) {
    *out = half(block);
    return isFiniteHalf(block);
  });
}

size_t decodeBF16(const uint8_t *blocks, size_t count, float *values) {
  return each<2, 1>(blocks, count, values, [](const uint8_t *block, float *out) {
    *out = floatFromBf16(load16(block));
    return isFinite(*out);
  });
}

size_t decodeQ4_0(const uint8_t *blocks, size_t count, float *values) {
  return each<18, 32>(blocks, count, values, [](const uint8_t *block, float *out) {
    float d = half(block);
    decodeHalves(block + 2, out, [=](int q, int) { return d * static_cast<float>(q - 8); });
    return isFiniteHalf(block);
  });
}

size_t decodeQ4_1(const uint8_t *blocks, size_t count, float *values) {
  return each<20, 32>(blocks, count, values, [](const uint8_t *block, float *out) {
    float d = half(block), m = half(block + 2);
    decodeHalves(block + 4, out, [=](int q, int) { return d * static_cast<float>(q) + m; });
    return isFiniteHalf(block) && isFiniteHalf(block + 2);
  });
}

size_t decodeQ5_0(const uint8_t *blocks, size_t count, float *values) {
  return each<22, 32>(blocks, count, values, [](const uint8_t *block, float *out) {
    float d = half(block);
    uint32_t fifth = load32(block + 2);
    decodeHalves(block + 6, out, [=](int q, int i) {
      return d * static_cast<float>((q | static_cast<int>(fifth >> i & 1) << 4) - 16);
    });
    return isFiniteHalf(block);
  });
}

size_t decodeQ5_1(const uint8_t *blocks, size_t count, float *values) {
  return each<24, 32>(blocks, count, values, [](const uint8_t *block, float *out) {
    float d = half(block), m = half(block + 2);
    uint32_t fifth = load32(block + 4);
    decodeHalves(block + 8, out, [=](int q, int i) {
      return d * static_cast<float>(q | static_cast<int>(fifth >> i & 1) << 4) + m;
    });
    return isFiniteHalf(block) && isFiniteHalf(block + 2);
  });
}

size_t decodeQ8_0(const uint8_t *blocks, size_t count, float *values) {
  return each<34, 32>(blocks, count, values, [](const uint8_t *block, float *out) {
    float d = half(block);
    for (int i = 0; i < 32; ++i)
      out[i] = d * static_cast<float>(static_cast<int8_t>(block[2 + i]));
    return isFiniteHalf(block);
  });
}

size_t decodeIQ4_NL(const uint8_t *blocks, size_t count, float *values) {
  return each<18, 32>(blocks, count, values, [](const uint8_t *block, float *out) {
    float d = half(block);
    decodeHalves(block + 2, out, [=](int q, int) { return d * static_cast<float>(iq4Values[q]); });
    return isFiniteHalf(block);
  });
}

// One power of two as scale; 255 is the format's "not a number".
size_t decodeMXFP4(const uint8_t *blocks, size_t count, float *values) {
  return each<17, 32>(blocks, count, values, [](const uint8_t *block, float *out) {
    float scale = powerOfE8M0(block[0]);
    decodeHalves(block + 1, out, [=](int q, int) { return scale * e2m1Values[q]; });
    return block[0] != 255;
  });
}

// Four unsigned E4M3 scales (0 and 0x7f decode to 0, bit 7 is never set), then 16 values each: byte
// 8s + j holds elements j and j + 8 of sub-block s.
size_t decodeNVFP4(const uint8_t *blocks, size_t count, float *values) {
  return each<36, 64>(blocks, count, values, [](const uint8_t *block, float *out) {
    bool valid = true;
    for (int s = 0; s < 4; ++s) {
      uint8_t code = block[s];
      valid &= code < 0x80;
      int exponent = code >> 3 & 15, fraction = code & 7;
      float scale = exponent ? std::bit_cast<float>(static_cast<uint32_t>(exponent + 120) << 23 |
                                                    static_cast<uint32_t>(fraction) << 20)
                             : static_cast<float>(fraction) * 0x1p-9f;
      if (code == 0x7f)
        scale = 0;
      for (int j = 0; j < 8; ++j) {
        uint8_t byte = block[4 + 8 * s + j];
        out[16 * s + j] = scale * e2m1Values[byte & 15];
        out[16 * s + j + 8] = scale * e2m1Values[byte >> 4];
      }
    }
    return valid;
  });
}

size_t decodeQ1_0(const uint8_t *blocks, size_t count, float *values) {
  return each<18, 128>(blocks, count, values, [](const uint8_t *block, float *out) {
    float d = half(block);
    for (int i = 0; i < 128; ++i)
      out[i] = block[2 + i / 8] >> (i % 8) & 1 ? d : -d;
    return isFiniteHalf(block);
  });
}

size_t decodeQ2_0(const uint8_t *blocks, size_t count, float *values) {
  return each<18, 64>(blocks, count, values, [](const uint8_t *block, float *out) {
    float d = half(block);
    for (int i = 0; i < 64; ++i)
      out[i] = d * static_cast<float>((block[2 + i / 4] >> (2 * (i % 4)) & 3) - 1);
    return isFiniteHalf(block);
  });
}

// Blocks of 256. Q2_K, Q3_K, Q6_K and TQ2_0 take 2-bit pieces from runs of 32 bytes: element
// 128n + 32j + l lies in byte 32n + l at bit 2j.

size_t decodeQ2_K(const uint8_t *blocks, size_t count, float *values) {
  return each<84, 256>(blocks, count, values, [](const uint8_t *block, float *out) {
    const uint8_t *codes = block + 16;
    float d = half(block + 80), dmin = half(block + 82);
    for (int i = 0; i < 256; i += 16) {
      int n = i / 128, j = i % 128 / 32, l = i % 32;
      float scale = d * static_cast<float>(block[i / 16] & 15);
      float min = dmin * static_cast<float>(block[i / 16] >> 4);
      for (int k = 0; k < 16; ++k)
        out[i + k] = scale * static_cast<float>(codes[32 * n + l + k] >> (2 * j) & 3) - min;
    }
    return isFiniteHalf(block + 80) && isFiniteHalf(block + 82);
  });
}

// The third bit of a code is stored inverted in hmask: set means not lowered by 4. Scales are 6
// bits, four of them in the first 8 bytes, two in the last 4.
size_t decodeQ3_K(const uint8_t *blocks, size_t count, float *values) {
  return each<110, 256>(blocks, count, values, [](const uint8_t *block, float *out) {
    const uint8_t *mask = block, *codes = block + 32, *scales = block + 96;
    float d = half(block + 108);
    for (int i = 0; i < 256; i += 16) {
      int n = i / 128, j = i % 128 / 32, l = i % 32, k = i / 16;
      int code = (scales[k % 8] >> (4 * (k / 8)) & 15) | (scales[8 + k % 4] >> (2 * (k / 4)) & 3)
                                                             << 4;
      float scale = d * static_cast<float>(code - 32);
      for (int e = 0; e < 16; ++e) {
        int q = codes[32 * n + l + e] >> (2 * j) & 3;
        int lowered = mask[l + e] >> (4 * n + j) & 1 ? 0 : 4;
        out[i + e] = scale * static_cast<float>(q - lowered);
      }
    }
    return isFiniteHalf(block + 108);
  });
}

// Sub-blocks 2p and 2p + 1 are the low and the high nibbles of the p-th run of 32 bytes.
size_t decodeQ4_K(const uint8_t *blocks, size_t count, float *values) {
  return each<144, 256>(blocks, count, values, [](const uint8_t *block, float *out) {
    float d = half(block), dmin = half(block + 2);
    for (int k = 0; k < 8; ++k) {
      ScaleAndMin sub = unpackScaleAndMin(block + 4, k);
      float scale = d * sub.scale, min = dmin * sub.min;
      const uint8_t *codes = block + 16 + 32 * (k / 2);
      for (int i = 0; i < 32; ++i)
        out[32 * k + i] = scale * static_cast<float>(codes[i] >> (4 * (k % 2)) & 15) - min;
    }
    return isFiniteHalf(block) && isFiniteHalf(block + 2);
  });
}

// As Q4_K, with the fifth bit of sub-block k's element i in bit k of qh[i].
size_t decodeQ5_K(const uint8_t *blocks, size_t count, float *values) {
  return each<176, 256>(blocks, count, values, [](const uint8_t *block, float *out) {
    float d = half(block), dmin = half(block + 2);
    for (int k = 0; k < 8; ++k) {
      ScaleAndMin sub = unpackScaleAndMin(block + 4, k);
      float scale = d * sub.scale, min = dmin * sub.min;
      const uint8_t *high = block + 16, *codes = block + 48 + 32 * (k / 2);
      for (int i = 0; i < 32; ++i) {
        int q = (codes[i] >> (4 * (k % 2)) & 15) | (high[i] >> k & 1) << 4;
        out[32 * k + i] = scale * static_cast<float>(q) - min;
      }
    }
    return isFiniteHalf(block) && isFiniteHalf(block + 2);
  });
}

size_t decodeQ6_K(const uint8_t *blocks, size_t count, float *values) {
  return each<210, 256>(blocks, count, values, [](const uint8_t *block, float *out) {
    float d = half(block + 208);
    for (int i = 0; i < 256; i += 16) {
      float scale = d * static_cast<float>(static_cast<int8_t>(block[192 + i / 16]));
      for (int e = 0; e < 16; ++e)
        out[i + e] = scale * static_cast<float>(codeOfQ6_K(block, i + e));
    }
    return isFiniteHalf(block + 208);
  });
}

size_t decodeIQ4_XS(const uint8_t *blocks, size_t count, float *values) {
  return each<136, 256>(blocks, count, values, [](const uint8_t *block, float *out) {
    float d = half(block);
    uint16_t high = load16(block + 2);
    for (int k = 0; k < 8; ++k) {
      int code = (block[4 + k / 2] >> (4 * (k % 2)) & 15) | (high >> (2 * k) & 3) << 4;
      float scale = d * static_cast<float>(code - 32);
      decodeHalves(block + 8 + 16 * k, out + 32 * k,
                   [=](int q, int) { return scale * static_cast<float>(iq4Values[q]); });
    }
    return isFiniteHalf(block);
  });
}

// Base 3, five digits a byte (the last four bytes: four). Digit p of a byte is found by multiplying
// with 3^p modulo 256: what is then above is 3/256ths.
size_t decodeTQ1_0(const uint8_t *blocks, size_t count, float *values) {
  return each<54, 256>(blocks, count, values, [](const uint8_t *block, float *out) {
    constexpr uint8_t power[5] = {1, 3, 9, 27, 81};
    float d = half(block + 52);
    auto value = [&](uint8_t byte, int digit) {
      auto shifted = static_cast<uint8_t>(byte * power[digit]);
      return static_cast<float>((shifted * 3 >> 8) - 1) * d;
    };
    for (int i = 0; i < 160; ++i)
      out[i] = value(block[i % 32], i / 32);
    for (int i = 0; i < 80; ++i)
      out[160 + i] = value(block[32 + i % 16], i / 16);
    for (int i = 0; i < 16; ++i)
      out[240 + i] = value(block[48 + i % 4], i / 4);
    return isFiniteHalf(block + 52);
  });
}

// No writer makes code 3; it decodes by the formula.
size_t decodeTQ2_0(const uint8_t *blocks, size_t count, float *values) {
  return each<66, 256>(blocks, count, values, [](const uint8_t *block, float *out) {
    float d = half(block + 64);
    for (int i = 0; i < 256; ++i)
      out[i] =
          static_cast<float>((block[i / 128 * 32 + i % 32] >> (2 * (i % 128 / 32)) & 3) - 1) * d;
    return isFiniteHalf(block + 64);
  });
}

} // namespace gcompile::gguf
