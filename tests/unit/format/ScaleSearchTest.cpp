#include "ir/Format/ScaleSearch.h"
#include "ir/Format/FloatConvert.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <random>
#include <vector>

namespace {

using namespace gcompile;
using namespace gcompile::detail;

constexpr WeightFormat integerFormats[] = {
    WeightFormat::W8,    WeightFormat::W4,    WeightFormat::W2,    WeightFormat::W8G32,
    WeightFormat::W4G32, WeightFormat::W2G64, WeightFormat::W4G128};

// Runs of very different kinds beside each other: normal, with one outlier, on a coarse grid,
// nearly all zero, zero, tiny and huge.
std::vector<float> mixedRuns(int64_t length, int64_t runs) {
  std::mt19937 generator(11);
  std::normal_distribution<float> normal;
  std::vector<float> values(length * runs);
  for (int64_t run = 0; run < runs; ++run) {
    float *at = values.data() + run * length;
    for (int64_t i = 0; i < length; ++i)
      at[i] = 0.02f * normal(generator);
    switch (run % 8) {
    case 1:
      at[generator() % length] = 3;
      break;
    case 2:
      for (int64_t i = 0; i < length; ++i)
        at[i] = 0.125f * float(int(generator() % 11) - 5);
      break;
    case 3:
      for (int64_t i = 0; i < length; ++i)
        at[i] = i % 29 == 7 ? at[i] : 0;
      break;
    case 4:
      for (int64_t i = 0; i < length; ++i)
        at[i] = 0;
      break;
    case 5:
      for (int64_t i = 0; i < length; ++i)
        at[i] = std::ldexp(at[i], -70 - int(run));
      break;
    case 6:
      for (int64_t i = 0; i < length; ++i)
        at[i] = std::ldexp(at[i], 60);
      break;
    default:
      break;
    }
  }
  return values;
}

// Σ (value − scale · code)², plainly, in doubles.
double errorOf(const ScaleSearch &search, const float *values, int64_t length, float scale) {
  double inverse = 1 / scale;
  if (!std::isfinite(1.0f / scale))
    inverse = 0;
  double sum = 0;
  for (int64_t i = 0; i < length; ++i) {
    double code = std::nearbyint(values[i] * inverse);
    code = std::fmin(std::fmax(code, search.minCode), search.maxCode);
    sum += (values[i] - code * scale) * (values[i] - code * scale);
  }
  return sum;
}

// Candidates are left when none of sixteen runs needs them: whichever runs stand together, each
// gets the scale that it gets alone.
TEST(ScaleSearch, RunsDoNotDependOnTheirNeighbours) {
  for (WeightFormat format : integerFormats)
    for (int64_t length : {32, 96, 1056}) {
      const ScaleSearch &search = scaleSearch(format);
      constexpr int64_t runs = 45;
      std::vector<float> values = mixedRuns(length, runs), together(runs);
      findScales(search, values.data(), length, length, runs, together.data());
      for (int64_t run = 0; run < runs; ++run) {
        float alone = -1;
        findScales(search, values.data() + run * length, length, length, 1, &alone);
        EXPECT_EQ(std::bit_cast<uint32_t>(together[run]), std::bit_cast<uint32_t>(alone))
            << name(format) << " length " << length << " run " << run;
      }
    }
}

// No candidate of the list is better, by plain arithmetic in doubles.
TEST(ScaleSearch, NoCandidateIsBetter) {
  for (WeightFormat format : integerFormats)
    for (int64_t length : {32, 256}) {
      const ScaleSearch &search = scaleSearch(format);
      constexpr int64_t runs = 40;
      std::vector<float> values = mixedRuns(length, runs), scales(runs);
      findScales(search, values.data(), length, length, runs, scales.data());
      for (int64_t run = 0; run < runs; ++run) {
        const float *at = values.data() + run * length;
        if (run % 8 >= 4 && run % 8 <= 6)
          continue; // out of the range of f16 scales
        float peak = 0;
        for (int64_t i = 0; i < length; ++i)
          if (std::fabs(at[i]) > std::fabs(peak))
            peak = at[i];
        double found = errorOf(search, at, length, scales[run]);
        for (int candidate = 0; candidate < search.candidateCount; ++candidate) {
          // Lopsided formats turn the largest weight to their longer side.
          float scale = (search.lopsided ? -peak : std::fabs(peak)) * search.candidates[candidate];
          if (search.scaleType == ScaleType::F16)
            scale = floatFromF16(f16FromFloat(scale));
          EXPECT_LE(found, errorOf(search, at, length, scale) * 1.0001 + 1e-15)
              << name(format) << " length " << length << " run " << run << " candidate "
              << candidate;
        }
      }
    }
}

// Runs apart, as slices of rows are.
TEST(ScaleSearch, StrideSeparatesRuns) {
  constexpr int64_t length = 64, stride = 160, runs = 19;
  const ScaleSearch &search = scaleSearch(WeightFormat::W4);
  std::vector<float> apart = mixedRuns(stride, runs), close, expected(runs), found(runs);
  for (int64_t run = 0; run < runs; ++run)
    close.insert(close.end(), apart.begin() + run * stride, apart.begin() + run * stride + length);
  findScales(search, close.data(), length, length, runs, expected.data());
  findScales(search, apart.data(), length, stride, runs, found.data());
  EXPECT_EQ(found, expected);
}

} // namespace
