// What a format makes of weights, as floats: encoded and decoded again. Running a float program on
// such weights shows what a format does to a model without compiling it for that format; what
// integer kernels add by rounding activations is not in it.
#pragma once

#include "ir/Format/Format.h"

#include <cstdint>
#include <span>

namespace gcompile {

// One row of k values; `out` may be the row itself.
void roundTripRow(WeightFormat format, int64_t k, const float *row, float *out);

// One row of a row table: `slices` pieces of `columns` values, each with scales of its own.
void roundTripTableRow(WeightFormat format, int64_t columns, int64_t slices, const float *row,
                       float *out);

} // namespace gcompile
