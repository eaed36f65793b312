#include "compiler/Import/Gguf/GgufGrid.h"

#include "compiler/Import/Gguf/GgufBlocks.h"
#include "ir/Format/FloatConvert.h"

#include "llvm/ADT/STLExtras.h"

namespace gcompile {

namespace {

uint16_t load16(const uint8_t *bytes) { return static_cast<uint16_t>(bytes[0] | bytes[1] << 8); }

bool isFiniteHalf(const uint8_t *bytes) { return (load16(bytes) & 0x7c00u) != 0x7c00u; }

float half(const uint8_t *bytes) { return floatFromF16(load16(bytes)); }

// Each puts one block at element `first`; false when a scale is no finite number.

bool putQ4_0(const uint8_t *block, int64_t first, GridRows &grid) {
  grid.scales[first / 32] = half(block);
  for (int i = 0; i < 16; ++i) {
    grid.codes[first + i] = static_cast<int8_t>((block[2 + i] & 15) - 8);
    grid.codes[first + i + 16] = static_cast<int8_t>((block[2 + i] >> 4) - 8);
  }
  return isFiniteHalf(block);
}

bool putQ8_0(const uint8_t *block, int64_t first, GridRows &grid) {
  grid.scales[first / 32] = half(block);
  for (int i = 0; i < 32; ++i)
    grid.codes[first + i] = static_cast<int8_t>(block[2 + i]);
  return isFiniteHalf(block);
}

bool putQ4_K(const uint8_t *block, int64_t first, GridRows &grid) {
  grid.scales[first / 256] = half(block);
  grid.minScales[first / 256] = half(block + 2);
  for (int k = 0; k < 8; ++k) {
    gguf::ScaleAndMin sub = gguf::unpackScaleAndMin(block + 4, k);
    grid.subScales[first / 32 + k] = static_cast<int8_t>(sub.scale);
    grid.subMins[first / 32 + k] = static_cast<int8_t>(sub.min);
    const uint8_t *codes = block + 16 + 32 * (k / 2);
    for (int i = 0; i < 32; ++i)
      grid.codes[first + 32 * k + i] = static_cast<int8_t>(codes[i] >> (4 * (k % 2)) & 15);
  }
  return isFiniteHalf(block) && isFiniteHalf(block + 2);
}

bool putQ6_K(const uint8_t *block, int64_t first, GridRows &grid) {
  grid.scales[first / 256] = half(block + 208);
  for (int k = 0; k < 16; ++k)
    grid.subScales[first / 16 + k] = static_cast<int8_t>(block[192 + k]);
  for (int i = 0; i < 256; ++i)
    grid.codes[first + i] = static_cast<int8_t>(gguf::codeOfQ6_K(block, i));
  return isFiniteHalf(block + 208);
}

struct KeptType {
  const char *type, *format;     // GGUF's name and that of our weight format
  int64_t scaleRun, subScaleRun; // values that share a scale, and a small scale (0: none)
  bool hasMins;
  bool (*put)(const uint8_t *, int64_t, GridRows &);
};

constexpr KeptType keptTypes[] = {
    {"Q4_0", "w4g32", 32, 0, false, putQ4_0},
    {"Q8_0", "w8g32", 32, 0, false, putQ8_0},
    {"Q4_K", "q4_k", 256, 32, true, putQ4_K},
    {"Q6_K", "q6_k", 256, 16, false, putQ6_K},
};

const KeptType *find(const GgufType &type) {
  const KeptType *found =
      llvm::find_if(keptTypes, [&](const KeptType &kept) { return type.name == kept.type; });
  return found == std::end(keptTypes) ? nullptr : found;
}

} // namespace

std::optional<WeightFormat> gridFormatOf(const GgufType &type) {
  const KeptType *kept = find(type);
  return kept ? parseWeightFormat(kept->format) : std::nullopt;
}

GridRows emptyGrid(const GgufType &type, int64_t rows, int64_t columns) {
  const KeptType &kept = *find(type);
  GridRows grid;
  grid.format = gridFormatOf(type).value_or(WeightFormat::F32);
  grid.rows = rows;
  grid.columns = columns;
  int64_t values = rows * columns;
  grid.codes.resize(values);
  grid.scales.resize(values / kept.scaleRun);
  if (kept.subScaleRun)
    grid.subScales.resize(values / kept.subScaleRun);
  if (kept.hasMins) {
    grid.subMins.resize(values / kept.subScaleRun);
    grid.minScales.resize(values / kept.scaleRun);
  }
  return grid;
}

size_t blocksOnGrid(const GgufType &type, const uint8_t *blocks, size_t count, int64_t first,
                    GridRows &grid) {
  const KeptType &kept = *find(type);
  size_t firstBad = count;
  for (size_t i = 0; i < count; ++i) {
    int64_t at = first + static_cast<int64_t>(i) * type.blockValues;
    if (!kept.put(blocks + i * type.blockBytes, at, grid) && firstBad == count)
      firstBad = i;
  }
  return firstBad;
}

} // namespace gcompile
