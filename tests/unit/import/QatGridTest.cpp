#include "compiler/Import/Coded/QatGrid.h"

#include "ir/Format/FloatConvert.h"
#include "tests/unit/import/QuantizedFiles.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

using testing::HasSubstr;

namespace gcompile {
namespace {

float asBf16(float value) { return floatFromBf16(bf16FromFloat(value)); }

// Groups as quantization-aware training leaves them: the extreme code is rarely -8.
struct Synthetic {
  explicit Synthetic(uint64_t seed) : random(seed) {}
  void next() {
    std::normal_distribution<float> code(0, 2.4f);
    std::uniform_real_distribution<float> exponent(-11, -3);
    scale = floatFromF16(f16FromFloat(std::exp2(exponent(random))));
    do
      for (int i = 0; i < 32; ++i)
        codes[i] = int(std::clamp(std::round(code(random)), -8.0f, 7.0f));
    while (divisor() != 1);
    for (int i = 0; i < 32; ++i)
      values[i] = asBf16(scale * codes[i]);
  }
  // With a common divisor the same values have a coarser grid too.
  int divisor() const {
    int result = 0;
    for (int code : codes)
      result = std::gcd(result, code);
    return result;
  }
  std::mt19937_64 random;
  float scale = 0, values[32] = {};
  int codes[32] = {};
};

TEST(QatGrid, NoWrongCodeInTwentyThousandGroups) {
  Synthetic group(1);
  int wrongCodes = 0, wrongScales = 0, missed = 0, extreme = 0;
  for (int i = 0; i < 20000; ++i) {
    group.next();
    float scale;
    int8_t codes[32];
    missed += !recoverGroup(group.values, scale, codes);
    wrongCodes += !std::equal(codes, codes + 32, group.codes);
    wrongScales += std::abs(scale / group.scale - 1) > 0x1p-8f;
    extreme += *std::min_element(group.codes, group.codes + 32) == -8;
  }
  EXPECT_EQ(missed, 0);
  EXPECT_EQ(wrongCodes, 0);
  EXPECT_EQ(wrongScales, 0);
  EXPECT_LT(extreme, 4000); // the data are of the hard kind
}

TEST(QatGrid, PlainWeightsAreNotRecognised) {
  std::mt19937_64 random(2);
  std::normal_distribution<float> normal(0, 0.03f);
  int recognised = 0;
  for (int i = 0; i < 20000; ++i) {
    float values[32], scale;
    int8_t codes[32];
    for (float &value : values)
      value = asBf16(normal(random));
    recognised += recoverGroup(values, scale, codes);
  }
  EXPECT_EQ(recognised, 0);
}

TEST(QatGrid, ZerosAndCodeEight) {
  float values[32] = {}, scale = 1;
  int8_t codes[32];
  EXPECT_TRUE(recoverGroup(values, scale, codes));
  EXPECT_EQ(scale, 0);
  for (int i = 0; i < 16; ++i)
    values[i] = .5f * float(i - 7); // -3.5 .. 4: +8 needs a negative scale
  ASSERT_TRUE(recoverGroup(values, scale, codes));
  for (int i = 0; i < 32; ++i)
    EXPECT_EQ(float(codes[i]) * scale, values[i]);
  EXPECT_EQ(*std::min_element(codes, codes + 32), -8);
}

std::string bf16Matrix(int rows, Synthetic &group) {
  std::vector<uint16_t> bits;
  for (int i = 0; i < rows * 2; ++i) {
    group.next();
    for (float value : group.values)
      bits.push_back(bf16FromFloat(value));
  }
  return bytesOf(bits);
}

TEST(QatGrid, CheckpointsOfferIt) {
  Synthetic group(3);
  std::string good = bf16Matrix(40, group), bad = good;
  bad[41 * 2] ^= 0x20; // one value of row 0, which no sample meets
  std::string plain = good;
  for (size_t i = 0; i < plain.size(); i += 2)
    plain[i] ^= char(i * 37);
  TemporaryFolder folder;
  RawTensors raw;
  raw.add("good", "BF16", "40,64", good)
      .add("bad", "BF16", "40,64", bad)
      .add("plain", "BF16", "40,64", plain)
      .add("flat", "BF16", "2560", good);
  auto checkpoint = valueOf(openSafetensors(folder.write("x.safetensors", raw.file())));
  EXPECT_EQ(checkpoint->nativeFormat(*checkpoint->find("good")), WeightFormat::W4G32);
  EXPECT_EQ(checkpoint->nativeFormat(*checkpoint->find("plain")), std::nullopt);
  EXPECT_EQ(checkpoint->nativeFormat(*checkpoint->find("flat")), std::nullopt);
  GridRows rows;
  ASSERT_EQ(errorOf(checkpoint->readRowsOnGrid(*checkpoint->find("good"), 7, 3, rows)), "");
  EXPECT_EQ(rows.codes.size(), 192u);
  EXPECT_EQ(rows.scales.size(), 6u);
  std::vector<float> values = valueOf(checkpoint->readAllAsFloat(*checkpoint->find("good")));
  for (size_t i = 0; i < 192; ++i)
    EXPECT_NEAR(rows.codes[i] * rows.scales[i / 32], values[7 * 64 + i],
                std::abs(values[7 * 64 + i]) * 0x1p-7);
  // Recognised by its samples, refused where it is off: nothing is rounded in silence.
  const TensorInfo &spoiled = *checkpoint->find("bad");
  EXPECT_EQ(checkpoint->nativeFormat(spoiled), WeightFormat::W4G32);
  EXPECT_THAT(errorOf(checkpoint->readRowsOnGrid(spoiled, 0, 40, rows)),
              HasSubstr("'bad': row 0 lies off the 4-bit grid"));
}

} // namespace
} // namespace gcompile
