// GGUF blocks that lie on the grid of one of our weight formats, as codes and scales.
#pragma once

#include "compiler/Import/Gguf/GgufTypes.h"
#include "ir/Format/Grid.h"

#include <optional>

namespace gcompile {

// None: there is no weight format with the same grid.
std::optional<WeightFormat> gridFormatOf(const GgufType &type);

// Room for rows of Q4_0, Q8_0, Q4_K or Q6_K; `format` is that of gridFormatOf.
GridRows emptyGrid(const GgufType &type, int64_t rows, int64_t columns);

// Puts `count` blocks of those types at element `first` (a multiple of the block's values) of the
// grid. Answers the index of the first block with a scale that is no finite number, or `count`.
size_t blocksOnGrid(const GgufType &type, const uint8_t *blocks, size_t count, int64_t first,
                    GridRows &grid);

} // namespace gcompile
