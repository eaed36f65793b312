// Prompts and storage: operation counts from the public shapes, and which term decides when.
#include "passes/Cost/CostModel.h"
#include "tests/unit/cost/TestShapes.h"

#include <gtest/gtest.h>

using namespace gcompile;
using namespace gcompile::test;

namespace {

MachineModel machine() {
  MachineModel m;
  m.readBytesPerSecond = 30e9;
  m.integerOpsPerSecond = 1e12;
  m.floatOpsPerSecond = 2e11;
  return m;
}

TimeEstimate promptOf(const MachineModel &m, const ModelShape &model, int64_t tokens,
                      WeightFormat format = WeightFormat::W4) {
  std::vector<WeightFormat> formats(model.tensors.size(), format);
  PrefillWork work;
  work.formats = formats;
  work.tokens = tokens;
  return prefillTime(m, model, work);
}

TEST(PrefillTime, CountsOnlyLayersThatFeedACache) {
  ModelShape model = shapeOfE2B();
  // devices.md 1: 577.6 million weights, the projection of per-layer inputs included.
  EXPECT_EQ(model.prefillLayers(), 15);
  EXPECT_NEAR(productOperations(model, model.prefillLayers()), 2 * 577.6e6, 2 * 0.5e6);
  EXPECT_NEAR(productOperations(model, 35), 2 * 1876.8e6, 2 * 0.5e6);
  TimeEstimate prompt = promptOf(machine(), model, 1024);
  EXPECT_NEAR(prompt.of("products"), 1024 * 2 * 577.6e6 / (1e12 * matmulShare(WeightFormat::W4)),
              0.01);
  EXPECT_EQ(prompt.dominantLimit(), "operations");
}

TEST(PrefillTime, TakesNoLongerForLayersThatItSkips) {
  ModelShape model = shapeOfE2B(), shorter = model;
  shorter.layers.resize(15);
  std::erase_if(shorter.tensors, [](const TensorShape &tensor) { return tensor.layer >= 15; });
  EXPECT_EQ(promptOf(machine(), model, 512).of("products"),
            promptOf(machine(), shorter, 512).of("products"));
}

TEST(PrefillTime, ShortChunksWaitForWeights) {
  ModelShape model = shapeOfE2B();
  MachineModel fast = machine();
  fast.integerOpsPerSecond = 1e15;
  EXPECT_EQ(promptOf(fast, model, 16).dominantLimit(), "memory bandwidth");
}

TEST(PrefillTime, WeightsAreReadBeforeTheRestIsComputed) {
  // Reading overlaps with the first four of 128 rows.
  ModelShape model = shapeOfE2B();
  MachineModel m = machine();
  double share = bandwidthShare(WeightFormat::W4), bytes = 0;
  for (const TensorShape &tensor : model.tensors)
    if (tensor.layer < model.prefillLayers() && tensor.role != "norm" &&
        tensor.role != "embedding" && tensor.role != "per_layer_table")
      bytes += double(packedBytes(WeightFormat::W4, tensor.n, tensor.k));
  TimeEstimate prompt = promptOf(m, model, 128);
  EXPECT_NEAR(prompt.of("weights"), bytes / (30e9 * share) - prompt.of("products") * 4 / 128, 1e-5);
}

TEST(PrefillTime, AttentionSeesAtMostTheWindow) {
  ModelShape model = shapeOfE2B();
  // 12 local layers of the first 15: 4 · 8 heads · 256 · Σ min(i, 512).
  double seen = 512.0 * 513 / 2 + (2048.0 - 512) * 512;
  EXPECT_NEAR(attentionOperations(model, 15, false, 2048), 12 * 4 * 8 * 256 * seen, 1);
  EXPECT_NEAR(attentionOperations(model, 15, true, 2048), 3 * 4 * 8 * 512 * (2048.0 * 2049 / 2), 1);
}

TEST(PrefillTime, ExpertsOfAChunkAreReadOnce) {
  ModelShape model = shapeOfExperts(128, 8);
  MachineModel fast = machine();
  fast.integerOpsPerSecond = 1e18;
  double all = double(packedBytes(WeightFormat::W4, 128 * 1024, 1024)) /
               (30e9 * bandwidthShare(WeightFormat::W4));
  EXPECT_NEAR(promptOf(fast, model, 4).of("weights"), all * distinctExperts(128, 8, 4) / 128, 1e-9);
}

TEST(PrefillTime, UnknownArithmeticGivesNoPrediction) {
  MachineModel m = machine();
  m.integerOpsPerSecond = 0;
  EXPECT_FALSE(promptOf(m, shapeOfE2B(), 512).known());
}

TEST(PrefillTime, MeasuredRatesReplaceSharesOfThePeak) {
  MachineModel m = machine();
  m.weightRates[size_t(WeightFormat::W4)].matmulOperationsPerSecond = 5e11;
  EXPECT_EQ(matmulRate(m, WeightFormat::W4), 5e11);
  EXPECT_EQ(matmulRate(m, WeightFormat::F32), 2e11 * matmulShare(WeightFormat::F32));
}

TEST(PrefillTime, AnEncoderComputesOrReads) {
  MachineModel m = machine();
  EXPECT_EQ(encoderSeconds(m, 0, 3e9), 0.1);
  EXPECT_EQ(encoderSeconds(m, 1e12, 0), 1e12 / matmulRate(m, WeightFormat::W8));
  EXPECT_EQ(encoderSeconds({}, 1e12, 1), 0);
}

TEST(StorageTime, RowsTouchPages) {
  EXPECT_EQ(pagesOfRow(4480), 3); // E2B, 4 bit: two pages and a border
  EXPECT_EQ(pagesOfRow(4096), 2);
  // devices.md 5: 1024 cold tokens fetch up to 134 MB with 128 KiB of read-ahead a fault.
  EXPECT_NEAR(coldRowSeconds({100e-6, 1e9, 131072}, 4096), 2 * (100e-6 + 131072 / 1e9), 1e-12);
  EXPECT_NEAR(coldRowSeconds({100e-6, 0, 131072}, 4096), 2 * 100e-6, 1e-12);
}

TEST(StorageTime, PrefetchHidesBehindComputing) {
  EXPECT_EQ(prefetchSeconds(128, 4480, 50e6, 1), 0);
  EXPECT_NEAR(prefetchSeconds(128, 4480, 50e6, 0.001), 128 * 4480 / 50e6 - 0.001, 1e-12);
}

TEST(StorageTime, ExpertsOnStorageCostTheirMisses) {
  // 26B-A4B: 8 experts of 3.35 MB in 30 layers, half of them missing, at 3.5 GB/s.
  EXPECT_NEAR(expertReadSeconds(0.5, 8, 30, 3350000, 3.5e9), 0.1149, 0.0001);
}

} // namespace
