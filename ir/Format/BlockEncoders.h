// Float rows to the grids of formats with blocks and of nf4: the searches of formats.md 6.3, of
// equal quality to those that write GGUF files. All arithmetic is scalar and in a fixed order.
#pragma once

#include "ir/Format/Grid.h"
#include "ir/Format/Pack.h"

namespace gcompile::detail {

// Encodes one row of grid.columns values (w4g128, q4_k, q6_k, nf4) and appends it to the vectors of
// `grid`; grid.rows is the caller's.
void appendEncodedRow(GridRows &grid, const float *row);

} // namespace gcompile::detail
