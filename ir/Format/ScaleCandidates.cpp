// The scales that are tried, by format.
#include "ir/Format/ScaleSearch.h"

#include <array>

namespace gcompile::detail {
namespace {

// Candidate lists, as multiples of absmax. First comes the plain choice (all values in range), so
// that it wins ties.

// w8: 255 levels leave little to gain by clipping; from no clipping down to `least` of the range.
constexpr std::array<float, 16> candidates8(double least) {
  std::array<float, 16> list{};
  for (int i = 0; i < 16; ++i)
    list[i] = static_cast<float>((1 - (1 - least) * i / 15) / 127);
  return list;
}

// w4: grids of 8, 7, 6, 5 and 4 levels a side (coarser ones are among their multiples), then 27
// ratios of the unclipped scale, equally spaced (groups) or in geometric steps (long rows, whose
// largest weight may be far out).
constexpr std::array<float, 32> candidates4(double first, double step, double factor) {
  std::array<float, 32> list{};
  for (int i = 0; i < 5; ++i)
    list[i] = static_cast<float>(1.0 / (8 - i));
  double ratio = first;
  for (int i = 5; i < 32; ++i) {
    list[i] = static_cast<float>(ratio / 8);
    ratio = ratio * factor - step;
  }
  return list;
}

// w2: both orientations, as the side with one code only matters for most values. Grids of 2 and 1
// levels a side, then 14 ratios.
constexpr std::array<float, 32> candidates2(double first, double step, double factor) {
  std::array<float, 32> list{};
  double ratio = first;
  for (int i = 0; i < 16; ++i) {
    double value = i == 0 ? 0.5 : i == 1 ? 1.0 : ratio;
    if (i > 1)
      ratio = ratio * factor - step;
    list[2 * i] = static_cast<float>(value);
    list[2 * i + 1] = static_cast<float>(-value);
  }
  return list;
}

constexpr auto rowCandidates8 = candidates8(0.6), groupCandidates8 = candidates8(0.92);
constexpr auto rowCandidates4 = candidates4(0.98, 0, 0.933);
constexpr auto groupCandidates4 = candidates4(1.11, 0.02, 1);
constexpr auto rowCandidates2 = candidates2(0.45, 0, 0.86);
constexpr auto groupCandidates2 = candidates2(0.72, 0.036, 1);

constexpr ScaleSearch row8 = {-127, 127, ScaleType::F32, 16, rowCandidates8.data(), false};
constexpr ScaleSearch row4 = {-8, 7, ScaleType::F32, 32, rowCandidates4.data(), true};
constexpr ScaleSearch row2 = {-2, 1, ScaleType::F32, 32, rowCandidates2.data(), true};
constexpr ScaleSearch group8 = {-127, 127, ScaleType::F16, 16, groupCandidates8.data(), false};
constexpr ScaleSearch group4 = {-8, 7, ScaleType::F16, 32, groupCandidates4.data(), true};
constexpr ScaleSearch group2 = {-2, 1, ScaleType::F16, 32, groupCandidates2.data(), true};

} // namespace

const ScaleSearch &scaleSearch(WeightFormat format) {
  switch (format) {
  case WeightFormat::W4:
    return row4;
  case WeightFormat::W2:
    return row2;
  case WeightFormat::W8G32:
    return group8;
  case WeightFormat::W4G32:
  case WeightFormat::W4G128:
    return group4;
  case WeightFormat::W2G64:
    return group2;
  default:
    return row8;
  }
}

} // namespace gcompile::detail
