// What a format makes of weights, as floats: encoded and decoded again. Running a float program on
// such weights shows what a format does to a model without compiling it for that format; what
// integer kernels add by rounding activations is not in it.
#pragma once

#include "ir/Format/Format.h"

#include <cstdint>
#include <span>

namespace gcompile {

// Contiguous rows of k values, each with scales of its own (of a row table: slices of a row); `out`
// may be the rows themselves.
void roundTripRows(WeightFormat format, int64_t rowCount, int64_t k, const float *rows, float *out);

} // namespace gcompile
