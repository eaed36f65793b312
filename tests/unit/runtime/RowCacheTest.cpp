#include "runtime/core/RowCache.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>
#include <vector>

namespace gcompile::runtime {
namespace {

struct Cache {
  explicit Cache(uint32_t slots) : memory(RowCache::memoryBytes(slots) / 8 + 1) {
    cache.initialise(memory.data(), slots);
  }
  std::vector<uint64_t> memory;
  RowCache cache;
};

TEST(RowCache, FindsWhatItHolds) {
  Cache c(4);
  bool isNew;
  int32_t slot = c.cache.use(1000, isNew);
  EXPECT_TRUE(isNew);
  EXPECT_EQ(c.cache.use(1000, isNew), slot);
  EXPECT_FALSE(isNew);
  EXPECT_TRUE(c.cache.has(1000));
  EXPECT_FALSE(c.cache.has(1001));
}

TEST(RowCache, HoldsAWholeChunkAndNoMore) {
  Cache c(8);
  bool isNew;
  for (uint32_t before = 0; before < 5; ++before) // the hand stands anywhere
    c.cache.use(before, isNew);
  c.cache.beginChunk();
  std::set<int32_t> slots;
  for (uint32_t row = 100; row < 108; ++row)
    slots.insert(c.cache.use(row, isNew));
  EXPECT_EQ(slots.size(), 8u);
  EXPECT_EQ(*slots.begin(), 0);
  EXPECT_EQ(c.cache.use(200, isNew), -1);
  c.cache.beginChunk();
  EXPECT_GE(c.cache.use(200, isNew), 0);
}

TEST(RowCache, KeepsWhatIsUsedAgain) {
  Cache c(4);
  bool isNew;
  for (uint32_t row = 0; row < 200; ++row) {
    c.cache.beginChunk();
    c.cache.use(7777, isNew);
    EXPECT_EQ(isNew, row == 0);
    c.cache.beginChunk();
    c.cache.use(row, isNew);
  }
}

TEST(RowCache, NeverMixesRowsUp) {
  std::mt19937 random(5);
  for (uint32_t slots : {1u, 2u, 3u, 7u, 64u}) {
    Cache c(slots);
    std::map<int32_t, uint32_t> content; // slot -> row, as a reader would have filled it
    for (int chunk = 0; chunk < 3000; ++chunk) {
      c.cache.beginChunk();
      std::map<uint32_t, int32_t> inChunk;
      for (uint32_t i = 0, n = 1 + random() % slots; i < n; ++i) {
        uint32_t row = random() % (slots * 3);
        bool isNew;
        int32_t slot = c.cache.use(row, isNew);
        ASSERT_GE(slot, 0);
        ASSERT_LT(uint32_t(slot), slots);
        if (isNew)
          content[slot] = row;
        ASSERT_EQ(content[slot], row);
        inChunk[row] = slot;
      }
      for (auto [row, slot] : inChunk)
        ASSERT_EQ(content[slot], row) << "a row of the chunk was replaced in it";
    }
  }
}

TEST(RowCache, ForgetsEverythingWhenTold) {
  Cache c(3);
  bool isNew;
  c.cache.use(1, isNew);
  c.cache.forget();
  EXPECT_FALSE(c.cache.has(1));
  c.cache.use(1, isNew);
  EXPECT_TRUE(isNew);
}

} // namespace
} // namespace gcompile::runtime
