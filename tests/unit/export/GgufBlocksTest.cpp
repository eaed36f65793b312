// Blocks that are written, read back by the reader of GGUF files, which was written apart and is
// tested against llama.cpp's vectors.
#include "compiler/Export/GgufBlocks.h"

#include "compiler/Import/Gguf/GgufGrid.h"
#include "ir/Format/FloatConvert.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

using namespace gcompile;

namespace {

constexpr int64_t columns = 512;

std::vector<float> decode(GgufId type, const std::vector<uint8_t> &bytes) {
  const GgufType &blocks = facts(type);
  size_t count = bytes.size() / blocks.blockBytes;
  std::vector<float> values(count * blocks.blockValues);
  EXPECT_EQ(blocks.decode(bytes.data(), count, values.data()), count);
  return values;
}

// formats.md 6.1: sums of four draws of a linear congruential generator.
std::vector<float> commonInput(size_t count, uint32_t state = 1) {
  std::vector<float> values;
  for (size_t i = 0; i < count; ++i) {
    double sum = 0;
    for (int draw = 0; draw < 4; ++draw) {
      state = state * 1664525u + 1013904223u;
      sum += double(state >> 8) / (1 << 24) - 0.5;
    }
    values.push_back(float(0.05 * sum));
  }
  return values;
}

double relativeError(const std::vector<float> &values, const std::vector<float> &decoded) {
  double error = 0, sum = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    error += std::pow(double(values[i]) - decoded[i], 2);
    sum += double(values[i]) * values[i];
  }
  return std::sqrt(error / sum);
}

TEST(GgufExport, CommonInputIsTheOneOfTheTable) {
  std::vector<float> values = commonInput(4096);
  EXPECT_FLOAT_EQ(values[0], -0.009257433f);
  EXPECT_FLOAT_EQ(values[3], 0.03217728f);
}

TEST(GgufExport, PlacedCodesAreReadBack) {
  std::mt19937 random(7);
  std::vector<float> values = commonInput(2 * columns, 3);
  for (WeightFormat format :
       {WeightFormat::W8, WeightFormat::W4, WeightFormat::W2, WeightFormat::W8G32,
        WeightFormat::W4G32, WeightFormat::W4G128, WeightFormat::Q4K, WeightFormat::Q6K}) {
    GridRows grid = gridFromFloat(format, 2, columns, values.data());
    GgufEncoding encoding = nearestGgufType(format, format, columns);
    ASSERT_TRUE(encoding.keepsGrid) << name(format);
    ASSERT_EQ(encoding.grid, format);
    for (int64_t row = 0; row < 2; ++row) {
      std::vector<uint8_t> bytes(size_t(rowBytes(encoding.type, columns)));
      encodeGgufRow(encoding.type, grid, row, bytes);
      std::vector<float> got = decode(encoding.type, bytes), expected(columns);
      decodeGridRow(grid, row, expected.data());
      for (int64_t i = 0; i < columns; ++i) {
        // Scales of whole rows are f32 here and f16 in the file.
        float tolerance = info(format).group ? 0 : std::abs(expected[i]) / 1024;
        ASSERT_NEAR(got[i], expected[i], tolerance) << name(format) << " " << row << " " << i;
      }
    }
  }
}

// Groups of 128 that do not divide the row: the last one is short.
TEST(GgufExport, ShortGroupsKeepTheirScales) {
  std::vector<float> values = commonInput(192);
  for (int i = 128; i < 192; ++i)
    values[i] *= 8;
  GridRows grid = gridFromFloat(WeightFormat::W4G128, 1, 192, values.data());
  std::vector<uint8_t> bytes(size_t(rowBytes(GgufId::Q4_0, 192)));
  encodeGgufRow(GgufId::Q4_0, grid, 0, bytes);
  std::vector<float> expected(192);
  decodeGridRow(grid, 0, expected.data());
  EXPECT_EQ(decode(GgufId::Q4_0, bytes), expected);
}

// What a reader takes from a block goes back to the same bytes.
TEST(GgufExport, BlocksOfAFileKeepTheirBytes) {
  std::mt19937 random(11);
  for (GgufId id : {GgufId::Q4_0, GgufId::Q8_0, GgufId::Q4_K, GgufId::Q6_K}) {
    const GgufType &type = facts(id);
    std::optional<WeightFormat> format = gridFormatOf(type);
    ASSERT_TRUE(format) << type.name.str();
    size_t count = columns / type.blockValues;
    std::vector<uint8_t> bytes(count * type.blockBytes);
    for (uint8_t &byte : bytes)
      byte = uint8_t(random());
    for (size_t block = 0; block < count; ++block) { // finite scales, codes that writers make
      uint8_t *at = bytes.data() + block * type.blockBytes;
      at[id == GgufId::Q6_K ? 209 : 1] = uint8_t(0x20 + block);
      if (id == GgufId::Q4_K)
        at[3] = uint8_t(0xa0 + block); // negative
      if (id == GgufId::Q8_0)
        for (size_t i = 2; i < type.blockBytes; ++i)
          at[i] = at[i] == 0x80 ? 0x81 : at[i];
    }
    GridRows grid = emptyGrid(type, 1, columns);
    ASSERT_EQ(blocksOnGrid(type, bytes.data(), count, 0, grid), count);
    std::vector<uint8_t> written(bytes.size());
    encodeGgufRow(id, grid, 0, written);
    EXPECT_EQ(written, bytes) << type.name.str();
  }
}

