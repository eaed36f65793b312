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

GgufEncoding nearestGgufType(WeightFormat planned, std::optional<WeightFormat> native,
                             int64_t columns) {
  bool keeps = planned == native, superBlocks = columns % 256 == 0;
  if (planned == WeightFormat::F32)
    return {GgufId::F32, std::nullopt, false};
  if (planned == WeightFormat::BF16)
    return {GgufId::BF16, std::nullopt, false};
  if (planned == WeightFormat::F16 || columns % 32 != 0)
    return {GgufId::F16, std::nullopt, false};
  const WeightFormatInfo &format = info(planned);
  if (format.bits == 8)
    return {GgufId::Q8_0, keeps ? planned : WeightFormat::W8G32, keeps};
  if (format.bits == 2 && superBlocks) {
    if (planned == WeightFormat::W2)
      return {GgufId::Q2_K, planned, keeps};
    return {GgufId::Q2_K, std::nullopt, false};
  }
  if (keeps)
    return {GgufId::Q4_0, planned, true};
  return {GgufId::Q4_0, WeightFormat::W4G32, false};
}

void encodeGgufRow(GgufId type, const GridRows &grid, int64_t row, std::span<uint8_t> out) {
  const GgufType &blocks = facts(type);
  int64_t perRow = grid.scalesPerRow(), run = grid.columns / perRow;
  const int8_t *codes = grid.codes.data() + row * grid.columns;
  const float *scales = grid.scales.data() + row * perRow;
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
