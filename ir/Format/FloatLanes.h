// Vectors of 16 floats with fixed lane meaning, in IEEE operations only, so that every machine that
// packs gives the same bytes. Multiply-adds are fused where they are written so and nowhere else
// (-ffp-contract=off): processors without them get the same results in more steps.
#pragma once

#include <cstdint>
#include <cstring>
#include <utility>

namespace gcompile::detail {

#define GC_INLINE inline __attribute__((always_inline))

typedef float Floats __attribute__((vector_size(64)));
typedef int32_t Ints __attribute__((vector_size(64)));
typedef uint32_t Words __attribute__((vector_size(64)));
typedef double HalfDoubles __attribute__((vector_size(64)));
typedef int64_t HalfLongs __attribute__((vector_size(64)));
typedef float HalfFloats __attribute__((vector_size(32)));
typedef int32_t HalfInts __attribute__((vector_size(32)));
typedef bool LaneBits __attribute__((ext_vector_type(16)));

constexpr int lanes = 16;

// A double for each lane.
struct Doubles {
  HalfDoubles low = {}, high = {};
};

// The helpers take vectors by reference: by value they would be bound to one ABI.
GC_INLINE void load(Floats &out, const float *at) { std::memcpy(&out, at, sizeof(out)); }

GC_INLINE void splat(Floats &out, float value) { out = value - Floats{}; }

GC_INLINE void widen(Doubles &out, const Floats &value) {
  HalfFloats halves[2];
  std::memcpy(halves, &value, sizeof(halves));
  out.low = __builtin_convertvector(halves[0], HalfDoubles);
  out.high = __builtin_convertvector(halves[1], HalfDoubles);
}

GC_INLINE void narrow(Floats &out, const Doubles &value) {
  HalfFloats halves[2] = {__builtin_convertvector(value.low, HalfFloats),
                          __builtin_convertvector(value.high, HalfFloats)};
  std::memcpy(&out, halves, sizeof(out));
}

// Lanes where a < b: all bits set.
GC_INLINE void isBelow(Ints &out, const Doubles &a, const Doubles &b) {
  HalfInts halves[2] = {__builtin_convertvector(a.low < b.low, HalfInts),
                        __builtin_convertvector(a.high < b.high, HalfInts)};
  std::memcpy(&out, halves, sizeof(out));
}

// Where `mask`: b.
GC_INLINE void choose(Doubles &out, const Ints &mask, const Doubles &b) {
  HalfInts halves[2];
  std::memcpy(halves, &mask, sizeof(halves));
  out.low = __builtin_convertvector(halves[0], HalfLongs) ? b.low : out.low;
  out.high = __builtin_convertvector(halves[1], HalfLongs) ? b.high : out.high;
}

GC_INLINE bool any(const Ints &mask) {
  LaneBits bits = __builtin_convertvector(mask, LaneBits);
  uint16_t word;
  static_assert(sizeof(bits) == sizeof(word));
  std::memcpy(&word, &bits, sizeof(word));
  return word != 0;
}

// a · b + c, rounded once.
struct FusedByHardware {
  static GC_INLINE void multiplyAdd(Floats &out, const Floats &a, const Floats &b,
                                    const Floats &c) {
    out = __builtin_elementwise_fma(a, b, c);
  }
};

// The same in doubles: the product is exact there, and a sum that is rounded to odd (inexact ones
// get an odd last bit) can be rounded again without harm (Boldo, Melquiond: "Emulation of FMA and
// correctly rounded sums: proved algorithms using rounding to odd", 2008).
struct FusedByDoubles {
  static GC_INLINE void multiplyAdd(Floats &out, const Floats &a, const Floats &b,
                                    const Floats &c) {
    Doubles x, y, z;
    widen(x, a);
    widen(y, b);
    widen(z, c);
    addToOdd(z.low, x.low * y.low);
    addToOdd(z.high, x.high * y.high);
    narrow(out, z);
  }

private:
  static GC_INLINE void addToOdd(HalfDoubles &sum, const HalfDoubles &product) {
    HalfDoubles nearest = product + sum, part = nearest - product;
    HalfDoubles rest = (product - (nearest - part)) + (sum - part);
    HalfLongs bits = (HalfLongs)nearest;
    HalfLongs isEven = (bits & 1) - 1;
    HalfLongs outward = ((HalfLongs)rest ^ bits) >> 63; // −1 where rest points towards zero
    HalfLongs step = (outward | 1) & isEven & (rest != 0);
    sum = (HalfDoubles)(bits + step);
  }
};

template <int step, int... lane>
GC_INLINE void exchange(Floats &a, Floats &b, std::integer_sequence<int, lane...>) {
  Floats low = __builtin_shufflevector(a, b, ((lane & step) ? lanes + lane - step : lane)...);
  b = __builtin_shufflevector(a, b, ((lane & step) ? lanes + lane : lane + step)...);
  a = low;
}

template <int step>
GC_INLINE void transposeStep(Floats (&rows)[lanes]) {
  for (int i = 0; i < lanes; ++i)
    if (!(i & step))
      exchange<step>(rows[i], rows[i + step], std::make_integer_sequence<int, lanes>());
}

GC_INLINE void transpose(Floats (&rows)[lanes]) {
  transposeStep<8>(rows);
  transposeStep<4>(rows);
  transposeStep<2>(rows);
  transposeStep<1>(rows);
}

} // namespace gcompile::detail
