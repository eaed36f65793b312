// q4_k, q6_k, w4g128 and nf4 against what other programs define: block vectors of formats.md 5.3
// (bytes b[i] = (37 i + 11) & 255, d = 0.0625, dmin = 0.03125) and 12, and the relative errors of
// llama.cpp's encoders on the common input of formats.md 6.1.
#include "ir/Format/FloatConvert.h"
#include "ir/Format/Grid.h"
#include "ir/Format/Pack.h"
#include "ir/Format/ReferenceDecode.h"

#include <gtest/gtest.h>

#include <cmath>

using namespace gcompile;

namespace {

uint32_t crc32(const std::vector<float> &values) {
  uint32_t crc = ~0u;
  for (float value : values) {
    uint32_t bits = std::bit_cast<uint32_t>(value == 0 ? 0.0f : value);
    for (int byte = 0; byte < 4; ++byte) {
      crc ^= bits >> (8 * byte) & 255;
      for (int i = 0; i < 8; ++i)
        crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
  }
  return ~crc;
}

std::vector<uint8_t> vectorBlock(size_t bytes) {
  std::vector<uint8_t> block(bytes);
  for (size_t i = 0; i < bytes; ++i)
    block[i] = uint8_t(37 * i + 11);
  return block;
}

// The grid of one block of each type, as formats.md 5.3 lays blocks out.
GridRows gridOfQ4K(const std::vector<uint8_t> &block) {
  GridRows grid;
  grid.format = WeightFormat::Q4K, grid.rows = 1, grid.columns = 256;
  grid.scales = {0.0625f}, grid.minScales = {0.03125f};
  const uint8_t *s = &block[4], *qs = &block[16];
  for (int k = 0; k < 8; ++k) {
    int scale = k < 4 ? s[k] & 63 : (s[k + 4] & 15) + 16 * (s[k - 4] >> 6);
    int minimum = k < 4 ? s[k + 4] & 63 : (s[k + 4] >> 4) + 16 * (s[k] >> 6);
    grid.subScales.push_back(int8_t(scale));
    grid.subMins.push_back(int8_t(minimum));
  }
  for (int i = 0; i < 256; ++i)
    grid.codes.push_back(int8_t(qs[32 * (i / 64) + i % 32] >> (4 * (i / 32 % 2)) & 15));
  return grid;
}

GridRows gridOfQ6K(const std::vector<uint8_t> &block) {
  GridRows grid;
  grid.format = WeightFormat::Q6K, grid.rows = 1, grid.columns = 256;
  grid.scales = {0.0625f};
  const uint8_t *ql = &block[0], *qh = &block[128];
  for (int i = 0; i < 16; ++i)
    grid.subScales.push_back(int8_t(block[192 + i]));
  for (int i = 0; i < 256; ++i) {
    int n = i / 128, j = i % 128 / 32, l = i % 32;
    int low = ql[64 * n + 32 * (j % 2) + l] >> (4 * (j / 2)) & 15;
    int high = qh[32 * n + l] >> (2 * j) & 3;
    grid.codes.push_back(int8_t(low + 16 * high - 32));
  }
  return grid;
}

// What a panel with this one row decodes to.
std::vector<float> throughPanel(const GridRows &grid) {
  EXPECT_EQ(gridError(grid), "");
  std::vector<uint8_t> panel(panelBytes(grid.format, grid.columns));
  packPanelFromGrid(grid, 0, 1, panel, nullptr, nullptr);
  std::vector<float> values;
  for (int64_t k = 0; k < grid.columns; ++k)
    values.push_back(float(decodeElement(grid.format, panel.data(), 0, k, 1, grid.columns)));
  return values;
}

TEST(BlockVectors, Q4K) {
  std::vector<float> values = throughPanel(gridOfQ4K(vectorBlock(144)));
  EXPECT_EQ(crc32(values), 0xbce984f1u);
  EXPECT_EQ(values[0], 19.71875f);
  EXPECT_EQ(values[1], -1.59375f);
  EXPECT_EQ(values[128], 26.4375f);
  EXPECT_EQ(values[255], 3.03125f);
}

TEST(BlockVectors, Q6K) {
  std::vector<float> values = throughPanel(gridOfQ6K(vectorBlock(210)));
  EXPECT_EQ(crc32(values), 0x68b250b6u);
  EXPECT_EQ(values[0], -89.4375f);
  EXPECT_EQ(values[2], 36.4375f);
  EXPECT_EQ(values[255], -3.75f);
}

TEST(BlockVectors, Nf4) {
  // Bytes 01 23 … ef, high nibble first, absmax 2: twice the table in order.
  GridRows grid;
  grid.format = WeightFormat::NF4, grid.rows = 1, grid.columns = 16;
  for (int i = 0; i < 16; ++i)
    grid.codes.push_back(int8_t(i));
  grid.scales = {2.0f};
  std::vector<float> values = throughPanel(grid);
  EXPECT_EQ(values[0], -2.0f);
  EXPECT_EQ(values[1], 2 * -0.6961928009986877f);
  EXPECT_EQ(values[7], 0.0f);
  EXPECT_EQ(values[8], 2 * 0.07958029955625534f);
  EXPECT_EQ(values[15], 2.0f);
}

// formats.md 6.1: 16 rows of 256.
std::vector<float> commonInput() {
  std::vector<float> values(4096);
  uint32_t state = 1;
  for (float &value : values) {
    double sum = 0;
    for (int i = 0; i < 4; ++i) {
      state = state * 1664525u + 1013904223u;
      sum += (state >> 8) / 16777216.0 - 0.5;
    }
    value = float(0.05 * sum);
  }
  return values;
}

double relativeError(WeightFormat format) {
  std::vector<float> values = commonInput();
  std::vector<uint8_t> blob(packedBytes(format, 16, 256));
  PackError error = packMatrix(format, 16, 256, values.data(), blob);
  // The error that is reported is that of the bytes.
  double difference = 0, square = 0;
  for (int64_t n = 0; n < 16; ++n)
    for (int64_t k = 0; k < 256; ++k) {
      double value = values[n * 256 + k];
      double decoded = decodeElement(format, blob.data(), n, k, 16, 256);
      difference += (value - decoded) * (value - decoded), square += value * value;
    }
  EXPECT_NEAR(error.relative(), difference / square, 1e-5 * error.relative());
  return std::sqrt(difference / square);
}

TEST(BlockEncoders, AreAsGoodAsThoseThatWriteFiles) {
  EXPECT_EQ(crc32(commonInput()), 0x43f97897u);
  EXPECT_LE(relativeError(WeightFormat::Q4K), 0.06909 * 1.01);
  EXPECT_LE(relativeError(WeightFormat::Q6K), 0.01725 * 1.01);
  // No searched encoder of these is at hand to compare with; absmax / 7.5 and nearest quantiles.
  EXPECT_LE(relativeError(WeightFormat::W4G128), 0.115);
  EXPECT_LE(relativeError(WeightFormat::NF4), 0.1);
}

TEST(BlockEncoders, KeepWhatIsOnTheGridWhereTheScaleIsKnown) {
  // Multiples of a quarter of the range of codes, and rows of zeros.
  for (WeightFormat format :
       {WeightFormat::W4G128, WeightFormat::Q4K, WeightFormat::Q6K, WeightFormat::NF4}) {
    std::vector<float> zeros(300, 0.0f);
    EXPECT_EQ(measureRow(format, 300, zeros.data()).squaredError, 0) << name(format);
    std::vector<float> tiny(300, 1e-30f);
    EXPECT_TRUE(std::isfinite(measureRow(format, 300, tiny.data()).squaredError)) << name(format);
    std::vector<float> one(300, 0.0f);
    one[17] = -1.0f;
    EXPECT_LE(measureRow(format, 300, one.data()).relative(), 3e-5) << name(format);
  }
}

} // namespace
