// e^x for x <= 0 from additions and multiplications of doubles alone: no libm, and the same bits on
// every machine (compile without contraction). Relative error below 4e-16 · 8; results under
// 2^-1021 are 0. NaN gives 0: a logit that is no number has no weight.
#pragma once

#include <stdint.h>

namespace gcompile::runtime {

inline double exponential(double x) {
  // The clamp keeps 2^k a normal number and catches NaN; both are undone by the last line, so that
  // the loop around this vectorises.
  double clamped = x > -707.0 ? x : -707.0;
  constexpr double shifter =
      6755399441055744.0; // 1.5 · 2^52: adding it rounds to an integer in the low bits
  double shifted = clamped * 1.4426950408889634074 + shifter;
  int64_t bits;
  __builtin_memcpy(&bits, &shifted, sizeof bits);
  double k = shifted - shifter;
  // ln 2 in two parts, the first with 33 zero bits at its end, so that k · high is exact.
  double r = (clamped - k * 6.93147180369123816490e-01) - k * 1.90821492927058770002e-10;
  // Taylor to r^13, |r| <= 0.347: the next term is below 5e-18.
  double p = 1.0 / 6227020800.0;
  p = p * r + 1.0 / 479001600.0;
  p = p * r + 1.0 / 39916800.0;
  p = p * r + 1.0 / 3628800.0;
  p = p * r + 1.0 / 362880.0;
  p = p * r + 1.0 / 40320.0;
  p = p * r + 1.0 / 5040.0;
  p = p * r + 1.0 / 720.0;
  p = p * r + 1.0 / 120.0;
  p = p * r + 1.0 / 24.0;
  p = p * r + 1.0 / 6.0;
  p = p * r + 0.5;
  p = p * r + 1.0;
  p = p * r + 1.0;
  uint64_t scaleBits = (uint64_t(bits) + 1023) << 52;
  double scale;
  __builtin_memcpy(&scale, &scaleBits, sizeof scale);
  return x > -707.0 ? p * scale : 0.0;
}

} // namespace gcompile::runtime
