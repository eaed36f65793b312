// Where codes go in P64 panels (docs/decisions/0001).
#pragma once

#include "ir/Format/Grid.h"

#include <cstring>
#include <span>

namespace gcompile::detail {

inline void storeHalf(uint8_t *out, int64_t index, uint16_t bits) {
  std::memcpy(out + 2 * index, &bits, 2);
}

// Quads [firstQuad, firstQuad + quads) of 64 rows of codes, one byte each, to `out`; one quad of
// all rows lies `quadStride` bytes behind the other. `bits` is 8, 4 or 2.
void layOutQuads(unsigned bits, const uint8_t *codes, int64_t rowStride, int64_t firstQuad,
                 int64_t quads, uint8_t *out, int64_t quadStride);

// packPanelFromGrid for formats with blocks and for nf4.
void layOutBlocks(const GridRows &grid, int64_t firstRow, int64_t rowCount,
                  std::span<uint8_t> panel);

} // namespace gcompile::detail
