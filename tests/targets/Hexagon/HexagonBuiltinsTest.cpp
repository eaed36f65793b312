// The arithmetic of runtime/hexagon/Builtins.c, compiled for this machine, against its hardware and
// C library: every result to the bit.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

extern "C" {
void *gc_memcpy(void *to, const void *from, size_t bytes);
void *gc_memmove(void *to, const void *from, size_t bytes);
void *gc_memset(void *to, int value, size_t bytes);
float gc_sqrtf(float x);
float gc_floorf(float x);
float gc_roundevenf(float x);
double gc_fma(double x, double y, double z);
float gc_extendhfsf2(uint16_t half);
uint16_t gc_truncsfhf2(float x);
uint64_t __hexagon_udivdi3(uint64_t, uint64_t);
uint64_t __hexagon_umoddi3(uint64_t, uint64_t);
int64_t __hexagon_divdi3(int64_t, int64_t);
int64_t __hexagon_moddi3(int64_t, int64_t);
uint32_t __hexagon_udivsi3(uint32_t, uint32_t);
uint32_t __hexagon_umodsi3(uint32_t, uint32_t);
int32_t __hexagon_divsi3(int32_t, int32_t);
int32_t __hexagon_modsi3(int32_t, int32_t);
}

namespace {

uint32_t bits(float x) { return std::bit_cast<uint32_t>(x); }
uint64_t bits(double x) { return std::bit_cast<uint64_t>(x); }

// Every bit pattern is a float; some of them are special.
std::vector<float> floats() {
  std::vector<float> values = {
      0.0f,       -0.0f,           0.5f,         -0.5f,        1.5f,
      2.5f,       -2.5f,           8388607.5f,   0x1p-149f,    0x1.fffffep-127f,
      0x1p-126f,  0x1.fffffep127f, 65519.996f,   65520.0f,     0x1p-25f,
      0x1.8p-25f, 0x1p-24f,        0x1.ffep-15f, 0x1.fffp-15f, INFINITY,
      -INFINITY};
  std::mt19937 generator(1);
  for (int i = 0; i < 300000; ++i)
    values.push_back(std::bit_cast<float>((uint32_t)generator()));
  for (int i = 0; i < 100000; ++i) // where fractions and halves live
    values.push_back(((int)(generator() % 2000001) - 1000000) / 64.0f);
  return values;
}

TEST(HexagonBuiltins, SquareRootsAndRounding) {
  for (float x : floats()) {
    if (std::isnan(x))
      continue;
    float root = std::sqrt(x);
    if (std::isnan(root))
      EXPECT_TRUE(std::isnan(gc_sqrtf(x))) << x;
    else
      ASSERT_EQ(bits(gc_sqrtf(x)), bits(root)) << x;
    ASSERT_EQ(bits(gc_floorf(x)), bits(std::floor(x))) << x;
    ASSERT_EQ(bits(gc_roundevenf(x)), bits(std::nearbyint(x))) << x;
  }
}

#if defined(__clang__) && defined(__FLT16_MAX__) // g++ 12 has the macro, not the type
TEST(HexagonBuiltins, HalfPrecision) {
  for (uint32_t half = 0; half < 65536; ++half) {
    float wide = (float)std::bit_cast<_Float16>((uint16_t)half);
    if (std::isnan(wide))
      EXPECT_TRUE(std::isnan(gc_extendhfsf2((uint16_t)half)));
    else
      ASSERT_EQ(bits(gc_extendhfsf2((uint16_t)half)), bits(wide)) << half;
  }
  for (float x : floats()) {
    if (std::isnan(x))
      continue;
    int exponent;
    float fraction = std::frexp(x, &exponent);
    for (float y : {x, std::ldexp(fraction, -14 - exponent % 12)}) // denormal halves
      ASSERT_EQ(gc_truncsfhf2(y), std::bit_cast<uint16_t>((_Float16)y)) << y;
  }
}
#endif

TEST(HexagonBuiltins, FusedMultiplyAdd) {
  std::mt19937_64 generator(2);
  auto check = [](double x, double y, double z) {
    double wanted = std::fma(x, y, z);
    if (std::isnan(wanted))
      ASSERT_TRUE(std::isnan(gc_fma(x, y, z)));
    else
      ASSERT_EQ(bits(gc_fma(x, y, z)), bits(wanted)) << x << " · " << y << " + " << z;
  };
  for (int i = 0; i < 300000; ++i) {
    double x = std::bit_cast<double>(generator()), y = std::bit_cast<double>(generator()),
           z = std::bit_cast<double>(generator());
    check(x, y, z);
    // Near one, with every distance of exponents, and products that nearly cancel.
    auto near = [&](double v) {
      return std::bit_cast<double>((std::bit_cast<uint64_t>(v) & 0x800fffffffffffff) |
                                   (1023 - 60 + generator() % 120) << 52);
    };
    x = near(x), y = near(y), z = near(z);
    check(x, y, z);
    check(x, y, -x * y);
    check(x, y, std::nextafter(-x * y, (double)(int)(generator() % 3) - 1));
    double small = std::ldexp(x, -530), other = std::ldexp(y, -530); // results become denormal
    check(small, other, 0x1p-1074 * (double)(generator() % 9));
  }
  const double special[] = {0.0,  -0.0, 1.0,      -1.0,      0x1p-1074, 0x1.fffffffffffffp-1023,
                            1e30, 3.0,  INFINITY, -INFINITY, 0x1p-1022, 0x1.fffffffffffffp1023};
  for (double x : special)
    for (double y : special)
      for (double z : special)
        check(x, y, z);
}

TEST(HexagonBuiltins, Division) {
  std::mt19937_64 generator(3);
  for (int i = 0; i < 20000; ++i) {
    uint64_t x = generator() >> generator() % 64, y = (generator() >> generator() % 64) | 1;
    ASSERT_EQ(__hexagon_udivdi3(x, y), x / y);
    ASSERT_EQ(__hexagon_umoddi3(x, y), x % y);
    if ((int64_t)y != -1) {
      ASSERT_EQ(__hexagon_divdi3((int64_t)x, (int64_t)y), (int64_t)x / (int64_t)y);
      ASSERT_EQ(__hexagon_moddi3((int64_t)x, (int64_t)y), (int64_t)x % (int64_t)y);
    }
    auto a = (uint32_t)x, b = (uint32_t)y | 1;
    ASSERT_EQ(__hexagon_udivsi3(a, b), a / b);
    ASSERT_EQ(__hexagon_umodsi3(a, b), a % b);
    if ((int32_t)b != -1) {
      ASSERT_EQ(__hexagon_divsi3((int32_t)a, (int32_t)b), (int32_t)a / (int32_t)b);
      ASSERT_EQ(__hexagon_modsi3((int32_t)a, (int32_t)b), (int32_t)a % (int32_t)b);
    }
  }
}

TEST(HexagonBuiltins, Memory) {
  char text[] = "0123456789";
  gc_memmove(text + 2, text, 5);
  EXPECT_STREQ(text, "0101234789");
  gc_memmove(text, text + 2, 5);
  EXPECT_STREQ(text, "0123434789");
  gc_memset(text + 1, 'x', 3);
  gc_memcpy(text + 8, "yz", 2);
  EXPECT_STREQ(text, "0xxx4347yz");
}

} // namespace
