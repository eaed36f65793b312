#include "ir/Format/BlockEncoders.h"
#include "ir/Format/FloatConvert.h"
#include "ir/Format/ScaleSearch.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace gcompile::detail {
namespace {

constexpr int64_t blockLength = 256;

// |x| < 2²²: to nearest, ties to even.
int nearest(float x) { return int((x + 0x1.8p23f) - 0x1.8p23f); }
int clampedNearest(float x, int least, int most) {
  float limit = 1e6f; // far outside of every range, well inside of int
  return std::clamp(nearest(std::clamp(x, -limit, limit)), least, most);
}
float roundedToF16(float x) { return floatFromF16(f16FromFloat(x)); }

// x ≈ scale · code − minimum with code 0 … 15 and minimum ≥ 0.
struct AffineFit {
  double scale = 0, minimum = 0;
};

constexpr int64_t affineLength = 32;

// Weighted least squares for scale and minimum with the codes that `inverse` gives; the weighted
// error with them, or infinity when they are not determined. Sums are in double, where no f32
// overflows.
double refineAffine(const float *x, const double *weight, double inverse, double low,
                    AffineFit &fit) {
  double codes[affineLength], sumW = 0, sumX = 0, sumL = 0, sumL2 = 0, sumXl = 0;
  for (int64_t i = 0; i < affineLength; ++i) {
    double l = codes[i] = clampedNearest(float(inverse * (x[i] - low)), 0, 15), w = weight[i];
    sumW += w, sumX += w * x[i];
    sumL += w * l, sumL2 += w * l * l, sumXl += w * l * x[i];
  }
  double determinant = sumW * sumL2 - sumL * sumL;
  if (!(determinant > 0))
    return INFINITY;
  double scale = (sumW * sumXl - sumX * sumL) / determinant;
  double offset = (sumL2 * sumX - sumL * sumXl) / determinant;
  if (offset > 0) {
    offset = 0;
    scale = sumXl / sumL2;
  }
  double error = 0;
  for (int64_t i = 0; i < affineLength; ++i) {
    double difference = scale * codes[i] + offset - x[i];
    error += weight[i] * difference * difference;
  }
  fit = {scale, -offset};
  return error;
}

AffineFit fitAffine(const float *x) {
  constexpr int most = 15, steps = 20;
  double low = 0, high = x[0], square = 0;
  for (int64_t i = 0; i < affineLength; ++i) {
    low = std::min(low, double(x[i])), high = std::max(high, double(x[i]));
    square += double(x[i]) * x[i];
  }
  if (!(high > low))
    return {0, -low};
  double weight[affineLength], rms = std::sqrt(square / affineLength);
  for (int64_t i = 0; i < affineLength; ++i)
    weight[i] = rms + std::fabs(x[i]);
  AffineFit best{(high - low) / most, -low};
  double bestError = 0;
  for (int64_t i = 0; i < affineLength; ++i) {
    int code = clampedNearest(float((x[i] - low) / best.scale), 0, most);
    double difference = best.scale * code + low - x[i];
    bestError += weight[i] * difference * difference;
  }
  for (int step = 0; step <= steps; ++step) {
    AffineFit fit;
    double error = refineAffine(x, weight, (most - 1 + 0.1 * step) / (high - low), low, fit);
    if (error < bestError)
      best = fit, bestError = error;
  }
  return best;
}

// The block's values, followed by zeros.
struct PaddedBlock {
  float x[blockLength] = {};
  PaddedBlock(const float *values, int64_t n) { std::copy_n(values, n, x); }
};

void appendQ4K(GridRows &grid, const float *values, int64_t n) {
  constexpr int64_t groups = blockLength / affineLength;
  AffineFit fits[groups];
  PaddedBlock block(values, n);
  const float *x = block.x;
  int64_t count = (n + affineLength - 1) / affineLength;
  double mostScale = 0, mostMinimum = 0;
  for (int64_t g = 0; g < count; ++g) {
    fits[g] = fitAffine(x + g * affineLength);
    mostScale = std::max(mostScale, fits[g].scale);
    mostMinimum = std::max(mostMinimum, fits[g].minimum);
  }
  float d = roundedToF16(float(mostScale / 63)), dmin = roundedToF16(float(mostMinimum / 63));
  auto small = [](double value, double most) {
    return most > 0 ? clampedNearest(float(63 / most * value), 0, 63) : 0;
  };
  for (int64_t g = 0; g < count; ++g) {
    int scale = small(fits[g].scale, mostScale), minimum = small(fits[g].minimum, mostMinimum);
    grid.subScales.push_back(int8_t(scale));
    grid.subMins.push_back(int8_t(minimum));
    float step = d * float(scale), offset = dmin * float(minimum);
    for (int64_t i = g * affineLength; i < std::min(n, (g + 1) * affineLength); ++i)
      grid.codes.push_back(int8_t(step != 0 ? clampedNearest((x[i] + offset) / step, 0, 15) : 0));
  }
  grid.scales.push_back(d);
  grid.minScales.push_back(dmin);
}

constexpr int64_t symmetricLength = 16;

// Scale of x ≈ scale · code, code −32 … 31, of least error weighted with x².
double fitSymmetric(const float *x) {
  constexpr int limit = 32;
  double extreme = 0;
  for (int64_t i = 0; i < symmetricLength; ++i)
    if (std::fabs(x[i]) > std::fabs(extreme))
      extreme = x[i];
  if (std::fabs(extreme) < 1e-15)
    return 0;
  double bestScale = 0, bestGain = 0;
  for (int step = -9; step <= 9; ++step) {
    double inverse = -(limit + 0.1 * step) / extreme, sumXl = 0, sumL2 = 0;
    for (int64_t i = 0; i < symmetricLength; ++i) {
      double l = clampedNearest(float(inverse * x[i]), -limit, limit - 1), value = x[i];
      sumXl += value * value * value * l, sumL2 += value * value * l * l;
    }
    if (sumL2 > 0 && sumXl * sumXl / sumL2 > bestGain)
      bestScale = sumXl / sumL2, bestGain = sumXl * sumXl / sumL2;
  }
  return bestScale;
}

void appendQ6K(GridRows &grid, const float *values, int64_t n) {
  constexpr int64_t groups = blockLength / symmetricLength;
  PaddedBlock block(values, n);
  const float *x = block.x;
  double scales[groups], extreme = 0;
  int64_t count = (n + symmetricLength - 1) / symmetricLength;
  for (int64_t g = 0; g < count; ++g) {
    scales[g] = fitSymmetric(x + g * symmetricLength);
    if (std::fabs(scales[g]) > std::fabs(extreme))
      extreme = scales[g];
  }
  float d = roundedToF16(float(extreme / -128));
  for (int64_t g = 0; g < count; ++g) {
    int scale = extreme != 0 ? clampedNearest(float(-128 / extreme * scales[g]), -128, 127) : 0;
    grid.subScales.push_back(int8_t(scale));
    float step = d * float(scale);
    for (int64_t i = g * symmetricLength; i < std::min(n, (g + 1) * symmetricLength); ++i)
      grid.codes.push_back(int8_t(step != 0 ? clampedNearest(x[i] / step, -32, 31) : 0));
  }
  grid.scales.push_back(d);
}

void appendW4G128Row(GridRows &grid, const float *row) {
  constexpr int64_t group = 128;
  const ScaleSearch &search = scaleSearch(WeightFormat::W4G128);
  int64_t runs = (grid.columns + group - 1) / group;
  std::vector<float> values(runs * group), scales(runs);
  std::vector<uint8_t> codes(runs * group);
  std::copy_n(row, grid.columns, values.data());
  findScales(search, values.data(), group, group, runs, scales.data());
  quantizeRuns(search, 0, values.data(), group, group, runs, scales.data(), codes.data());
  for (int64_t i = 0; i < grid.columns; ++i)
    grid.codes.push_back(int8_t(codes[i]));
  grid.scales.insert(grid.scales.end(), scales.begin(), scales.end());
}

void appendNf4(GridRows &grid, const float *x, int64_t n) {
  float scale = 0;
  for (int64_t i = 0; i < n; ++i)
    scale = std::max(scale, std::fabs(x[i]));
  for (int64_t i = 0; i < n; ++i) {
    int best = 7; // zero
    for (int code = 0; code < 16 && scale > 0; ++code)
      if (std::fabs(x[i] - nf4Table[code] * scale) < std::fabs(x[i] - nf4Table[best] * scale))
        best = code;
    grid.codes.push_back(int8_t(best));
  }
  grid.scales.push_back(scale);
}

} // namespace

void appendEncodedRow(GridRows &grid, const float *row) {
  if (grid.format == WeightFormat::W4G128)
    return appendW4G128Row(grid, row);
  int64_t run = gridRuns(grid.format).scale;
  for (int64_t first = 0; first < grid.columns; first += run) {
    int64_t count = std::min(run, grid.columns - first);
    switch (grid.format) {
    case WeightFormat::Q4K:
      appendQ4K(grid, row + first, count);
      break;
    case WeightFormat::Q6K:
      appendQ6K(grid, row + first, count);
      break;
    default:
      appendNf4(grid, row + first, count);
    }
  }
}

} // namespace gcompile::detail
