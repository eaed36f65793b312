// Grids laid out as panels and rows of tables: what the plain decoders find there must be the
// grid's own values, to the last bit.
#include "ir/Format/Grid.h"
#include "ir/Format/FloatConvert.h"
#include "ir/Format/Pack.h"
#include "ir/Format/ReferenceDecode.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>

using namespace gcompile;

namespace {

class GridFormats : public testing::TestWithParam<WeightFormat> {};
INSTANTIATE_TEST_SUITE_P(Formats, GridFormats,
                         testing::Values(WeightFormat::W8, WeightFormat::W4, WeightFormat::W2,
                                         WeightFormat::W8G32, WeightFormat::W4G32,
                                         WeightFormat::W2G64, WeightFormat::W4G128,
                                         WeightFormat::Q4K, WeightFormat::Q6K, WeightFormat::NF4),
                         [](const auto &info) { return std::string(name(info.param)); });

int64_t countOf(int64_t columns, int64_t run) { return run ? (columns + run - 1) / run : 1; }

// Every code that may occur, and scales of either sign and of very different sizes. For tables,
// rows have a scale for each of their slices.
GridRows sample(WeightFormat format, int64_t rows, int64_t columns, int64_t slices = 1) {
  const WeightFormatInfo &facts = info(format);
  GridRuns runs = gridRuns(format);
  int least = facts.bits == 8 ? -128 : facts.minCode;
  int most = format == WeightFormat::NF4 ? 15 : facts.maxCode;
  std::mt19937 random(5);
  auto between = [&](int from, int to) { return int8_t(from + int(random() % (to - from + 1))); };
  GridRows grid;
  grid.format = format, grid.rows = rows, grid.columns = columns;
  for (int64_t i = 0; i < rows * columns; ++i)
    grid.codes.push_back(between(least, most));
  auto scale = [&](int64_t i) {
    float value = (float(random() % 2001) - 1000) * (i % 3 ? 1e-3f : 3e-7f);
    bool isHalf = facts.group && format != WeightFormat::NF4;
    return isHalf ? floatFromF16(f16FromFloat(value)) : value;
  };
  for (int64_t i = 0; i < rows * slices * countOf(columns, runs.scale); ++i)
    grid.scales.push_back(scale(i));
  if (runs.subScale == 0)
    return grid;
  bool isQ4K = format == WeightFormat::Q4K;
  for (int64_t i = 0; i < rows * countOf(columns, runs.subScale); ++i) {
    grid.subScales.push_back(isQ4K ? between(0, 63) : between(-128, 127));
    if (isQ4K)
      grid.subMins.push_back(between(0, 63));
  }
  for (size_t i = 0; isQ4K && i < grid.scales.size(); ++i)
    grid.minScales.push_back(scale(i));
  return grid;
}

std::vector<uint8_t> packGrid(const GridRows &grid) {
  std::vector<uint8_t> blob(packedBytes(grid.format, grid.rows, grid.columns), 0xee);
  int64_t bytes = panelBytes(grid.format, grid.columns);
  bool channelWise = info(grid.format).group == 0; // others have scales in the stream
  for (int64_t first = 0; first < grid.rows; first += panelRows) {
    float scales[panelRows];
    int32_t corrections[panelRows];
    packPanelFromGrid(grid, first, std::min(panelRows, grid.rows - first),
                      std::span(blob).subspan(first / panelRows * bytes, bytes), scales,
                      corrections);
    if (channelWise)
      std::memcpy(&blob[scalesOffset(grid.format, grid.rows, grid.columns) + 4 * first], scales,
                  sizeof(scales));
    if (grid.format == WeightFormat::W8)
      std::memcpy(&blob[correctionOffset(grid.format, grid.rows, grid.columns) + 4 * first],
                  corrections, sizeof(corrections));
  }
  return blob;
}

TEST_P(GridFormats, PanelsDecodeToTheGridsValues) {
  for (int64_t columns : {192, 512, 704, 101}) {
    constexpr int64_t rows = 100;
    GridRows grid = sample(GetParam(), rows, columns);
    ASSERT_EQ(gridError(grid), "");
    std::vector<uint8_t> blob = packGrid(grid);
    std::vector<float> row(columns);
    for (int64_t n = 0; n < rows; ++n) {
      decodeGridRow(grid, n, row.data());
      for (int64_t k = 0; k < columns; ++k) {
        ASSERT_EQ(decodeCode(grid.format, blob.data(), n, k, rows, columns),
                  grid.codes[n * columns + k])
            << n << "," << k << " of " << columns;
        ASSERT_EQ(float(decodeElement(grid.format, blob.data(), n, k, rows, columns)), row[k])
            << n << "," << k << " of " << columns;
      }
    }
    for (int64_t n = rows; n < 128; ++n)
      for (int64_t k = 0; k < columns; ++k)
        ASSERT_EQ(decodeElement(grid.format, blob.data(), n, k, rows, columns), 0);
  }
}

TEST_P(GridFormats, PaddingOfShortRowsIsZero) {
  if (GetParam() == WeightFormat::Q4K)
    return; // a code of q4_k that means zero may not exist; activations are zero there
  constexpr int64_t columns = 37;
  GridRows grid = sample(GetParam(), 3, columns);
  std::vector<uint8_t> blob = packGrid(grid);
  for (int64_t k = columns; k < 64; ++k)
    EXPECT_EQ(decodeElement(grid.format, blob.data(), 1, k, 3, columns), 0);
  EXPECT_EQ(decodeCode(grid.format, blob.data(), 2, columns - 1, 3, columns),
            grid.codes[3 * columns - 1]);
}

TEST_P(GridFormats, RoundingToTheGridFirstGivesTheSameBytes) {
  constexpr int64_t rows = 70, columns = 328;
  std::mt19937 random(9);
  std::vector<float> values(rows * columns);
  for (float &value : values)
    value = (float(random() % 4001) - 2000) * 1e-4f;
  GridRows grid = gridFromFloat(GetParam(), rows, columns, values.data());
  ASSERT_EQ(gridError(grid), "");
  std::vector<uint8_t> wanted(packedBytes(GetParam(), rows, columns));
  packMatrix(GetParam(), rows, columns, values.data(), wanted);
  EXPECT_EQ(packGrid(grid), wanted);
}

TEST(GridPanels, CorrectionCountsTheCodeWithoutPartner) {
  GridRows grid;
  grid.format = WeightFormat::W8, grid.rows = 1, grid.columns = 64;
  grid.codes.assign(64, -128);
  grid.scales = {-0.5f};
  std::vector<uint8_t> panel(panelBytes(WeightFormat::W8, 64));
  float scales[panelRows];
  int32_t corrections[panelRows];
  packPanelFromGrid(grid, 0, 1, panel, scales, corrections);
  EXPECT_EQ(panel[0], 0x80);
  EXPECT_EQ(panel[4], 0x00); // row 1 does not exist
  EXPECT_EQ(corrections[0], 128 * 128 * 64);
  EXPECT_EQ(corrections[1], 0);
  EXPECT_EQ(scales[0], -0.5f);
}

TEST(GridTables, RowsDecodeToTheGridsValues) {
  for (WeightFormat format : {WeightFormat::W8, WeightFormat::W4, WeightFormat::W2})
    for (int64_t perRow : {1, 3}) {
      constexpr int64_t slices = 3, columns = 75;
      GridRows grid = sample(format, 4, slices * columns, perRow);
      ASSERT_EQ(gridError(grid), "");
      std::vector<float> values(slices * columns);
      std::vector<uint8_t> row(rowTableRowBytes(format, columns, slices), 0xee);
      for (int64_t r = 0; r < 4; ++r) {
        encodeTableRowFromGrid(grid, r, slices, row);
        decodeGridRow(grid, r, values.data());
        for (int64_t s = 0; s < slices; ++s)
          for (int64_t c = 0; c < columns; ++c)
            ASSERT_EQ(float(decodeTableElement(format, row.data(), s, c, columns, slices)),
                      values[s * columns + c])
                << name(format) << " " << perRow << ": " << r << "," << s << "," << c;
      }
    }
}

TEST(GridErrors, NameWhatIsWrong) {
  GridRows good = sample(WeightFormat::W4G32, 2, 64);
  EXPECT_EQ(gridError(good), "");
  GridRows bad = good;
  bad.codes[70] = 8;
  EXPECT_EQ(gridError(bad), "has code 8 in row 1, expected -8 to 7");
  bad = good, bad.scales[1] = 1.0f / 3;
  EXPECT_NE(gridError(bad).find("expected a finite f16"), std::string::npos);
  bad = good, bad.scales[3] = HUGE_VALF;
  EXPECT_NE(gridError(bad).find("expected a finite f16"), std::string::npos);
  bad = good, bad.scales.pop_back();
  EXPECT_EQ(gridError(bad), "has 3 scales for 2 rows of 64 columns, expected 4");
  bad = good, bad.codes.pop_back();
  EXPECT_EQ(gridError(bad), "has 127 codes for 2 rows of 64 columns, expected 128");
  bad = good, bad.rows = 0;
  EXPECT_EQ(gridError(bad), "has 0 rows of 64 columns, expected some");
  bad = good, bad.format = WeightFormat::BF16;
  EXPECT_EQ(gridError(bad), "has format bf16, which is no grid");

  good = sample(WeightFormat::Q4K, 2, 512);
  EXPECT_EQ(gridError(good), "");
  bad = good, bad.subMins[20] = 64;
  EXPECT_EQ(gridError(bad), "has small scale 64 in row 1, expected 0 to 63");
  bad = good, bad.minScales.pop_back();
  EXPECT_EQ(gridError(bad), "has 3 minimum scales for 2 rows of 512 columns, expected 4");
  bad = good, bad.format = WeightFormat::Q6K;
  EXPECT_EQ(gridError(bad), "has 32 small scales for 2 rows of 512 columns, expected 64");
  bad = good, bad.minScales[1] = 0.1f;
  EXPECT_NE(gridError(bad).find("expected a finite f16"), std::string::npos);
}

} // namespace
