#include "compiler/Export/GgufBlocks.h"

#include "compiler/Export/FitQ2K.h"
#include "ir/Format/FloatConvert.h"

#include <bit>
#include <cassert>
#include <cstring>

namespace gcompile {
namespace {

void put16(uint8_t *out, uint16_t value) {
  out[0] = uint8_t(value);
  out[1] = uint8_t(value >> 8);
}

void putF16(uint8_t *out, float value) { put16(out, f16FromFloat(value)); }

// Bytes of 16 pairs: value i low, value 16 + i high.
void putHalves(uint8_t *out, const int8_t *codes, int offset) {
  for (int i = 0; i < 16; ++i)
    out[i] = uint8_t((codes[i] + offset) | (codes[16 + i] + offset) << 4);
}

// Eight pairs of 6 bits: the first four with two bits of the last four above each.
void putScalesAndMins(uint8_t *out, const int8_t *scales, const int8_t *mins) {
  for (int i = 0; i < 4; ++i) {
    out[i] = uint8_t(scales[i] | scales[4 + i] >> 4 << 6);
    out[4 + i] = uint8_t(mins[i] | mins[4 + i] >> 4 << 6);
    out[8 + i] = uint8_t((scales[4 + i] & 15) | (mins[4 + i] & 15) << 4);
  }
}

// Bytes of 32 pairs: value i of a run of 64 low, value 32 + i high.
void putQ4K(uint8_t *out, const int8_t *codes) {
  for (int i = 0; i < 128; ++i) {
    const int8_t *pair = codes + 64 * (i / 32) + i % 32;
    out[i] = uint8_t(pair[0] | pair[32] << 4);
  }
}

// Each half of 128 values: four low bits in 64 bytes, then (after both halves) two high bits in 32.
void putQ6K(uint8_t *out, const int8_t *codes) {
  for (int half = 0; half < 2; ++half, codes += 128) {
    uint8_t *low = out + 64 * half, *high = out + 128 + 32 * half;
    for (int i = 0; i < 32; ++i) {
      int q[4];
      for (int run = 0; run < 4; ++run)
        q[run] = codes[32 * run + i] + 32;
      low[i] = uint8_t((q[0] & 15) | (q[2] & 15) << 4);
      low[32 + i] = uint8_t((q[1] & 15) | (q[3] & 15) << 4);
      high[i] = uint8_t(q[0] >> 4 | q[1] >> 4 << 2 | q[2] >> 4 << 4 | q[3] >> 4 << 6);
    }
  }
}

void putQ2K(uint8_t *out, const Q2KBlock &block) {
  for (int i = 0; i < 16; ++i)
    out[i] = uint8_t(block.scales[i] | block.mins[i] << 4);
  std::memset(out + 16, 0, 64);
  for (int i = 0; i < 256; ++i)
    out[16 + 32 * (i / 128) + i % 32] |= uint8_t(block.codes[i] << (2 * (i % 128 / 32)));
  put16(out + 80, block.d);
  put16(out + 82, block.dmin);
}

// 2-bit codes −2…1 with one scale are Q2_K with scale and minimum 1: d·q − 2d.
Q2KBlock plainQ2K(const int8_t *codes, float scale) {
  Q2KBlock block;
  block.scales.fill(1);
  block.mins.fill(1);
  for (int i = 0; i < 256; ++i)
    block.codes[i] = uint8_t(codes[i] + 2);
  block.d = f16FromFloat(scale);
  block.dmin = f16FromFloat(2 * scale);
  return block;
}

} // namespace

const GgufType &facts(GgufId id) { return *findGgufType(static_cast<uint32_t>(id)); }

int64_t rowBytes(GgufId type, int64_t columns) {
  const GgufType &blocks = facts(type);
  assert(columns % blocks.blockValues == 0);
  return columns / blocks.blockValues * blocks.blockBytes;
}

namespace {

// The type that holds codes of a format with f16 scales, for rows of `columns` values.
std::optional<GgufId> typeOfCodes(WeightFormat format, int64_t columns) {
  bool superBlocks = columns % 256 == 0;
  switch (format) {
  case WeightFormat::W8:
  case WeightFormat::W8G32:
    return GgufId::Q8_0;
  case WeightFormat::W4:
  case WeightFormat::W4G32:
  case WeightFormat::W4G128:
    return GgufId::Q4_0;
  case WeightFormat::W2:
    return superBlocks ? std::optional(GgufId::Q2_K) : std::nullopt;
  case WeightFormat::Q4K:
    return superBlocks ? std::optional(GgufId::Q4_K) : std::nullopt;
  case WeightFormat::Q6K:
    return superBlocks ? std::optional(GgufId::Q6_K) : std::nullopt;
  default:
    return std::nullopt;
  }
}

bool keepsCodesOf(WeightFormat native, WeightFormat planned) {
  unsigned bits = info(planned).bits;
  return info(native).bits == bits || (native == WeightFormat::Q6K && bits == 8);
}

} // namespace

bool hasSameGrid(GgufId type, WeightFormat planned) {
  switch (type) {
  case GgufId::F32:
    return planned == WeightFormat::F32;
  case GgufId::F16:
    return planned == WeightFormat::F16;
  case GgufId::BF16:
    return planned == WeightFormat::BF16;
  case GgufId::Q8_0:
    return planned == WeightFormat::W8G32;
  case GgufId::Q4_0:
    return planned == WeightFormat::W4G32;
  case GgufId::Q4_K:
    return planned == WeightFormat::Q4K;
  case GgufId::Q6_K:
    return planned == WeightFormat::Q6K;
  case GgufId::Q2_K:
    return planned == WeightFormat::W2; // up to its scale, which becomes an f16
  }
  return false;
}

GgufEncoding nearestGgufType(WeightFormat planned, std::optional<WeightFormat> native,
                             int64_t columns) {
  if (planned == WeightFormat::F32)
    return {GgufId::F32, std::nullopt, false};
  if (planned == WeightFormat::BF16)
    return {GgufId::BF16, std::nullopt, false};
  if (planned == WeightFormat::F16 || columns % 32 != 0)
    return {GgufId::F16, std::nullopt, false};
  if (native && keepsCodesOf(*native, planned))
    if (std::optional<GgufId> type = typeOfCodes(*native, columns))
      return {*type, native, true};
  switch (planned) {
  case WeightFormat::W2G64:
    if (columns % 256 == 0)
      return {GgufId::Q2_K, std::nullopt, false};
    break;
  case WeightFormat::W2: // the plan's own codes
  case WeightFormat::Q4K:
  case WeightFormat::Q6K:
    if (std::optional<GgufId> type = typeOfCodes(planned, columns))
      return {*type, planned, false};
    break;
  case WeightFormat::NF4: // no type has its table; minima make up for most of that
    if (columns % 256 == 0)
      return {GgufId::Q4_K, WeightFormat::Q4K, false};
    break;
  default:
    break;
  }
  // A scale for each 32 values: there is no type with fewer, and rounding anew makes use of them.
  if (info(planned).bits > 4)
    return {GgufId::Q8_0, WeightFormat::W8G32, false};
  return {GgufId::Q4_0, WeightFormat::W4G32, false};
}

void encodeGgufRow(GgufId type, const GridRows &grid, int64_t row, std::span<uint8_t> out) {
  const GgufType &blocks = facts(type);
  GridRuns runs = gridRuns(grid.format);
  int64_t perRow = grid.scalesPerRow(), run = runs.scale ? runs.scale : grid.columns / perRow;
  const int8_t *codes = grid.codes.data() + row * grid.columns;
  const float *scales = grid.scales.data() + row * perRow;
  int64_t firstSub = runs.subScale ? row * (grid.columns / runs.subScale) : 0;
  uint8_t *to = out.data();
  for (int64_t at = 0; at < grid.columns; at += blocks.blockValues, to += blocks.blockBytes) {
    switch (type) {
    case GgufId::Q4_0:
      putF16(to, scales[at / run]);
      putHalves(to + 2, codes + at, 8);
      break;
    case GgufId::Q8_0:
      putF16(to, scales[at / run]);
      std::memcpy(to + 2, codes + at, 32);
      break;
    case GgufId::Q2_K:
      putQ2K(to, plainQ2K(codes + at, scales[at / run]));
      break;
    case GgufId::Q4_K:
      putF16(to, scales[at / run]);
      putF16(to + 2, grid.minScales[row * perRow + at / run]);
      putScalesAndMins(to + 4, grid.subScales.data() + firstSub + at / 32,
                       grid.subMins.data() + firstSub + at / 32);
      putQ4K(to + 16, codes + at);
      break;
    case GgufId::Q6_K:
      putQ6K(to, codes + at);
      std::memcpy(to + 192, grid.subScales.data() + firstSub + at / 16, 16);
      putF16(to + 208, scales[at / run]);
      break;
    default:
      assert(false && "a type of floats");
    }
  }
}

void encodeGgufRow(GgufId type, std::span<const float> row, std::span<uint8_t> out) {
  uint8_t *to = out.data();
  if (type == GgufId::Q2_K) {
    for (size_t at = 0; at < row.size(); at += 256, to += 84)
      putQ2K(to, fitQ2K(row.subspan(at).first<256>()));
    return;
  }
  for (float value : row) {
    if (type == GgufId::F32) {
      static_assert(std::endian::native == std::endian::little);
      std::memcpy(to, &value, 4);
      to += 4;
    } else {
      put16(to, type == GgufId::F16 ? f16FromFloat(value) : bf16FromFloat(value));
      to += 2;
    }
  }
}

} // namespace gcompile
