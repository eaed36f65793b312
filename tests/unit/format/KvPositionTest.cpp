// Cache positions: literal offsets from the layout table, and every layout a bijection.
#include "ir/Format/ReferenceDecode.h"

#include <gtest/gtest.h>

#include <cstring>
#include <set>
#include <vector>

using namespace gcompile;

namespace {

TEST(KvPosition, LiteralOffsets) {
  // One head of 32 dims, 64 tokens.
  KvLayout f32 = kvLayout(KvFormat::F32, KvFormat::F32, 1, 32, 64);
  EXPECT_EQ(kvKeyPosition(KvFormat::F32, f32, 32, 0, 17, 3).byte, (512 + 48 + 1) * 4);
  EXPECT_EQ(kvValuePosition(KvFormat::F32, f32, 32, 0, 17, 3).byte, 8192 + (17 * 32 + 3) * 4);

  KvLayout kv8 = kvLayout(KvFormat::Kv8, KvFormat::Kv8, 1, 32, 64);
  EXPECT_EQ(kvKeyPosition(KvFormat::Kv8, kv8, 32, 0, 17, 6).byte, 512 + 64 + 4 + 2);
  EXPECT_EQ(kvValuePosition(KvFormat::Kv8, kv8, 32, 0, 6, 17).byte, 2048 + 256 + 1024 + 64 + 4 + 2);

  KvLayout kv4 = kvLayout(KvFormat::Kv4, KvFormat::Kv4, 1, 32, 64);
  KvPosition key = kvKeyPosition(KvFormat::Kv4, kv4, 32, 0, 49, 6);
  EXPECT_EQ(key.byte, 512 + 64 + 4 + 2);
  EXPECT_EQ(key.shift, 4u);
  KvPosition value = kvValuePosition(KvFormat::Kv4, kv4, 32, 0, 6, 17);
  EXPECT_EQ(value.byte, 1024 + 256 + 64 + 4 + 2);
  EXPECT_EQ(value.shift, 4u);
}

TEST(KvPosition, DistinctAndInsideItsHead) {
  constexpr int64_t heads = 2, headDim = 48, capacity = 128;
  for (KvFormat format : {KvFormat::F32, KvFormat::F16, KvFormat::Kv8, KvFormat::Kv4}) {
    KvLayout layout = kvLayout(format, format, heads, headDim, capacity);
    std::set<std::pair<int64_t, unsigned>> keys, values;
    for (int64_t head = 0; head < heads; ++head)
      for (int64_t token = 0; token < capacity; ++token)
        for (int64_t dim = 0; dim < headDim; ++dim) {
          KvPosition k = kvKeyPosition(format, layout, headDim, head, token, dim);
          KvPosition v = kvValuePosition(format, layout, headDim, head, token, dim);
          ASSERT_GE(k.byte, layout.dataK + head * layout.headDataBytesK);
          ASSERT_LT(k.byte, layout.dataK + (head + 1) * layout.headDataBytesK);
          ASSERT_GE(v.byte, layout.dataV + head * layout.headDataBytesV);
          ASSERT_LT(v.byte, layout.dataV + (head + 1) * layout.headDataBytesV);
          ASSERT_TRUE(keys.insert({k.byte, k.shift}).second);
          ASSERT_TRUE(values.insert({v.byte, v.shift}).second);
        }
  }
}

TEST(KvPosition, DecodesCodesAndScales) {
  constexpr int64_t headDim = 32, capacity = 64;
  KvLayout layout = kvLayout(KvFormat::Kv4, KvFormat::Kv8, 2, headDim, capacity);
  std::vector<uint8_t> blob(layout.bytes, 0);
  float scale = 0.5f;
  std::memcpy(blob.data() + layout.scalesK + 4 * (capacity + 20), &scale, 4);
  std::memcpy(blob.data() + layout.scalesV + 4 * (capacity + 20), &scale, 4);
  KvPosition key = kvKeyPosition(KvFormat::Kv4, layout, headDim, 1, 20, 5);
  blob[key.byte] |= static_cast<uint8_t>(15 << key.shift);                     // code 7
  blob[kvValuePosition(KvFormat::Kv8, layout, headDim, 1, 20, 5).byte] = 0x82; // −126
  EXPECT_EQ(decodeKey(KvFormat::Kv4, layout, blob.data(), headDim, capacity, 1, 20, 5), 3.5);
  EXPECT_EQ(decodeValue(KvFormat::Kv8, layout, blob.data(), headDim, capacity, 1, 20, 5), -63);
}

} // namespace
