// A quad of k is one 32-bit word of a row of codes, and layouts are transposes of words: w4 and w2
// merge words of rows 16 apart by shifts, which never carry across bytes.
#include "ir/Format/PanelLayout.h"
#include "ir/Format/FloatConvert.h"

#include <algorithm>
#include <bit>
#include <cassert>

namespace gcompile::detail {
namespace {

static_assert(std::endian::native == std::endian::little, "blobs are little-endian");

uint32_t loadWord(const uint8_t *at) {
  uint32_t word;
  std::memcpy(&word, at, 4);
  return word;
}

void storeWord(uint8_t *at, uint32_t word) { std::memcpy(at, &word, 4); }

// 64 rows of a grid as a panel wants them: as many columns as the panel has, rows that do not exist
// and columns behind the last with codes and small scales that mean zero.
struct PaddedCodes {
  int64_t columns;
  std::vector<uint8_t> codes;

  PaddedCodes(const GridRows &grid, int64_t firstRow, int64_t rowCount)
      : columns(paddedColumns(grid.format, grid.columns)) {
    const WeightFormatInfo &facts = info(grid.format);
    uint8_t zero = grid.format == WeightFormat::NF4 ? 7 : uint8_t(facts.codeOffset);
    codes.assign(panelRows * columns, zero);
    for (int64_t r = 0; r < rowCount; ++r) {
      const int8_t *from = grid.codes.data() + (firstRow + r) * grid.columns;
      for (int64_t i = 0; i < grid.columns; ++i)
        codes[r * columns + i] = uint8_t(from[i] + facts.codeOffset);
    }
  }
};

// Six bits: of each quad the low nibbles as w4 lies, then the high pairs as w2 lies.
void layOutSixBits(const PaddedCodes &padded, int64_t firstQuad, int64_t quads, uint8_t *out) {
  constexpr int64_t stride = 192, nibbleBytes = 128;
  std::vector<uint8_t> part(panelRows * 4 * quads);
  auto plane = [&](unsigned bits, auto field) {
    for (int64_t r = 0; r < panelRows; ++r)
      for (int64_t i = 0; i < 4 * quads; ++i)
        part[r * 4 * quads + i] = field(padded.codes[r * padded.columns + 4 * firstQuad + i]);
    layOutQuads(bits, part.data(), 4 * quads, 0, quads, bits == 4 ? out : out + nibbleBytes,
                stride);
  };
  plane(4, [](uint8_t code) { return uint8_t(code & 15); });
  plane(2, [](uint8_t code) { return uint8_t(code >> 4); });
}

void layOutScales(const std::vector<float> &scales, int64_t perRow, int64_t firstRow,
                  int64_t rowCount, int64_t index, uint8_t *out) {
  for (int64_t r = 0; r < rowCount; ++r)
    storeHalf(out, r, f16FromFloat(scales[(firstRow + r) * perRow + index]));
}

void layOutNf4(const GridRows &grid, int64_t firstRow, int64_t rowCount, uint8_t *out) {
  constexpr int64_t group = 64, codeBytes = group * panelRows / 2;
  PaddedCodes padded(grid, firstRow, rowCount);
  int64_t perRow = grid.scalesPerRow();
  for (int64_t g = 0; g < padded.columns / group; ++g) {
    layOutQuads(4, padded.codes.data(), padded.columns, g * group / 4, group / 4, out,
                panelRows * 2);
    for (int64_t r = 0; r < rowCount; ++r)
      std::memcpy(out + codeBytes + 4 * r, &grid.scales[(firstRow + r) * perRow + g], 4);
    out += codeBytes + 4 * panelRows;
  }
}

} // namespace

void layOutQuads(unsigned bits, const uint8_t *codes, int64_t rowStride, int64_t firstQuad,
                 int64_t quads, uint8_t *out, int64_t quadStride) {
  const uint8_t *in = codes + 4 * firstQuad;
  switch (bits) {
  case 8:
    for (int64_t r = 0; r < 64; ++r)
      for (int64_t q = 0; q < quads; ++q)
        storeWord(out + q * quadStride + r * 4, loadWord(in + r * rowStride + 4 * q));
    return;
  case 4:
    for (int64_t r = 0; r < 32; ++r) {
      const uint8_t *low = in + (r / 16 * 32 + r % 16) * rowStride, *high = low + 16 * rowStride;
      for (int64_t q = 0; q < quads; ++q)
        storeWord(out + q * quadStride + r * 4, loadWord(low + 4 * q) | loadWord(high + 4 * q)
                                                                            << 4);
    }
    return;
  case 2:
    for (int64_t r = 0; r < 16; ++r) {
      const uint8_t *row = in + r * rowStride;
      for (int64_t q = 0; q < quads; ++q)
        storeWord(out + q * quadStride + r * 4, loadWord(row + 4 * q) |
                                                    loadWord(row + 16 * rowStride + 4 * q) << 2 |
                                                    loadWord(row + 32 * rowStride + 4 * q) << 4 |
                                                    loadWord(row + 48 * rowStride + 4 * q) << 6);
    }
    return;
  }
}

void layOutBlocks(const GridRows &grid, int64_t firstRow, int64_t rowCount,
                  std::span<uint8_t> panel) {
  assert(static_cast<int64_t>(panel.size()) == panelBytes(grid.format, grid.columns));
  std::fill(panel.begin(), panel.end(), uint8_t(0));
  uint8_t *out = panel.data();
  if (grid.format == WeightFormat::NF4)
    return layOutNf4(grid, firstRow, rowCount, out);
  const WeightFormatInfo &facts = info(grid.format);
  BlockLayout layout = blockLayout(grid.format);
  PaddedCodes padded(grid, firstRow, rowCount);
  int64_t perRow = grid.scalesPerRow(), groupsPerBlock = facts.block / facts.group;
  int64_t smallPerGroup = layout.subScaleColumns ? facts.group / layout.subScaleColumns : 0;
  int64_t smallPerRow = grid.rows ? int64_t(grid.subScales.size()) / grid.rows : 0;
  for (int64_t g = 0; g < padded.columns / facts.group; ++g) {
    if (g % groupsPerBlock == 0) {
      int64_t block = g / groupsPerBlock;
      if (block < perRow) {
        layOutScales(grid.scales, perRow, firstRow, rowCount, block, out);
        if (layout.hasMinima)
          layOutScales(grid.minScales, perRow, firstRow, rowCount, block, out + 2 * panelRows);
      }
      out += layout.headBytes;
    }
    if (facts.bits == 6)
      layOutSixBits(padded, g * facts.group / 4, facts.group / 4, out);
    else
      layOutQuads(facts.bits, padded.codes.data(), padded.columns, g * facts.group / 4,
                  facts.group / 4, out, panelRows * facts.bits / 2);
    uint8_t *small = out + layout.codeBytes;
    for (int64_t s = g * smallPerGroup; s < (g + 1) * smallPerGroup && s < smallPerRow; ++s)
      for (int64_t r = 0; r < rowCount; ++r) {
        int64_t from = (firstRow + r) * smallPerRow + s;
        small[(s % smallPerGroup) * panelRows + r] = uint8_t(grid.subScales[from]);
        if (layout.hasMinima)
          small[panelRows + r] = uint8_t(grid.subMins[from]);
      }
    out += layout.groupBytes;
  }
}

} // namespace gcompile::detail
