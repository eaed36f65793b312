// Rows of weights as the blocks of GGUF's tensor types (block layouts of llama.cpp's ggml, little
// endian). Codes and scales that a type can hold are placed, not rounded; only scales that were f32
// become f16.
#pragma once

#include "compiler/Import/Gguf/GgufTypes.h"
#include "ir/Format/Grid.h"

#include <cstdint>
#include <optional>
#include <span>

namespace gcompile {

// The types that are written; facts and readers of them are in GgufTypes.h.
enum class GgufId : uint32_t {
  F32 = 0,
  F16 = 1,
  Q4_0 = 2,
  Q8_0 = 8,
  Q2_K = 10,
  Q4_K = 12,
  Q6_K = 14,
  BF16 = 30
};

const GgufType &facts(GgufId id);
int64_t rowBytes(GgufId type, int64_t columns); // whole blocks

// How a tensor is written. With `grid`, values pass through codes of that format, which the
// checkpoint has already (keepsGrid) or which are rounded to; without, the type takes floats.
struct GgufEncoding {
  GgufId type = GgufId::F32;
  std::optional<WeightFormat> grid;
  bool keepsGrid = false;
};

// The nearest that stock llama.cpp has to `planned` for rows of `columns` values. `native`: the
// format on whose grid the checkpoint holds the tensor; its codes are kept for every planned format
// of as many bits, and 6-bit ones for 8 bits too, as rounding them again gains nothing.
GgufEncoding nearestGgufType(WeightFormat planned, std::optional<WeightFormat> native,
                             int64_t columns);

// Whether values on the grid of `planned` are values of `type`: nothing is rounded anew for it.
bool hasSameGrid(GgufId type, WeightFormat planned);

// One row. `out` holds rowBytes(type, columns); the type must be one that nearestGgufType pairs
// with the grid's format.
void encodeGgufRow(GgufId type, const GridRows &grid, int64_t row, std::span<uint8_t> out);
// F32, F16, BF16 and Q2_K.
void encodeGgufRow(GgufId type, std::span<const float> row, std::span<uint8_t> out);

} // namespace gcompile
