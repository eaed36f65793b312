// GGUF blocks that lie on the grid of one of our weight formats, as codes and scales.
#pragma once

#include "compiler/Import/Gguf/GgufTypes.h"
#include "ir/Format/Grid.h"

#include <optional>

namespace gcompile {

// None: the type has no weight format with the same grid.
std::optional<WeightFormat> gridFormatOf(const GgufType &type);

// A grid with room for these rows.
GridRows emptyGrid(WeightFormat format, int64_t rows, int64_t columns);

// Puts `count` blocks at element `first` (a multiple of the block's values) of the grid. Answers
// the index of the first block with a scale that is no finite number, or `count`.
size_t blocksOnGrid(const GgufType &type, const uint8_t *blocks, size_t count, int64_t first,
                    GridRows &grid);

} // namespace gcompile
