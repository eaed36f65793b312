#include "compiler/Plan/FormatMap.h"
#include "SamplePlan.h"

#include <gtest/gtest.h>

#include <set>

using namespace gcompile;

TEST(FormatMap, HasARowForEachRoleAndACellForEachLayer) {
  FormatMap map = formatMap(samplePlan());
  ASSERT_EQ(map.layers, 2);
  ASSERT_EQ(map.rows.size(), 4u); // the norm is left out
  EXPECT_EQ(map.rows[0].role, "embedding");
  EXPECT_EQ(map.codes[size_t(map.rows[0].whole)].format, "w8");
  EXPECT_EQ(map.rows[0].cells, (std::vector<int>{-1, -1}));
  const FormatRow &q = map.rows[1];
  EXPECT_EQ(map.codes[size_t(q.cells[0])].code, '8');
  EXPECT_EQ(map.codes[size_t(q.cells[1])].code, '4');
  EXPECT_EQ(q.bytes, 1200);
  EXPECT_DOUBLE_EQ(q.bits, 1200 * 8 / 1600.0);
  // 800 and 200 bytes of 800 values each.
  EXPECT_DOUBLE_EQ(map.bitsOfLayer[0], 5.0);
}

TEST(FormatMap, SharesAreOfWhatIsInMemory) {
  FormatMap map = formatMap(samplePlan());
  for (const FormatCode &code : map.codes)
    if (code.format == "w8") {
      EXPECT_EQ(code.bytes, 800 + 800 + 8000);
      EXPECT_EQ(code.residentBytes, 1600);
    }
}

TEST(FormatMap, EveryFormatHasItsOwnCode) {
  Plan plan = samplePlan();
  plan.tensors.resize(1);
  for (const WeightFormatInfo &format : weightFormats()) {
    plan.tensors.push_back(plan.tensors.front());
    plan.tensors.back().format = format.format;
  }
  FormatMap map = formatMap(plan);
  std::set<char> codes;
  for (const FormatCode &code : map.codes)
    EXPECT_TRUE(code.code != '?' && codes.insert(code.code).second) << code.format;
  EXPECT_EQ(codes.size(), weightFormats().size());
}

TEST(FormatMap, SeveralFormatsOfOneRoleInALayerAreMarked) {
  Plan plan = samplePlan();
  plan.tensors[2].layer = 0; // both q projections in layer 0: w8 and w4
  FormatMap map = formatMap(plan);
  EXPECT_EQ(map.rows[1].cells, (std::vector<int>{-2, -1}));
}

TEST(FormatMap, AnEditedLayerNumberCannotAskForAHugeGrid) {
  Plan plan = samplePlan();
  plan.tensors[1].layer = int64_t(1) << 60;
  EXPECT_EQ(formatMap(plan).layers, 2);
}
