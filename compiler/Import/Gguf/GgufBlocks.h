// Decoders of GGUF's block codes (GgufTypes.h). Bit layouts are described where they are decoded.
#pragma once

#include <cstddef>
#include <cstdint>

namespace gcompile::gguf {

// The same signature for all (GgufDecode).
size_t decodeF32(const uint8_t *, size_t, float *);
size_t decodeF16(const uint8_t *, size_t, float *);
size_t decodeBF16(const uint8_t *, size_t, float *);
size_t decodeQ4_0(const uint8_t *, size_t, float *);
size_t decodeQ4_1(const uint8_t *, size_t, float *);
size_t decodeQ5_0(const uint8_t *, size_t, float *);
size_t decodeQ5_1(const uint8_t *, size_t, float *);
size_t decodeQ8_0(const uint8_t *, size_t, float *);
size_t decodeIQ4_NL(const uint8_t *, size_t, float *);
size_t decodeMXFP4(const uint8_t *, size_t, float *);
size_t decodeNVFP4(const uint8_t *, size_t, float *); // without the tensor's own .scale
size_t decodeQ1_0(const uint8_t *, size_t, float *);
size_t decodeQ2_0(const uint8_t *, size_t, float *);
size_t decodeQ2_K(const uint8_t *, size_t, float *);
size_t decodeQ3_K(const uint8_t *, size_t, float *);
size_t decodeQ4_K(const uint8_t *, size_t, float *);
size_t decodeQ5_K(const uint8_t *, size_t, float *);
size_t decodeQ6_K(const uint8_t *, size_t, float *);
size_t decodeIQ4_XS(const uint8_t *, size_t, float *);
size_t decodeTQ1_0(const uint8_t *, size_t, float *);
size_t decodeTQ2_0(const uint8_t *, size_t, float *);

// The 6-bit scale and minimum of sub-block k (0 … 7) in the 12 bytes that Q4_K and Q5_K share.
struct ScaleAndMin {
  uint8_t scale, min;
};
inline ScaleAndMin unpackScaleAndMin(const uint8_t *packed, int k) {
  if (k < 4)
    return {static_cast<uint8_t>(packed[k] & 63), static_cast<uint8_t>(packed[k + 4] & 63)};
  return {static_cast<uint8_t>((packed[k + 4] & 15) | (packed[k - 4] >> 6) << 4),
          static_cast<uint8_t>(packed[k + 4] >> 4 | (packed[k] >> 6) << 4)};
}

// The code (-32 … 31) of element i of a block of Q6_K: four low bits, two high ones, in runs of
// 128.
inline int codeOfQ6_K(const uint8_t *block, int i) {
  int n = i / 128, j = i % 128 / 32, l = i % 32;
  int low = block[64 * n + 32 * (j % 2) + l] >> (4 * (j / 2)) & 15;
  int high = block[128 + 32 * n + l] >> (2 * j) & 3;
  return (low | high << 4) - 32;
}

} // namespace gcompile::gguf
