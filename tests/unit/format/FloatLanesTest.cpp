#include "ir/Format/FloatLanes.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <random>

namespace {

using namespace gcompile::detail;

// A float of any sign and of an exponent between 2^-30 and 2^30, often with few bits, so that sums
// and products fall on ties.
float awkward(std::mt19937 &generator) {
  uint32_t bits = generator();
  uint32_t fraction = bits & 0x7fffffu;
  if (bits & 0x800000u)
    fraction &= ~0u << (generator() % 23);
  uint32_t exponent = 97 + generator() % 60;
  return std::bit_cast<float>((bits & 0x80000000u) | exponent << 23 | fraction);
}

// The C library's fma is the reference.
TEST(FloatLanes, MultiplyAddInDoublesRoundsOnce) {
  std::mt19937 generator(5);
  int twice = 0;
  for (int round = 0; round < 20000; ++round) {
    Floats a, b, c, out;
    for (int i = 0; i < lanes; ++i) {
      a[i] = awkward(generator), b[i] = awkward(generator);
      // A third near −a·b, where the sum cancels; a third on the other side of a tie.
      float product = a[i] * b[i];
      int kind = generator() % 3;
      c[i] = kind == 0   ? awkward(generator)
             : kind == 1 ? -product
                         : std::ldexp(product, 24 + int(generator() % 4));
    }
    FusedByDoubles::multiplyAdd(out, a, b, c);
    for (int i = 0; i < lanes; ++i) {
      float expected = std::fma(a[i], b[i], c[i]);
      ASSERT_EQ(std::bit_cast<uint32_t>(out[i]), std::bit_cast<uint32_t>(expected))
          << std::hexfloat << a[i] << " * " << b[i] << " + " << c[i];
      twice += float(double(a[i]) * double(b[i]) + double(c[i])) != expected;
    }
  }
  EXPECT_GT(twice, 0) << "no case needed more than one plain sum in double";
}

TEST(FloatLanes, TransposeExchangesRowsAndLanes) {
  Floats rows[lanes];
  for (int row = 0; row < lanes; ++row)
    for (int lane = 0; lane < lanes; ++lane)
      rows[row][lane] = float(100 * row + lane);
  transpose(rows);
  for (int row = 0; row < lanes; ++row)
    for (int lane = 0; lane < lanes; ++lane)
      EXPECT_EQ(rows[row][lane], float(100 * lane + row));
}

TEST(FloatLanes, AnySeesEachLane) {
  Ints mask = {};
  EXPECT_FALSE(any(mask));
  for (int lane = 0; lane < lanes; ++lane) {
    mask = Ints{};
    mask[lane] = -1;
    EXPECT_TRUE(any(mask)) << lane;
  }
}

} // namespace
