// Vectors of 16 floats with fixed lane meaning; compiled several times (x86-64 baseline, AVX2,
// AVX-512) and chosen at start. Every variant does the same IEEE operations in the same order
// (-ffp-contract=off, see CMakeLists.txt), so all give the same bytes.
//
// The candidate search keeps candidates in the lanes and broadcasts the weights: no horizontal
// sums, and 32 candidates cost 18 vector operations a weight.
#include "ir/Format/ScaleSearch.h"
#include "ir/Format/FloatConvert.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

// Clones need an ifunc resolver, which sanitizers run before they are ready. GC_NO_CLONES: tests
// compare the baseline with the clones.
#if defined(GC_NO_CLONES)
#elif defined(__SANITIZE_ADDRESS__)
#define GC_NO_CLONES
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define GC_NO_CLONES
#endif
#endif
#if defined(__x86_64__) && defined(__gnu_linux__) && !defined(GC_NO_CLONES)
#define GC_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define GC_CLONES
#endif
#define GC_INLINE inline __attribute__((always_inline))

namespace gcompile::detail {
namespace {

typedef float Floats __attribute__((vector_size(64)));
typedef int32_t Ints __attribute__((vector_size(64)));
typedef uint32_t Words __attribute__((vector_size(64)));
typedef double HalfDoubles __attribute__((vector_size(64)));
typedef float HalfFloats __attribute__((vector_size(32)));
typedef uint8_t Bytes __attribute__((vector_size(16)));

constexpr int lanes = 16;
// Values summed in float before the sum moves to double.
constexpr int64_t blockLength = 512;
// Adding and subtracting this rounds |x| < 2^22 to the nearest integer, ties to even.
constexpr float roundingShift = 0x1.8p23f;

// The helpers take vectors by reference: by value they would be bound to one ABI.
GC_INLINE void load(Floats &out, const float *at) { std::memcpy(&out, at, sizeof(out)); }

GC_INLINE void splat(Floats &out, float value) { out = value - Floats{}; }

GC_INLINE void roundCodes(Floats &codes, const Floats &values, const Floats &inverse,
                          const Floats &low, const Floats &high) {
  Floats t = values * inverse;
  t = t < low ? low : t;
  t = t > high ? high : t;
  codes = (t + roundingShift) - roundingShift;
}

// Sums the 16 lanes in one fixed tree.
GC_INLINE double sum(const Floats &v) {
  double part[8];
  for (int i = 0; i < 8; ++i)
    part[i] = static_cast<double>(v[i]) + static_cast<double>(v[i + 8]);
  return ((part[0] + part[4]) + (part[2] + part[6])) + ((part[1] + part[5]) + (part[3] + part[7]));
}

// f32 values rounded to f16, saturating, as floatFromF16(f16FromFloat(x)) does.
GC_INLINE void roundToF16(Floats &value) {
  Words bits = (Words)value;
  Words sign = bits & 0x80000000u;
  Words magnitude = bits & 0x7fffffffu;
  Words normal = (magnitude + 0xfffu + (magnitude >> 13 & 1u)) & 0xffffe000u;
  Floats shifted = ((Floats)magnitude + 0.5f) - 0.5f;
  Words result = magnitude < 0x38800000u ? (Words)shifted : normal;
  Words largest = Words{} + 0x477fe000u;
  result = magnitude > largest ? largest : result;
  value = (Floats)(result | sign);
}

// 1 / scale, and 0 for scales that have no finite inverse: their codes are all 0.
GC_INLINE void invert(Floats &inverse, const Floats &scale) {
  inverse = 1.0f / scale;
  Words magnitude = (Words)inverse & 0x7fffffffu;
  inverse = magnitude < 0x7f800000u ? inverse : Floats{};
}

GC_INLINE float invertOne(float scale) {
  float inverse = 1.0f / scale;
  return std::isfinite(inverse) ? inverse : 0.0f;
}

GC_INLINE void addWide(HalfDoubles &low, HalfDoubles &high, const Floats &value) {
  HalfFloats halves[2];
  std::memcpy(halves, &value, sizeof(halves));
  low += __builtin_convertvector(halves[0], HalfDoubles);
  high += __builtin_convertvector(halves[1], HalfDoubles);
}

// Σ (value − scale · code)² for each of the scales.
template <int Vectors>
GC_INLINE void candidateErrors(const float *values, int64_t length, const Floats *scales,
                               const Floats &low, const Floats &high, double *errors) {
  Floats inverse[Vectors];
  HalfDoubles total[2 * Vectors] = {};
  for (int v = 0; v < Vectors; ++v)
    invert(inverse[v], scales[v]);
  for (int64_t begin = 0; begin < length; begin += blockLength) {
    int64_t end = std::min(length, begin + blockLength);
    Floats part[Vectors] = {};
    for (int64_t i = begin; i < end; ++i) {
      Floats x, q;
      splat(x, values[i]);
      for (int v = 0; v < Vectors; ++v) {
        roundCodes(q, x, inverse[v], low, high);
        Floats difference = x - q * scales[v];
        part[v] += difference * difference;
      }
    }
    for (int v = 0; v < Vectors; ++v)
      addWide(total[2 * v], total[2 * v + 1], part[v]);
  }
  std::memcpy(errors, total, sizeof(total));
}

struct Fit {
  double valueCode = 0, codeCode = 0, error = 0; // Σ x·q, Σ q², Σ (x − s·q)²
};

GC_INLINE Fit fitScale(const float *values, int64_t length, float scale, float minCode,
                       float maxCode) {
  Floats inverse, low, high, x, q;
  splat(inverse, invertOne(scale));
  splat(low, minCode);
  splat(high, maxCode);
  Fit fit;
  for (int64_t begin = 0; begin < length; begin += blockLength) {
    int64_t end = std::min(length, begin + blockLength);
    Floats valueCode = {}, codeCode = {}, error = {};
    for (int64_t i = begin; i < end; i += lanes) {
      load(x, values + i);
      roundCodes(q, x, inverse, low, high);
      Floats difference = x - q * scale;
      valueCode += x * q;
      codeCode += q * q;
      error += difference * difference;
    }
    fit.valueCode += sum(valueCode);
    fit.codeCode += sum(codeCode);
    fit.error += sum(error);
  }
  return fit;
}

GC_INLINE float largestMagnitude(const float *values, int64_t length, bool *positive) {
  Floats low = {}, high = {}, x;
  for (int64_t i = 0; i < length; i += lanes) {
    load(x, values + i);
    low = x < low ? x : low;
    high = x > high ? x : high;
  }
  float least = 0, most = 0;
  for (int i = 0; i < lanes; ++i) {
    least = std::min(least, low[i]);
    most = std::max(most, high[i]);
  }
  *positive = most > -least;
  return std::max(most, -least);
}

template <int Vectors>
GC_INLINE float findScale(const ScaleSearch &search, const float *values, int64_t length) {
  bool positive;
  float absmax = largestMagnitude(values, length, &positive);
  if (absmax == 0)
    return 0;
  // The lopsided side is the negative one: turn the largest weight there.
  float signedMax = search.lopsided && positive ? -absmax : absmax;
  bool toF16 = search.scaleType == ScaleType::F16;
  Floats scales[Vectors], low, high;
  splat(low, search.minCode);
  splat(high, search.maxCode);
  for (int v = 0; v < Vectors; ++v) {
    load(scales[v], search.candidates + lanes * v);
    scales[v] *= signedMax;
    if (toF16)
      roundToF16(scales[v]);
  }
  double errors[lanes * Vectors];
  candidateErrors<Vectors>(values, length, scales, low, high, errors);
  int best = 0;
  for (int i = 1; i < lanes * Vectors; ++i)
    if (errors[i] < errors[best])
      best = i;
  float scale = scales[best / lanes][best % lanes];

  Fit fit = fitScale(values, length, scale, search.minCode, search.maxCode);
  for (int round = 0; round < 3 && fit.codeCode > 0 && fit.error > 0; ++round) {
    float refined = static_cast<float>(fit.valueCode / fit.codeCode);
    if (toF16)
      refined = floatFromF16(f16FromFloat(refined));
    if (refined == scale || !std::isfinite(refined))
      break;
    Fit next = fitScale(values, length, refined, search.minCode, search.maxCode);
    if (!(next.error < fit.error))
      break;
    scale = refined;
    fit = next;
  }
  // A scale without inverse would give codes of 0 anyway; say so plainly.
  return fit.codeCode > 0 ? scale : 0.0f;
}

} // namespace

GC_CLONES
void findScales(const ScaleSearch &search, const float *values, int64_t length, int64_t runs,
                float *scales) {
  for (int64_t run = 0; run < runs; ++run)
    scales[run] = search.candidateCount == lanes
                      ? findScale<1>(search, values + run * length, length)
                      : findScale<2>(search, values + run * length, length);
}

GC_CLONES
PackError quantizeRuns(const ScaleSearch &search, int codeOffset, const float *values,
                       int64_t length, int64_t runs, const float *scales, uint8_t *codes) {
  PackError result;
  Floats low, high, inverse, x, q;
  splat(low, search.minCode);
  splat(high, search.maxCode);
  for (int64_t run = 0; run < runs; ++run) {
    float scale = scales[run];
    splat(inverse, invertOne(scale));
    HalfDoubles error = {}, square = {};
    for (int64_t i = run * length; i < (run + 1) * length; i += lanes) {
      load(x, values + i);
      roundCodes(q, x, inverse, low, high);
      if (codes) {
        Bytes stored =
            __builtin_convertvector(__builtin_convertvector(q, Ints) + codeOffset, Bytes);
        std::memcpy(codes + i, &stored, sizeof(stored));
      }
      HalfFloats x2[2], q2[2];
      std::memcpy(x2, &x, sizeof(x2));
      std::memcpy(q2, &q, sizeof(q2));
      for (int half = 0; half < 2; ++half) {
        HalfDoubles wide = __builtin_convertvector(x2[half], HalfDoubles);
        HalfDoubles decoded =
            __builtin_convertvector(q2[half], HalfDoubles) * static_cast<double>(scale);
        error += (wide - decoded) * (wide - decoded);
        square += wide * wide;
      }
    }
    for (int i = 0; i < 8; ++i) {
      result.squaredError += error[i];
      result.squaredSum += square[i];
    }
  }
  return result;
}

PackError sumErrors(const float *values, const float *decoded, int64_t count) {
  double error[8] = {}, square[8] = {};
  for (int64_t i = 0; i < count; ++i) {
    double value = values[i], difference = value - static_cast<double>(decoded[i]);
    error[i % 8] += difference * difference;
    square[i % 8] += value * value;
  }
  PackError result;
  for (int i = 0; i < 8; ++i) {
    result.squaredError += error[i];
    result.squaredSum += square[i];
  }
  return result;
}

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
