// Vectors from IEEE 754 and the bf16 rule (upper half of float, round to nearest even).
#include "ir/Format/FloatConvert.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

using namespace gcompile;

namespace {

float fromBits(uint32_t bits) { return std::bit_cast<float>(bits); }

static_assert(f16FromFloat(1.0f) == 0x3c00 && floatFromBf16(0x3f80) == 1.0f);

TEST(Bf16, RoundsToNearestEven) {
  EXPECT_EQ(bf16FromFloat(fromBits(0x3f808000)), 0x3f80); // tie, down to even
  EXPECT_EQ(bf16FromFloat(fromBits(0x3f818000)), 0x3f82); // tie, up to even
  EXPECT_EQ(bf16FromFloat(fromBits(0x3f808001)), 0x3f81);
  EXPECT_EQ(bf16FromFloat(fromBits(0x3f807fff)), 0x3f80);
  EXPECT_EQ(bf16FromFloat(-0.0f), 0x8000);
  EXPECT_EQ(bf16FromFloat(fromBits(0x00010000)), 0x0001); // subnormal kept
  EXPECT_EQ(bf16FromFloat(fromBits(0x7f800001)), 0x7fc0); // NaN stays NaN
}

TEST(Bf16, EveryValueSurvives) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    float value = floatFromBf16(static_cast<uint16_t>(bits));
    if (std::isnan(value))
      continue;
    ASSERT_EQ(bf16FromFloat(value), bits);
  }
}

TEST(F16, KnownValues) {
  EXPECT_EQ(floatFromF16(0x2c00), 0.0625f);
  EXPECT_EQ(floatFromF16(0xa800), -0.03125f);
  EXPECT_EQ(floatFromF16(0x0001), 0x1p-24f);
  EXPECT_EQ(floatFromF16(0x03ff), 1023 * 0x1p-24f);
  EXPECT_EQ(floatFromF16(0x0400), 0x1p-14f);
  EXPECT_EQ(floatFromF16(0x7bff), 65504.0f);
  EXPECT_TRUE(std::isinf(floatFromF16(0x7c00)));
  EXPECT_EQ(f16FromFloat(1.0f + 0x1p-11f), 0x3c00);      // tie, down to even
  EXPECT_EQ(f16FromFloat(1.0f + 3 * 0x1p-11f), 0x3c02);  // tie, up to even
  EXPECT_EQ(f16FromFloat(0x1p-25f), 0x0000);             // tie, to zero
  EXPECT_EQ(f16FromFloat(fromBits(0x33000001)), 0x0001); // just above it
  EXPECT_EQ(f16FromFloat(3 * 0x1p-25f), 0x0002);         // tie among subnormals
  EXPECT_EQ(f16FromFloat(0x1p-14f - 0x1p-26f), 0x0400);  // rounds into the normals
  EXPECT_EQ(f16FromFloat(-0.0f), 0x8000);
}

TEST(F16, OverflowSaturates) {
  EXPECT_EQ(f16FromFloat(65519.0f), 0x7bff);
  EXPECT_EQ(f16FromFloat(65520.0f), 0x7bff);
  EXPECT_EQ(f16FromFloat(-1e30f), 0xfbff);
  EXPECT_EQ(f16FromFloat(std::numeric_limits<float>::infinity()), 0x7bff);
}

TEST(F16, EveryFiniteValueSurvives) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    float value = floatFromF16(static_cast<uint16_t>(bits));
    if (!std::isfinite(value))
      continue;
    ASSERT_EQ(f16FromFloat(value), bits);
  }
}

} // namespace