TEST(GgufExport, FloatsOfTwoBitsLoseWhatLlamaCppLoses) {
  std::vector<float> values = commonInput(4096);
  std::vector<uint8_t> bytes(size_t(rowBytes(GgufId::Q2_K, 4096)));
  encodeGgufRow(GgufId::Q2_K, values, bytes);
  EXPECT_LE(relativeError(values, decode(GgufId::Q2_K, bytes)), 1.01 * 0.28381);
}

TEST(GgufExport, PlainFloatsAreWrittenAsTheyAre) {
  std::vector<float> values = {1, -2.5f, 0.0625f, 3};
  for (GgufId id : {GgufId::F32, GgufId::F16, GgufId::BF16}) {
    std::vector<uint8_t> bytes(size_t(rowBytes(id, 4)));
    encodeGgufRow(id, values, bytes);
    EXPECT_EQ(decode(id, bytes), values);
  }
}

struct Choice {
  WeightFormat planned;
  std::optional<WeightFormat> native;
  int64_t columns;
  GgufId type;
  std::optional<WeightFormat> grid;
};

TEST(GgufExport, NearestTypes) {
  const Choice choices[] = {
      {WeightFormat::BF16, std::nullopt, 256, GgufId::BF16, std::nullopt},
      {WeightFormat::W8, std::nullopt, 256, GgufId::Q8_0, WeightFormat::W8G32},
      {WeightFormat::W8, WeightFormat::W8, 256, GgufId::Q8_0, WeightFormat::W8},
      {WeightFormat::W4, std::nullopt, 64, GgufId::Q4_0, WeightFormat::W4G32},
      {WeightFormat::W4, WeightFormat::W4, 256, GgufId::Q4_0, WeightFormat::W4},
      {WeightFormat::W4G32, std::nullopt, 256, GgufId::Q4_0, WeightFormat::W4G32},
      {WeightFormat::W2, std::nullopt, 256, GgufId::Q2_K, WeightFormat::W2},
      {WeightFormat::W2, std::nullopt, 64, GgufId::Q4_0, WeightFormat::W4G32},
      {WeightFormat::W2G64, std::nullopt, 256, GgufId::Q2_K, std::nullopt},
      {WeightFormat::W4, std::nullopt, 40, GgufId::F16, std::nullopt},
      {WeightFormat::Q4K, std::nullopt, 256, GgufId::Q4_K, WeightFormat::Q4K},
      {WeightFormat::Q4K, WeightFormat::Q4K, 512, GgufId::Q4_K, WeightFormat::Q4K},
      {WeightFormat::Q4K, std::nullopt, 64, GgufId::Q4_0, WeightFormat::W4G32},
      {WeightFormat::Q6K, WeightFormat::Q6K, 256, GgufId::Q6_K, WeightFormat::Q6K},
      {WeightFormat::Q6K, std::nullopt, 64, GgufId::Q8_0, WeightFormat::W8G32},
      {WeightFormat::W4G128, std::nullopt, 256, GgufId::Q4_0, WeightFormat::W4G32},
      {WeightFormat::W4G128, WeightFormat::W4G128, 256, GgufId::Q4_0, WeightFormat::W4G128},
      {WeightFormat::NF4, WeightFormat::NF4, 256, GgufId::Q4_K, WeightFormat::Q4K},
      {WeightFormat::NF4, WeightFormat::NF4, 64, GgufId::Q4_0, WeightFormat::W4G32},
      // Codes of as many bits as planned are kept on their own grid.
      {WeightFormat::W4, WeightFormat::Q4K, 256, GgufId::Q4_K, WeightFormat::Q4K},
      {WeightFormat::W8, WeightFormat::W8G32, 64, GgufId::Q8_0, WeightFormat::W8G32},
      {WeightFormat::W8, WeightFormat::Q6K, 256, GgufId::Q6_K, WeightFormat::Q6K},
      {WeightFormat::W4, WeightFormat::Q6K, 256, GgufId::Q4_0, WeightFormat::W4G32},
      {WeightFormat::W8, WeightFormat::W4G32, 256, GgufId::Q8_0, WeightFormat::W8G32},
      {WeightFormat::BF16, WeightFormat::Q6K, 256, GgufId::BF16, std::nullopt},
  };
  for (const Choice &choice : choices) {
    GgufEncoding encoding = nearestGgufType(choice.planned, choice.native, choice.columns);
    EXPECT_EQ(int(encoding.type), int(choice.type)) << name(choice.planned);
    EXPECT_EQ(encoding.grid, choice.grid) << name(choice.planned);
  }
}

} // namespace
