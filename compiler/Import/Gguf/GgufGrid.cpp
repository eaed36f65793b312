#include "compiler/Import/Gguf/GgufGrid.h"

#include "compiler/Import/Gguf/GgufBlocks.h"
#include "ir/Format/FloatConvert.h"

namespace gcompile {

namespace {

uint16_t load16(const uint8_t *bytes) { return static_cast<uint16_t>(bytes[0] | bytes[1] << 8); }

bool isFiniteHalf(uint16_t bits) { return (bits & 0x7c00u) != 0x7c00u; }

} // namespace

std::optional<WeightFormat> gridFormatOf(const GgufType &type) {
  if (type.name == "Q4_0")
    return WeightFormat::W4G32;
  if (type.name == "Q8_0")
    return WeightFormat::W8G32;
  return std::nullopt;
}

GridRows emptyGrid(WeightFormat format, int64_t rows, int64_t columns) {
  GridRows grid;
  grid.format = format;
  grid.rows = rows;
  grid.columns = columns;
  grid.codes.resize(rows * columns);
  grid.scales.resize(rows * columns / info(format).group);
  return grid;
}

size_t blocksOnGrid(const GgufType &type, const uint8_t *blocks, size_t count, int64_t first,
                    GridRows &grid) {
  bool fourBits = grid.format == WeightFormat::W4G32;
  size_t firstBad = count;
  for (size_t i = 0; i < count; ++i) {
    const uint8_t *block = blocks + i * type.blockBytes;
    int8_t *codes = grid.codes.data() + first + static_cast<int64_t>(i) * 32;
    uint16_t scale = load16(block);
    grid.scales[first / 32 + static_cast<int64_t>(i)] = floatFromF16(scale);
    if (!isFiniteHalf(scale) && firstBad == count)
      firstBad = i;
    for (int j = 0; j < 32; ++j) {
      int nibble = fourBits ? block[2 + j % 16] >> (j < 16 ? 0 : 4) & 15 : 0;
      codes[j] = static_cast<int8_t>(fourBits ? nibble - 8 : static_cast<int8_t>(block[2 + j]));
    }
  }
  return firstBad;
}

} // namespace gcompile
