// KV bytes against the published arithmetic of the model family (bytes per token and layer, totals
// at 4K and 32K in bf16).
#include "passes/Cost/MemoryModel.h"

#include <gtest/gtest.h>

using namespace gcompile;

namespace {

struct Family {
  const char *name;
  int layers, period, owners, kvLocal, kvGlobal, window;
  double at4k, at32k; // MB = 10^6, two bytes a value
};

ModelShape shapeOf(const Family &family) {
  ModelShape model;
  model.window = family.window;
  model.heads = 8;
  for (int l = 0; l < family.layers; ++l) {
    bool global = l % family.period == family.period - 1;
    model.layers.push_back({global, l < family.owners, global ? family.kvGlobal : family.kvLocal,
                            global ? 512 : 256, 1024});
  }
  return model;
}

const Family families[] = {
    {"E2B", 35, 5, 15, 1, 1, 512, 31.5, 207.6},      {"E4B", 42, 6, 24, 2, 2, 512, 88.1, 557.8},
    {"12B", 48, 6, 48, 8, 1, 1024, 402.7, 872.4},    {"26B", 30, 6, 30, 8, 2, 1024, 293.6, 880.8},
    {"31B", 60, 6, 60, 16, 4, 1024, 1174.4, 3523.2},
};

double megabytes(const ModelShape &model, int64_t context, KvFormat local, KvFormat global) {
  ProgramShape program;
  program.context = context;
  int64_t bytes = kvBytes(model, program, KvScope::Local, local, local).window +
                  kvBytes(model, program, KvScope::Global, global, global).window;
  return double(bytes) / 1e6;
}

TEST(MemoryModel, KvBytesAreThePublishedOnes) {
  for (const Family &family : families) {
    ModelShape model = shapeOf(family);
    EXPECT_NEAR(megabytes(model, 4096, KvFormat::F16, KvFormat::F16), family.at4k, 0.06)
        << family.name;
    EXPECT_NEAR(megabytes(model, 32768, KvFormat::F16, KvFormat::F16), family.at32k, 0.06)
        << family.name;
  }
}

TEST(MemoryModel, MixedKvOfE2BIsTheMobileSchemePlusScales) {
  // 9.4 MB of codes at 4K; scales: 4 bytes for K and V of each row, 12 layers of 512 and 3 of 4096
  // rows.
  double scales = (12 * 512 + 3 * 4096) * 8 / 1e6;
  EXPECT_NEAR(megabytes(shapeOf(families[0]), 4096, KvFormat::Kv8, KvFormat::Kv4), 9.4 + scales,
              0.06);
}

TEST(MemoryModel, RingsHoldTheChunkAndSayWhatItCosts) {
  ModelShape model = shapeOf(families[0]);
  ProgramShape program;
  EXPECT_EQ(localCapacity(model, program), 640); // 512 + 127 rounded up to 64
  KvBytes local = kvBytes(model, program, KvScope::Local, KvFormat::F16, KvFormat::F16);
  EXPECT_EQ(local.window, 12 * 512 * 1024);
  EXPECT_EQ(local.surplus, 12 * 128 * 1024);
  program.context = 100; // shorter than the window: no ring is larger than the context
  EXPECT_EQ(localCapacity(model, program), 128);
  EXPECT_EQ(globalCapacity(program), 128);
}

TEST(MemoryModel, TablesOfE2BHaveTheSizeOfTheMobileFile) {
  ModelShape model = shapeOf(families[0]);
  model.perLayerInput = 256;
  model.perLayerVocabulary = 262144;
  // 35 slices of 128 code bytes and one f32 scale = 4620, rounded up to 16.
  EXPECT_EQ(tableRowBytes(model, WeightFormat::W4), 4624);
  EXPECT_EQ(tableMemoryBytes(model, WeightFormat::W4), int64_t(4624) * 262144);
  EXPECT_EQ(tableCacheBytes(model, WeightFormat::W4, 1024), 4624 * 1024);
}

TEST(MemoryModel, PeakIsTheSumOfTheCategories) {
  MemoryAccount account{1, 2, 4, 8, 16, 32, 64};
  EXPECT_EQ(account.peak(), 127);
}

// x86-64 and AArch64 with pages of 4 KiB: an entry of 8 bytes maps 4096.
TEST(MemoryModel, PageTablesTakeAnEntryForEachPage) {
  EXPECT_EQ(pageTableBytes(int64_t(2) << 30), int64_t(4) << 20);
  EXPECT_EQ(pageTableBytes(1), 1);
  EXPECT_EQ(withPageTables(4096), 4104);
}

} // namespace
