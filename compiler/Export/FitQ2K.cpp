#include "compiler/Export/FitQ2K.h"

#include "ir/Format/FloatConvert.h"

#include <algorithm>
#include <cmath>

namespace gcompile {
namespace {

constexpr int run = 16, most = 3;

// value ≈ code · scale − min, with min ≥ 0.
struct Affine {
  float scale = 0, min = 0;
};

int codeOf(float value, Affine fit) {
  return fit.scale > 0 ? std::clamp(int(std::lrintf((value + fit.min) / fit.scale)), 0, most) : 0;
}

// Least |weighted| absolute error over trial scales; weights are the magnitudes, as llama.cpp has
// them for this type without importance data.
Affine fitRun(const float *x) {
  float low = std::min(0.0f, *std::min_element(x, x + run)), high = *std::max_element(x, x + run);
  if (high <= low)
    return {0, -low};
  Affine best{(high - low) / most, -low};
  auto error = [&](Affine fit) {
    double sum = 0;
    for (int i = 0; i < run; ++i)
      sum += std::abs(x[i]) * std::abs(double(fit.scale) * codeOf(x[i], fit) - fit.min - x[i]);
    return sum;
  };
  double least = error(best);
  for (int step = 0; step <= 15; ++step) {
    float inverse = (float(most) - 0.5f + 0.1f * float(step)) / (high - low);
    double sw = 0, sl = 0, sl2 = 0, sx = 0, slx = 0;
    for (int i = 0; i < run; ++i) {
      int code = std::clamp(int(std::lrintf(inverse * (x[i] - low))), 0, most);
      double w = std::abs(x[i]);
      sw += w;
      sl += w * code;
      sl2 += w * code * code;
      sx += w * x[i];
      slx += w * code * x[i];
    }
    double determinant = sw * sl2 - sl * sl;
    if (determinant <= 0)
      continue;
    Affine fit{float((sw * slx - sx * sl) / determinant),
               float(-(sl2 * sx - sl * slx) / determinant)};
    if (fit.min < 0) {
      fit.min = 0;
      fit.scale = float(slx / sl2);
    }
    if (!(fit.scale > 0))
      continue;
    if (double now = error(fit); now < least) {
      least = now;
      best = fit;
    }
  }
  return best;
}

// Sixteen amounts as 4-bit multiples of one f16.
uint16_t commonUnit(const std::array<float, 16> &amounts, std::array<uint8_t, 16> &multiples) {
  float largest = *std::max_element(amounts.begin(), amounts.end());
  if (!(largest > 0))
    return 0;
  for (size_t i = 0; i < 16; ++i)
    multiples[i] = uint8_t(std::clamp(int(std::lrintf(15 * amounts[i] / largest)), 0, 15));
  return f16FromFloat(largest / 15);
}

} // namespace

Q2KBlock fitQ2K(std::span<const float, 256> values) {
  std::array<float, 16> scales, mins;
  for (int i = 0; i < 16; ++i) {
    Affine fit = fitRun(values.data() + i * run);
    scales[i] = fit.scale;
    mins[i] = fit.min;
  }
  Q2KBlock block;
  block.d = commonUnit(scales, block.scales);
  block.dmin = commonUnit(mins, block.mins);
  float d = floatFromF16(block.d), dmin = floatFromF16(block.dmin);
  for (int i = 0; i < 256; ++i) // with the scales that a reader sees
    block.codes[i] =
        uint8_t(codeOf(values[i], {d * block.scales[i / run], dmin * block.mins[i / run]}));
  return block;
}

} // namespace gcompile
