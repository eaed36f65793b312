// Weights that were trained for 4-bit groups and saved as bf16 ("QAT-unquantized") lie on a grid
// s · q, q in [-8, 7], of 32 values a group, up to the rounding to bf16. Here the grid is
// recognised and recovered: the usual rule of Q4_0 takes the largest value for code -8 and gets
// most groups wrong.
#pragma once

#include "compiler/Import/Checkpoint.h"

namespace gcompile {

constexpr int64_t qatGroup = 32;

// Scale (an f16 exactly) and codes of one group; false when some value lies off every such grid by
// more than bf16 rounding. A group of zeros has scale 0.
bool recoverGroup(const float *values, float &scale, int8_t *codes);

// Whether all groups of some rows of the tensor lie on a grid. Reads 16 rows at most, and one of a
// tensor that does not.
bool looksLikeQat(const Checkpoint &checkpoint, const TensorInfo &tensor);

// Rows as w4g32. A group off the grid is an error that names it.
llvm::Error recoverRows(const Checkpoint &checkpoint, const TensorInfo &tensor, int64_t firstRow,
                        int64_t rowCount, GridRows &out);

} // namespace gcompile
