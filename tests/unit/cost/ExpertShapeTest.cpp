// What shapes say of experts, and what stacks of them take, against figures worked out by hand.
#include "passes/Cost/ExpertShape.h"
#include "passes/Cost/MemoryModel.h"
#include "passes/Cost/StorageTime.h"

#include <gtest/gtest.h>
#include <random>
#include <vector>

using namespace gcompile;

namespace {

TensorShape stack(const char *role, int64_t n, int64_t k, double share) {
  TensorShape tensor{role, role, 0, n, k};
  tensor.readFraction = share;
  return tensor;
}

// 8 experts, 2 for a token, of 64 → 2 · 24 → 64.
ModelShape micro() {
  ModelShape model;
  model.hidden = 64;
  model.tensors = {TensorShape{"q", "q", 0, 64, 64}, stack("expert_gate_up", 8 * 48, 64, 0.25),
                   stack("expert_down", 8 * 64, 24, 0.25)};
  return model;
}

TEST(ExpertShape, IsReadFromTheStacks) {
  ExpertShape experts = expertsOf(micro());
  EXPECT_EQ(experts.experts, 8);
  EXPECT_EQ(experts.perToken, 2);
  EXPECT_EQ(experts.intermediate, 24);
  EXPECT_EQ(matricesOf(micro(), micro().tensors[0]), 1);
  EXPECT_EQ(matricesOf(micro(), micro().tensors[1]), 8);
  EXPECT_EQ(matricesOf(micro(), micro().tensors[2]), 8);
  EXPECT_EQ(expertsOf(ModelShape()).perToken, 0);
}

TEST(ExpertShape, EveryMatrixHasItsOwnPanels) {
  // 48 × 64 and 64 × 24 are a panel of 64 × 64 each: 2048 bytes of codes, 256 of scales.
  for (size_t i : {1, 2})
    EXPECT_EQ(packedBytes(micro(), micro().tensors[i], WeightFormat::W4), 8 * 2304);
  // 24 columns of floats are not padded: 64 · 24 · 4 bytes.
  EXPECT_EQ(packedBytes(micro(), micro().tensors[2], WeightFormat::F32), 8 * 6144);
  EXPECT_EQ(packedBytes(micro(), micro().tensors[0], WeightFormat::W4), 2304);
}

TEST(ExpertShape, ABlockIsBothMatricesInPages) {
  // 2304 bytes of either are a page each; 48 · 64 · 4 and 64 · 24 · 4 bytes of floats are four
  // panels' worth, 16384 and 6144 bytes.
  EXPECT_EQ(expertBlockBytes(micro(), WeightFormat::W4, WeightFormat::W4), 8192);
  EXPECT_EQ(expertBlockBytes(micro(), WeightFormat::F32, WeightFormat::F32), 16384 + 8192);
  EXPECT_EQ(expertPartBytes(micro(), micro().tensors[1], WeightFormat::F32), 16384);
  EXPECT_EQ(expertPartBytes(micro(), micro().tensors[2], WeightFormat::F32), 8192);
  EXPECT_EQ(expertsInAll(micro()), 8);
  EXPECT_EQ(expertsInAll(ModelShape()), 0);
}

TEST(ExpertShape, MissesFollowFromUniformRouting) {
  // 26B-A4B: 3840 experts; a quarter of them cached.
  EXPECT_DOUBLE_EQ(expertMissRate(960, 3840), 0.75);
  EXPECT_DOUBLE_EQ(expertMissRate(3840, 3840), 0);
  EXPECT_DOUBLE_EQ(expertMissRate(0, 0), 0);
  // A prompt that asks for 100 of 128 in 30 layers comes back to nothing that 960 slots kept, and
  // to all that 3840 keep.
  EXPECT_DOUBLE_EQ(expertMissRateOfRounds(960, 3840, 100, 30), 1);
  EXPECT_DOUBLE_EQ(expertMissRateOfRounds(3100, 3840, 100, 30), expertMissRate(3100, 3840));
  EXPECT_DOUBLE_EQ(expertMissRateOfRounds(3840, 3840, 128, 30), 0);
}

// A simulation: a cache that lets go of whatever was used longest ago, uniform routing.
TEST(ExpertShape, ACacheMissesAsModelled) {
  constexpr int layers = 10, experts = 32, perToken = 4;
  for (int slots : {80, 160, 240}) {
    std::mt19937 random(1);
    std::vector<int> lastUse(layers * experts, -1);
    int clock = 0, held = 0;
    int64_t asked = 0, missed = 0;
    for (int token = 0; token < 3000; ++token)
      for (int layer = 0; layer < layers; ++layer)
        for (int rank = 0; rank < perToken; ++rank) {
          int block = layer * experts + int(random() % experts);
          if (token > 200) {
            ++asked;
            missed += lastUse[block] < 0;
          }
          if (lastUse[block] < 0 && held++ == slots) {
            int oldest = -1;
            for (int other = 0; other < layers * experts; ++other)
              if (lastUse[other] >= 0 && (oldest < 0 || lastUse[other] < lastUse[oldest]))
                oldest = other;
            lastUse[oldest] = -1;
            --held;
          }
          lastUse[block] = clock++;
        }
    EXPECT_NEAR(double(missed) / double(asked), expertMissRate(slots, layers * experts), 0.06)
        << slots;
  }
}

TEST(ExpertShape, ScratchHoldsSlots) {
  ModelShape with = micro(), without = micro();
  without.tensors.resize(1);
  with.layers = without.layers = {LayerShape{true, true, 1, 16, 8}};
  ProgramShape program;
  program.prefillChunk = 128;
  // Two slots of 24 and 64 floats, and two rows of 64, for each of 128 rows.
  EXPECT_GE(estimateArenaBytes(with, program), 128 * 4 * (2 * (24 + 64) + 2 * 64));
  EXPECT_GT(estimateArenaBytes(with, program), estimateArenaBytes(without, program));
}

} // namespace
