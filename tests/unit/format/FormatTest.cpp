// Facts against figures worked out by hand from docs/decisions/0001, not by the formulas under
// test.
#include "ir/Format/Format.h"

#include <gtest/gtest.h>

using namespace gcompile;

namespace {

TEST(WeightFormats, NamesRoundTrip) {
  EXPECT_EQ(weightFormats().size(), 13u);
  for (const WeightFormatInfo &format : weightFormats()) {
    EXPECT_EQ(parseWeightFormat(format.name), format.format);
    EXPECT_EQ(name(format.format), format.name);
  }
  EXPECT_EQ(parseWeightFormat("w2g64"), WeightFormat::W2G64);
  EXPECT_FALSE(parseWeightFormat("w3"));
  EXPECT_FALSE(parseWeightFormat(""));
  EXPECT_FALSE(parseWeightFormat("W4"));
}

// Panel of 64 rows, K = 64.
TEST(WeightFormats, PanelBytesOfOneBlock) {
  EXPECT_EQ(panelBytes(WeightFormat::F32, 64), 16384);
  EXPECT_EQ(panelBytes(WeightFormat::BF16, 64), 8192);
  EXPECT_EQ(panelBytes(WeightFormat::F16, 64), 8192);
  EXPECT_EQ(panelBytes(WeightFormat::W8, 64), 4096);
  EXPECT_EQ(panelBytes(WeightFormat::W4, 64), 2048);
  EXPECT_EQ(panelBytes(WeightFormat::W2, 64), 1024);
  EXPECT_EQ(panelBytes(WeightFormat::W8G32, 64), 4352);
  EXPECT_EQ(panelBytes(WeightFormat::W4G32, 64), 2304);
  EXPECT_EQ(panelBytes(WeightFormat::W2G64, 64), 1152);
  EXPECT_EQ(panelBytes(WeightFormat::NF4, 64), 2304);
}

TEST(WeightFormats, BlocksHaveScalesInFront) {
  EXPECT_EQ(panelBytes(WeightFormat::W4G128, 256), 2 * (128 + 4 * 1024)); // 4.125 bits
  EXPECT_EQ(panelBytes(WeightFormat::Q4K, 256), 256 + 8 * 1152);          // 4.625 bits
  EXPECT_EQ(panelBytes(WeightFormat::Q6K, 256), 128 + 8 * 1664);          // 6.5625 bits
  // 704 = 2 · 256 + 192: the last block is shorter, its scales are there.
  EXPECT_EQ(panelBytes(WeightFormat::Q4K, 704), 3 * 256 + 22 * 1152);
  EXPECT_EQ(panelBytes(WeightFormat::Q6K, 65), 128 + 4 * 1664);
  EXPECT_EQ(panelBytes(WeightFormat::NF4, 37), 2304);
}

TEST(WeightFormats, IntegerColumnsArePaddedAndFloatColumnsAreNot) {
  EXPECT_EQ(panelBytes(WeightFormat::F32, 3), 768);
  EXPECT_EQ(panelBytes(WeightFormat::W4, 1), 2048);
  EXPECT_EQ(panelBytes(WeightFormat::W4, 65), 4096);
}

TEST(WeightFormats, WholeBlobs) {
  // E2B's gate_proj, 6144 x 1536.
  EXPECT_EQ(packedBytes(WeightFormat::F32, 6144, 1536), 37748736);
  EXPECT_EQ(packedBytes(WeightFormat::W4, 6144, 1536), 4718592 + 24576);
  EXPECT_EQ(packedBytes(WeightFormat::W4G32, 6144, 1536), 5308416);
  // 65 rows are two panels; every padded row has its scale and correction.
  EXPECT_EQ(scalesOffset(WeightFormat::W8, 65, 64), 8192);
  EXPECT_EQ(correctionOffset(WeightFormat::W8, 65, 64), 8192 + 512);
  EXPECT_EQ(packedBytes(WeightFormat::W8, 65, 64), 8192 + 1024);
  EXPECT_EQ(packedBytes(WeightFormat::W2, 1, 1), 1024 + 256);
}

TEST(RowTables, RowBytes) {
  // E2B's per-layer table: 35 slices of 256.
  EXPECT_EQ(rowTableRowBytes(WeightFormat::F32, 256, 35), 35840);
  EXPECT_EQ(rowTableRowBytes(WeightFormat::BF16, 256, 35), 17920);
  EXPECT_EQ(rowTableRowBytes(WeightFormat::W8, 256, 35), 9104); // 8960 + 140, to 16
  EXPECT_EQ(rowTableRowBytes(WeightFormat::W4, 256, 35), 4624); // 4480 + 140
  EXPECT_EQ(rowTableRowBytes(WeightFormat::W2, 256, 35), 2384); // 2240 + 140
  // 16 columns are padded to 64 in every format.
  EXPECT_EQ(rowTableSliceBytes(WeightFormat::F32, 16), 256);
  EXPECT_EQ(rowTableRowBytes(WeightFormat::W2, 16, 2), 48); // 32 + 8, to 16
  EXPECT_FALSE(isRowTableFormat(WeightFormat::F16));
  EXPECT_FALSE(isRowTableFormat(WeightFormat::W4G32));
  EXPECT_TRUE(isRowTableFormat(WeightFormat::W2));
}

TEST(KvFormats, NamesRoundTrip) {
  for (KvFormat format : {KvFormat::F32, KvFormat::F16, KvFormat::Kv8, KvFormat::Kv4})
    EXPECT_EQ(parseKvFormat(name(format)), format);
  EXPECT_EQ(parseKvFormat("kv4"), KvFormat::Kv4);
  EXPECT_FALSE(parseKvFormat("w8"));
}

TEST(KvFormats, FloatBlobHasNoScales) {
  KvLayout layout = kvLayout(KvFormat::F32, KvFormat::F16, 2, 16, 64);
  EXPECT_EQ(layout.headDataBytesK, 4096);
  EXPECT_EQ(layout.headDataBytesV, 2048);
  EXPECT_EQ(layout.dataK, 0);
  EXPECT_EQ(layout.scalesK, -1);
  EXPECT_EQ(layout.dataV, 8192);
  EXPECT_EQ(layout.scalesV, -1);
  EXPECT_EQ(layout.bytes, 12288);
}

TEST(KvFormats, IntegerBlobHoldsDataThenScalesOfEachHalf) {
  // 24 dims: padded to 32 for both (16 and 32).
  KvLayout layout = kvLayout(KvFormat::Kv8, KvFormat::Kv4, 3, 24, 64);
  EXPECT_EQ(layout.headDataBytesK, 2048);
  EXPECT_EQ(layout.headDataBytesV, 1024);
  EXPECT_EQ(layout.scalesK, 6144);
  EXPECT_EQ(layout.dataV, 6144 + 768);
  EXPECT_EQ(layout.scalesV, 6912 + 3072);
  EXPECT_EQ(layout.bytes, 9984 + 768);
}

TEST(KvFormats, KeysAndValuesPadDifferentlyInKv4) {
  KvLayout layout = kvLayout(KvFormat::Kv4, KvFormat::Kv4, 1, 48, 64);
  EXPECT_EQ(layout.headDataBytesK, 1536); // 48 dims
  EXPECT_EQ(layout.headDataBytesV, 2048); // 64 dims
}

} // namespace
