// The search for the scale of one run of weights (a row, or a group of a row), and quantization
// with a given scale. The hot part of packing.
//
// Rule: try a fixed list of candidates c · absmax, keep the first of least squared error, then up
// to three rounds of least squares (scale = Σqx / Σq² for the codes q of the scale before), kept
// only when the error falls. The list holds grids (absmax / k), so that weights which lie on a grid
// already (quantization-aware training) come out on it. Formats whose range is lopsided (−8…7,
// −2…1) may have negative scales, so that the largest weight gets the code without a partner.
#pragma once

#include "ir/Format/Format.h"
#include "ir/Format/Pack.h"

#include <cstdint>

namespace gcompile::detail {

constexpr int64_t runMultiple = 32; // lengths are multiples of this, padded with zeros

enum class ScaleType : uint8_t { F32, F16 };

struct ScaleSearch {
  float minCode, maxCode;
  ScaleType scaleType;
  int candidateCount;      // 16 or 32
  const float *candidates; // of absmax; the sign is relative to the lopsided side
  bool lopsided;           // |minCode| > maxCode
};

const ScaleSearch &scaleSearch(WeightFormat format); // integer formats

// For each of `runs` runs of `length` values, `stride` values apart: writes its scale. Sixteen runs
// are searched at once, so that fewer cost as much as sixteen.
void findScales(const ScaleSearch &search, const float *values, int64_t length, int64_t stride,
                int64_t runs, float *scales);

// Codes (value / scale rounded to nearest even, clamped, plus codeOffset) with one scale per run,
// contiguous. `codes` may be null. The error is that against scale · code.
PackError quantizeRuns(const ScaleSearch &search, int codeOffset, const float *values,
                       int64_t length, int64_t stride, int64_t runs, const float *scales,
                       uint8_t *codes);

// Σ value² with the same order of sums, for float formats: and Σ (value − decoded)².
PackError sumErrors(const float *values, const float *decoded, int64_t count);

} // namespace gcompile::detail
