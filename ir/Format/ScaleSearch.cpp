// Compiled several times (the oldest x86-64, AVX2, AVX-512) and chosen when first used; every
// variant gives the same bytes (FloatLanes.h).
//
// The lanes are 16 runs, transposed: no sum over lanes, and no work that a short run does not
// share. A candidate is left as soon as none of the 16 runs can do better with it than with one
// before it, which changes no result: sums of squares only grow, in rounded arithmetic too.
#include "ir/Format/ScaleSearch.h"
#include "ir/Format/FloatLanes.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

namespace gcompile::detail {
namespace {

typedef uint8_t Bytes __attribute__((vector_size(16)));

// Values summed in float before the sum moves to double.
constexpr int64_t blockLength = 512;
// Values between two looks at whether a candidate can still win.
constexpr int64_t lookLength = 16;
// Adding and subtracting this rounds |x| < 2^22 to the nearest integer, ties to even.
constexpr float roundingShift = 0x1.8p23f;

// Scales with all that is needed to round by them.
struct Rounding {
  Floats scale, inverse, low, high; // low and high: the range of codes, shifted
};

// 1 / scale, and 0 for scales that have no finite inverse: their codes are all 0.
GC_INLINE void invert(Floats &inverse, const Floats &scale) {
  inverse = 1.0f / scale;
  Words magnitude = (Words)inverse & 0x7fffffffu;
  inverse = magnitude < 0x7f800000u ? inverse : Floats{};
}

GC_INLINE void prepare(Rounding &rounding, const ScaleSearch &search, const Floats &scale) {
  rounding.scale = scale;
  invert(rounding.inverse, scale);
  splat(rounding.low, search.minCode + roundingShift);
  splat(rounding.high, search.maxCode + roundingShift);
}

template <typename Fused>
GC_INLINE void roundCodes(Floats &codes, const Floats &values, const Rounding &rounding) {
  Floats shift;
  splat(shift, roundingShift);
  Fused::multiplyAdd(codes, values, rounding.inverse, shift);
  codes = codes < rounding.low ? rounding.low : codes;
  codes = codes > rounding.high ? rounding.high : codes;
  codes -= shift;
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

// error += (value − scale · code)².
template <typename Fused>
GC_INLINE void addError(Floats &error, Floats &codes, const Floats &values,
                        const Rounding &rounding) {
  Floats difference;
  roundCodes<Fused>(codes, values, rounding);
  Fused::multiplyAdd(difference, -codes, rounding.scale, values);
  Fused::multiplyAdd(error, difference, difference, error);
}

// Sixteen runs: value i of all of them at 16 · i.
struct Runs {
  const float *values;
  int64_t length;
};

GC_INLINE void addWide(Doubles &sum, const Floats &part) {
  Doubles wide;
  widen(wide, part);
  sum.low += wide.low;
  sum.high += wide.high;
}

// Σ (value − scale · code)² of every lane; false, and no sums, when no lane can be below `best`.
template <typename Fused>
GC_INLINE bool candidateErrors(Doubles &sum, const Runs &runs, const Rounding &rounding,
                               const Doubles &best) {
  sum = {};
  for (int64_t begin = 0; begin < runs.length; begin += blockLength) {
    int64_t end = std::min(runs.length, begin + blockLength);
    // What this block may add, rounded up (to more than nothing, too).
    Doubles left = {best.low - sum.low, best.high - sum.high};
    Floats limit, even = {}, odd = {}, x, q; // two sums, as one would wait for itself
    narrow(limit, left);
    limit = limit * (1 + 0x1p-22f) + std::numeric_limits<float>::denorm_min();
    for (int64_t i = begin; i < end;) {
      for (int64_t look = i + lookLength; i < look; i += 2) {
        load(x, runs.values + lanes * i);
        addError<Fused>(even, q, x, rounding);
        load(x, runs.values + lanes * (i + 1));
        addError<Fused>(odd, q, x, rounding);
      }
      if (!any(even + odd < limit))
        return false;
    }
    addWide(sum, even + odd);
  }
  return true;
}

struct Fit {
  Doubles valueCode, codeCode, error; // Σ x·q, Σ q², Σ (x − s·q)²
};

template <typename Fused>
GC_INLINE void fitScales(Fit &fit, const Runs &runs, const Rounding &rounding) {
  fit = {};
  for (int64_t begin = 0; begin < runs.length; begin += blockLength) {
    int64_t end = std::min(runs.length, begin + blockLength);
    Floats valueCode = {}, codeCode = {}, error = {}, x, q;
    for (int64_t i = begin; i < end; ++i) {
      load(x, runs.values + lanes * i);
      addError<Fused>(error, q, x, rounding);
      Fused::multiplyAdd(valueCode, x, q, valueCode);
      Fused::multiplyAdd(codeCode, q, q, codeCode);
    }
    addWide(fit.valueCode, valueCode);
    addWide(fit.codeCode, codeCode);
    addWide(fit.error, error);
  }
}

// The largest magnitude of each run, and that value with its sign.
GC_INLINE void findPeaks(Floats &magnitude, Floats &peak, const Runs &runs) {
  Floats low = {}, high = {}, x;
  for (int64_t i = 0; i < runs.length; ++i) {
    load(x, runs.values + lanes * i);
    low = x < low ? x : low;
    high = x > high ? x : high;
  }
  magnitude = high > -low ? high : -low;
  peak = high > -low ? high : low;
}

template <typename Fused>
GC_INLINE void findSixteen(const ScaleSearch &search, const Runs &runs, Floats &scale) {
  Floats magnitude, peak, unit;
  findPeaks(magnitude, peak, runs);
  // The lopsided side is the negative one: turn the largest weight there.
  unit = search.lopsided ? -peak : magnitude;
  bool toF16 = search.scaleType == ScaleType::F16;

  Doubles best, error;
  best.low = best.high = std::numeric_limits<double>::infinity() - HalfDoubles{};
  scale = Floats{};
  Rounding rounding;
  Ints better;
  for (int candidate = 0; candidate < search.candidateCount; ++candidate) {
    Floats tried = unit * search.candidates[candidate];
    if (toF16)
      roundToF16(tried);
    prepare(rounding, search, tried);
    // What the largest value alone costs rules out most candidates that clip it.
    Floats least = {}, codes;
    addError<Fused>(least, codes, peak, rounding);
    widen(error, least);
    isBelow(better, error, best);
    if (!any(better) || !candidateErrors<Fused>(error, runs, rounding, best))
      continue;
    isBelow(better, error, best);
    choose(best, better, error);
    scale = better ? tried : scale;
  }

  Fit fit, next;
  prepare(rounding, search, scale);
  fitScales<Fused>(fit, runs, rounding);
  Doubles zero;
  Ints open, hasCodes;
  for (int round = 0; round < 3; ++round) {
    isBelow(hasCodes, zero, fit.codeCode);
    isBelow(open, zero, fit.error);
    open &= hasCodes;
    Doubles quotient;
    quotient.low = fit.valueCode.low / fit.codeCode.low;
    quotient.high = fit.valueCode.high / fit.codeCode.high;
    Floats refined;
    narrow(refined, quotient);
    if (toF16)
      roundToF16(refined);
    open &= ((Words)refined & 0x7fffffffu) < 0x7f800000u;
    refined = open ? refined : scale;
    open &= refined != scale;
    if (!any(open))
      break;
    prepare(rounding, search, refined);
    fitScales<Fused>(next, runs, rounding);
    isBelow(better, next.error, fit.error);
    better &= open;
    scale = better ? refined : scale;
    choose(fit.valueCode, better, next.valueCode);
    choose(fit.codeCode, better, next.codeCode);
    choose(fit.error, better, next.error);
  }
  // A scale without inverse would give codes of 0 anyway; say so plainly.
  isBelow(hasCodes, zero, fit.codeCode);
  scale = hasCodes ? scale : Floats{};
}

template <typename Fused>
GC_INLINE void findAll(const ScaleSearch &search, const float *values, int64_t length,
                       int64_t stride, int64_t runs, float *scales, float *transposed) {
  for (int64_t first = 0; first < runs; first += lanes) {
    int64_t count = std::min<int64_t>(lanes, runs - first);
    for (int64_t i = 0; i < length; i += lanes) {
      Floats rows[lanes] = {};
      for (int64_t run = 0; run < count; ++run)
        load(rows[run], values + (first + run) * stride + i);
      transpose(rows);
      std::memcpy(transposed + lanes * i, rows, sizeof(rows));
    }
    Floats found;
    findSixteen<Fused>(search, {transposed, length}, found);
    std::memcpy(scales + first, &found, sizeof(float) * count);
  }
}

template <typename Fused>
GC_INLINE void roundAll(const ScaleSearch &search, int codeOffset, const float *values,
                        int64_t length, int64_t stride, int64_t runs, const float *scales,
                        uint8_t *codes, PackError &result) {
  Rounding rounding;
  Floats x, q, scale;
  for (int64_t run = 0; run < runs; ++run) {
    splat(scale, scales[run]);
    prepare(rounding, search, scale);
    HalfDoubles error = {}, square = {};
    for (int64_t i = 0; i < length; i += lanes) {
      load(x, values + run * stride + i);
      roundCodes<Fused>(q, x, rounding);
      if (codes) {
        Bytes stored =
            __builtin_convertvector(__builtin_convertvector(q, Ints) + codeOffset, Bytes);
        std::memcpy(codes + run * length + i, &stored, sizeof(stored));
      }
      Doubles value, code;
      widen(value, x);
      widen(code, q);
      double factor = scales[run];
      for (auto [wide, decoded] :
           {std::pair{value.low, code.low * factor}, std::pair{value.high, code.high * factor}}) {
        error += (wide - decoded) * (wide - decoded);
        square += wide * wide;
      }
    }
    for (int i = 0; i < 8; ++i) {
      result.squaredError += error[i];
      result.squaredSum += square[i];
    }
  }
}

// One compilation of the two.
struct Variant {
  void (*find)(const ScaleSearch &, const float *, int64_t, int64_t, int64_t, float *, float *);
  void (*round)(const ScaleSearch &, int, const float *, int64_t, int64_t, int64_t, const float *,
                uint8_t *, PackError &);
};

#define GC_VARIANT(name, fused, ...)                                                               \
  __VA_ARGS__ void find##name(const ScaleSearch &search, const float *values, int64_t length,      \
                              int64_t stride, int64_t runs, float *scales, float *transposed) {    \
    findAll<fused>(search, values, length, stride, runs, scales, transposed);                      \
  }                                                                                                \
  __VA_ARGS__ void round##name(const ScaleSearch &search, int codeOffset, const float *values,     \
                               int64_t length, int64_t stride, int64_t runs, const float *scales,  \
                               uint8_t *codes, PackError &result) {                                \
    roundAll<fused>(search, codeOffset, values, length, stride, runs, scales, codes, result);      \
  }                                                                                                \
  [[maybe_unused]] constexpr Variant variant##name = {find##name, round##name};

// GC_OLDEST_VARIANT: tests compare it with the others.
#if defined(__x86_64__)
GC_VARIANT(Oldest, FusedByDoubles)
GC_VARIANT(Avx2, FusedByHardware, __attribute__((target("arch=x86-64-v3"))))
GC_VARIANT(Avx512, FusedByHardware,
           __attribute__((target("arch=x86-64-v4"), min_vector_width(512))))

const Variant &variant() {
#ifndef GC_OLDEST_VARIANT
  static const Variant &best = __builtin_cpu_supports("x86-64-v4")   ? variantAvx512
                               : __builtin_cpu_supports("x86-64-v3") ? variantAvx2
                                                                     : variantOldest;
  return best;
#else
  return variantOldest;
#endif
}
#else
GC_VARIANT(Only, FusedByHardware)
const Variant &variant() { return variantOnly; }
#endif

} // namespace

void findScales(const ScaleSearch &search, const float *values, int64_t length, int64_t stride,
                int64_t runs, float *scales) {
  assert(length % runMultiple == 0);
  std::vector<float> transposed(lanes * length);
  variant().find(search, values, length, stride, runs, scales, transposed.data());
}

PackError quantizeRuns(const ScaleSearch &search, int codeOffset, const float *values,
                       int64_t length, int64_t stride, int64_t runs, const float *scales,
                       uint8_t *codes) {
  assert(length % runMultiple == 0);
  PackError result;
  variant().round(search, codeOffset, values, length, stride, runs, scales, codes, result);
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

} // namespace gcompile::detail
