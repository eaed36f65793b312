// Each formula below is a line of the layout tables; nothing here is shared with the packers.
#include "ir/Format/ReferenceDecode.h"
#include "ir/Format/FloatConvert.h"

#include <cstring>

namespace gcompile {
namespace {

float loadFloat(const uint8_t *at) {
  float value;
  std::memcpy(&value, at, 4);
  return value;
}

uint16_t loadU16(const uint8_t *at) { return static_cast<uint16_t>(at[0] | at[1] << 8); }

int64_t roundUp(int64_t value, int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

// Start of the block of 256 and of the group of 32 columns that hold (n, k).
const uint8_t *blockQ4K(const uint8_t *blob, int64_t n, int64_t k, int64_t K) {
  int64_t Kp = roundUp(K, 64);
  return blob + n / 64 * (Kp / 32 * 1152 + (Kp + 255) / 256 * 256) + k / 256 * 9472;
}
const uint8_t *groupQ4K(const uint8_t *blob, int64_t n, int64_t k, int64_t K) {
  return blockQ4K(blob, n, k, K) + 256 + k % 256 / 32 * 1152;
}
const uint8_t *blockQ6K(const uint8_t *blob, int64_t n, int64_t k, int64_t K) {
  int64_t Kp = roundUp(K, 64);
  return blob + n / 64 * (Kp / 32 * 1664 + (Kp + 255) / 256 * 128) + k / 256 * 13440;
}
const uint8_t *groupQ6K(const uint8_t *blob, int64_t n, int64_t k, int64_t K) {
  return blockQ6K(blob, n, k, K) + 128 + k % 256 / 32 * 1664;
}

} // namespace

int decodeCode(WeightFormat format, const uint8_t *blob, int64_t n, int64_t k, int64_t N,
               int64_t K) {
  int64_t p = n / 64, r = n % 64, Kp = roundUp(K, 64);
  switch (format) {
  case WeightFormat::W8:
    return static_cast<int8_t>(
        blob[p * 64 * Kp + (k / 4) * 256 + (r / 16) * 64 + (r % 16) * 4 + k % 4]);
  case WeightFormat::W8G32:
    return static_cast<int8_t>(blob[p * 68 * Kp + (k / 32) * 2176 + ((k % 32) / 4) * 256 +
                                    (r / 16) * 64 + (r % 16) * 4 + k % 4]);
  case WeightFormat::W4: {
    uint8_t byte = blob[p * 32 * Kp + (k / 4) * 128 + (r / 32) * 64 + (r % 16) * 4 + k % 4];
    return (byte >> (4 * ((r / 16) % 2)) & 15) - 8;
  }
  case WeightFormat::W4G32: {
    uint8_t byte = blob[p * 36 * Kp + (k / 32) * 1152 + ((k % 32) / 4) * 128 + (r / 32) * 64 +
                        (r % 16) * 4 + k % 4];
    return (byte >> (4 * ((r / 16) % 2)) & 15) - 8;
  }
  case WeightFormat::W2: {
    uint8_t byte = blob[p * 16 * Kp + (k / 4) * 64 + (r % 16) * 4 + k % 4];
    return (byte >> (2 * (r / 16)) & 3) - 2;
  }
  case WeightFormat::W2G64: {
    uint8_t byte = blob[p * 18 * Kp + (k / 64) * 1152 + ((k % 64) / 4) * 64 + (r % 16) * 4 + k % 4];
    return (byte >> (2 * (r / 16)) & 3) - 2;
  }
  case WeightFormat::W4G128: {
    uint8_t byte = blob[p * 32 * Kp + p * ((Kp + 127) / 128) * 128 + (k / 128 + 1) * 128 +
                        (k / 4) * 128 + (r / 32) * 64 + (r % 16) * 4 + k % 4];
    return (byte >> (4 * ((r / 16) % 2)) & 15) - 8;
  }
  case WeightFormat::Q4K: {
    uint8_t byte =
        groupQ4K(blob, n, k, K)[((k % 32) / 4) * 128 + (r / 32) * 64 + (r % 16) * 4 + k % 4];
    return byte >> (4 * ((r / 16) % 2)) & 15;
  }
  case WeightFormat::Q6K: {
    const uint8_t *quad = groupQ6K(blob, n, k, K) + ((k % 32) / 4) * 192;
    int low = quad[(r / 32) * 64 + (r % 16) * 4 + k % 4] >> (4 * ((r / 16) % 2)) & 15;
    int high = quad[128 + (r % 16) * 4 + k % 4] >> (2 * (r / 16)) & 3;
    return low + 16 * high - 32;
  }
  case WeightFormat::NF4: {
    uint8_t byte = blob[p * 36 * Kp + (k / 64) * 2304 + ((k % 64) / 4) * 128 + (r / 32) * 64 +
                        (r % 16) * 4 + k % 4];
    return byte >> (4 * ((r / 16) % 2)) & 15;
  }
  default:
    return 0;
  }
}

DecodedScales decodeScales(WeightFormat format, const uint8_t *blob, int64_t n, int64_t k,
                           int64_t K) {
  int64_t p = n / 64, r = n % 64, Kp = roundUp(K, 64);
  switch (format) {
  case WeightFormat::W4G128:
    return {floatFromF16(loadU16(blob + p * 32 * Kp + p * ((Kp + 127) / 128) * 128 +
                                 (k / 128) * 4224 + 2 * r)),
            0, 1, 0};
  case WeightFormat::Q4K: {
    const uint8_t *block = blockQ4K(blob, n, k, K), *group = groupQ4K(blob, n, k, K);
    return {floatFromF16(loadU16(block + 2 * r)), floatFromF16(loadU16(block + 128 + 2 * r)),
            group[1024 + r], group[1088 + r]};
  }
  case WeightFormat::Q6K:
    return {floatFromF16(loadU16(blockQ6K(blob, n, k, K) + 2 * r)), 0,
            static_cast<int8_t>(groupQ6K(blob, n, k, K)[1536 + (k % 32) / 16 * 64 + r]), 0};
  case WeightFormat::NF4:
    return {loadFloat(blob + p * 36 * Kp + (k / 64) * 2304 + 2048 + 4 * r), 0, 1, 0};
  default:
    return {};
  }
}

double decodeElement(WeightFormat format, const uint8_t *blob, int64_t n, int64_t k, int64_t N,
                     int64_t K) {
  int64_t p = n / 64, r = n % 64, Kp = roundUp(K, 64), panels = roundUp(N, 64) / 64;
  switch (format) {
  case WeightFormat::F32:
    return loadFloat(blob + p * 256 * K + (k * 64 + r) * 4);
  case WeightFormat::BF16:
    return floatFromBf16(loadU16(blob + p * 128 * K + (k * 64 + r) * 2));
  case WeightFormat::F16:
    return floatFromF16(loadU16(blob + p * 128 * K + (k * 64 + r) * 2));
  default:
    break;
  }
  double code = decodeCode(format, blob, n, k, N, K);
  DecodedScales scales = decodeScales(format, blob, n, k, K);
  switch (format) {
  case WeightFormat::W4G128:
    return code * scales.scale;
  case WeightFormat::Q4K:
    return scales.scale * scales.small * code - scales.minimumScale * scales.smallMinimum;
  case WeightFormat::Q6K:
    return scales.scale * scales.small * code;
  case WeightFormat::NF4: {
    // bitsandbytes' table of 16 quantiles of a normal distribution.
    // On purpose not nf4Table of Format.h: the reference shares nothing with what it checks.
    static constexpr float table[] = {-1.0f,
                                      -0.6961928009986877f,
                                      -0.5250730514526367f,
                                      -0.39491748809814453f,
                                      -0.28444138169288635f,
                                      -0.18477343022823334f,
                                      -0.09105003625154495f,
                                      0.0f,
                                      0.07958029955625534f,
                                      0.16093020141124725f,
                                      0.24611230194568634f,
                                      0.33791524171829224f,
                                      0.44070982933044434f,
                                      0.5626170039176941f,
                                      0.7229568362236023f,
                                      1.0f};
    return table[int(code)] * scales.scale;
  }
  case WeightFormat::W8:
    return code * loadFloat(blob + panels * 64 * Kp + 4 * n);
  case WeightFormat::W4:
    return code * loadFloat(blob + panels * 32 * Kp + 4 * n);
  case WeightFormat::W2:
    return code * loadFloat(blob + panels * 16 * Kp + 4 * n);
  case WeightFormat::W8G32:
    return code * floatFromF16(loadU16(blob + p * 68 * Kp + (k / 32) * 2176 + 2048 + 2 * r));
  case WeightFormat::W4G32:
    return code * floatFromF16(loadU16(blob + p * 36 * Kp + (k / 32) * 1152 + 1024 + 2 * r));
  case WeightFormat::W2G64:
    return code * floatFromF16(loadU16(blob + p * 18 * Kp + (k / 64) * 1152 + 1024 + 2 * r));
  default:
    return 0;
  }
}

double decodeTableElement(WeightFormat format, const uint8_t *row, int64_t slice, int64_t column,
                          int64_t columns, int64_t slices) {
  int64_t c = roundUp(columns, 64);
  switch (format) {
  case WeightFormat::F32:
    return loadFloat(row + (slice * c + column) * 4);
  case WeightFormat::BF16:
    return floatFromBf16(loadU16(row + (slice * c + column) * 2));
  case WeightFormat::W8:
    return static_cast<int8_t>(row[slice * c + column]) *
           static_cast<double>(loadFloat(row + slices * c + 4 * slice));
  case WeightFormat::W4: {
    uint8_t byte = row[slice * c / 2 + column / 32 * 16 + column % 16];
    int code = (byte >> (column % 32 / 16 * 4) & 15) - 8;
    return code * static_cast<double>(loadFloat(row + slices * c / 2 + 4 * slice));
  }
  case WeightFormat::W2: {
    uint8_t byte = row[slice * c / 4 + column / 64 * 16 + column % 16];
    int code = (byte >> (column % 64 / 16 * 2) & 3) - 2;
    return code * static_cast<double>(loadFloat(row + slices * c / 4 + 4 * slice));
  }
  default:
    return 0;
  }
}

KvPosition kvKeyPosition(KvFormat format, const KvLayout &layout, int64_t headDim, int64_t head,
                         int64_t token, int64_t dim) {
  int64_t base = layout.dataK + head * layout.headDataBytesK;
  int64_t t = token, d = dim, D = roundUp(headDim, 16);
  switch (format) {
  case KvFormat::F32:
    return {base + ((t / 16) * 16 * D + d * 16 + t % 16) * 4, 0};
  case KvFormat::F16:
    return {base + ((t / 16) * 16 * D + d * 16 + t % 16) * 2, 0};
  case KvFormat::Kv8:
    return {base + (t / 16) * 16 * D + (d / 4) * 64 + (t % 16) * 4 + d % 4, 0};
  case KvFormat::Kv4:
    return {base + (t / 32) * 16 * D + (d / 4) * 64 + (t % 16) * 4 + d % 4,
            static_cast<unsigned>((t / 16) % 2 * 4)};
  }
  return {-1, 0};
}

KvPosition kvValuePosition(KvFormat format, const KvLayout &layout, int64_t headDim, int64_t head,
                           int64_t token, int64_t dim) {
  int64_t base = layout.dataV + head * layout.headDataBytesV;
  int64_t t = token, d = dim, D = roundUp(headDim, format == KvFormat::Kv4 ? 32 : 16);
  switch (format) {
  case KvFormat::F32:
    return {base + (t * D + d) * 4, 0};
  case KvFormat::F16:
    return {base + (t * D + d) * 2, 0};
  case KvFormat::Kv8:
    return {base + (t / 64) * 64 * D + (d / 16) * 1024 + ((t % 64) / 4) * 64 + (d % 16) * 4 + t % 4,
            0};
  case KvFormat::Kv4:
    return {base + (t / 64) * 32 * D + (d / 32) * 1024 + ((t % 64) / 4) * 64 + (d % 16) * 4 + t % 4,
            static_cast<unsigned>((d / 16) % 2 * 4)};
  }
  return {-1, 0};
}

double decodeKey(KvFormat format, const KvLayout &layout, const uint8_t *blob, int64_t headDim,
                 int64_t capacity, int64_t head, int64_t token, int64_t dim) {
  KvPosition at = kvKeyPosition(format, layout, headDim, head, token, dim);
  switch (format) {
  case KvFormat::F32:
    return loadFloat(blob + at.byte);
  case KvFormat::F16:
    return floatFromF16(loadU16(blob + at.byte));
  case KvFormat::Kv8:
  case KvFormat::Kv4:
    break;
  }
  double scale = loadFloat(blob + layout.scalesK + 4 * (head * capacity + token));
  int code = format == KvFormat::Kv8 ? blob[at.byte] - 128 : (blob[at.byte] >> at.shift & 15) - 8;
  return code * scale;
}

double decodeValue(KvFormat format, const KvLayout &layout, const uint8_t *blob, int64_t headDim,
                   int64_t capacity, int64_t head, int64_t token, int64_t dim) {
  KvPosition at = kvValuePosition(format, layout, headDim, head, token, dim);
  switch (format) {
  case KvFormat::F32:
    return loadFloat(blob + at.byte);
  case KvFormat::F16:
    return floatFromF16(loadU16(blob + at.byte));
  case KvFormat::Kv8:
  case KvFormat::Kv4:
    break;
  }
  double scale = loadFloat(blob + layout.scalesV + 4 * (head * capacity + token));
  int code = format == KvFormat::Kv8 ? static_cast<int8_t>(blob[at.byte])
                                     : (blob[at.byte] >> at.shift & 15) - 8;
  return code * scale;
}

} // namespace gcompile
