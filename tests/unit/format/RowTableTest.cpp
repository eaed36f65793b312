// Row tables: literal bytes from docs/decisions/0001, and round trips through the plain decoder.
#include "ir/Format/Pack.h"
#include "ir/Format/ReferenceDecode.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <vector>

using namespace gcompile;

namespace {

std::vector<uint8_t> encode(WeightFormat format, int64_t columns, int64_t slices,
                            const std::vector<float> &row, PackError *error = nullptr) {
  std::vector<uint8_t> out(rowTableRowBytes(format, columns, slices), 0xee);
  PackError result = encodeTableRows(format, 1, columns, slices, row.data(), out);
  if (error)
    *error = result;
  return out;
}

float floatAt(const std::vector<uint8_t> &bytes, size_t offset) {
  float value;
  std::memcpy(&value, bytes.data() + offset, 4);
  return value;
}

TEST(RowTable, W4Bytes) {
  std::vector<float> row(2 * 64, 0.0f);
  row[0] = -8, row[1] = 1, row[16] = 2, row[17] = 7, row[32] = 3, row[48] = -1;
  row[64] = -4; // second slice: scale 0.5
  row[64 + 63] = 0.5f;
  std::vector<uint8_t> out = encode(WeightFormat::W4, 64, 2, row);
  ASSERT_EQ(out.size(), 80u); // 2 · 32 + 8, to 16
  EXPECT_EQ(out[0], 0xa0);    // columns 0 and 16
  EXPECT_EQ(out[1], 0xf9);    // columns 1 and 17
  EXPECT_EQ(out[2], 0x88);
  EXPECT_EQ(out[16], 0x7b); // columns 32 and 48
  EXPECT_EQ(out[32], 0x80);
  EXPECT_EQ(out[63], 0x98);
  EXPECT_EQ(floatAt(out, 64), 1.0f);
  EXPECT_EQ(floatAt(out, 68), 0.5f);
  EXPECT_EQ(out[72], 0); // padding
}

TEST(RowTable, W2Bytes) {
  std::vector<float> row(64, 0.0f);
  row[0] = -2, row[16] = 1, row[32] = -1, row[48] = 1, row[5] = 1;
  std::vector<uint8_t> out = encode(WeightFormat::W2, 64, 1, row);
  ASSERT_EQ(out.size(), 32u);
  EXPECT_EQ(out[0], 0xdc); // 0 | 3 << 2 | 1 << 4 | 3 << 6
  EXPECT_EQ(out[5], 0xab);
  EXPECT_EQ(floatAt(out, 16), 1.0f);
}

TEST(RowTable, W8AndFloatBytes) {
  std::vector<float> row = {127, -1, 2};
  std::vector<uint8_t> w8 = encode(WeightFormat::W8, 3, 1, row);
  ASSERT_EQ(w8.size(), 80u); // padded to 64 values
  EXPECT_EQ(w8[0], 0x7f);
  EXPECT_EQ(w8[1], 0xff);
  EXPECT_EQ(w8[2], 2);
  EXPECT_EQ(w8[3], 0);
  EXPECT_EQ(floatAt(w8, 64), 1.0f);
  std::vector<uint8_t> f32 = encode(WeightFormat::F32, 3, 1, row);
  ASSERT_EQ(f32.size(), 256u);
  EXPECT_EQ(floatAt(f32, 4), -1.0f);
  std::vector<uint8_t> bf16 = encode(WeightFormat::BF16, 3, 1, row);
  ASSERT_EQ(bf16.size(), 128u);
  EXPECT_EQ(bf16[0] | bf16[1] << 8, 0x42fe);
}

TEST(RowTable, RoundTrips) {
  struct Case {
    WeightFormat format;
    double bound;
  };
  for (Case c :
       {Case{WeightFormat::F32, 0}, Case{WeightFormat::BF16, 1e-5}, Case{WeightFormat::W8, 1e-4},
        Case{WeightFormat::W4, 0.02}, Case{WeightFormat::W2, 0.2}})
    for (int64_t columns : {16, 64, 96, 256}) {
      int64_t slices = 5;
      std::mt19937 random(7);
      std::normal_distribution<float> normal;
      std::vector<float> row(slices * columns);
      for (float &value : row)
        value = normal(random);
      PackError error;
      std::vector<uint8_t> out = encode(c.format, columns, slices, row, &error);
      double squaredError = 0, squaredSum = 0;
      for (int64_t slice = 0; slice < slices; ++slice)
        for (int64_t i = 0; i < columns; ++i) {
          double value = row[slice * columns + i];
          double decoded = decodeTableElement(c.format, out.data(), slice, i, columns, slices);
          squaredError += (value - decoded) * (value - decoded);
          squaredSum += value * value;
        }
      EXPECT_LE(squaredError, c.bound * squaredSum) << name(c.format) << ' ' << columns;
      EXPECT_NEAR(error.squaredError, squaredError, 1e-9 * squaredSum);
    }
}

} // namespace
