// Blocks are the estimate cut into pieces: nothing is lost, counted twice, or out of order.
#include "passes/Cost/PassBlocks.h"
#include "tests/unit/cost/TestShapes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

using namespace gcompile;
using namespace gcompile::test;

namespace {

MachineModel machineWithEverything() {
  MachineModel machine;
  machine.readBytesPerSecond = 40e9;
  machine.integerOpsPerSecond = 2e12;
  machine.floatOpsPerSecond = 0.5e12;
  machine.instructionsPerSecond = 30e9;
  machine.barrierSeconds = 3e-6;
  machine.vectorSeconds = 0.3e-9;
  machine.threads = 4;
  return machine;
}

double sum(const std::vector<PassBlock> &blocks) {
  return std::accumulate(blocks.begin(), blocks.end(), 0.0,
                         [](double all, const PassBlock &block) { return all + block.seconds; });
}

int count(const std::vector<PassBlock> &blocks, const char *name) {
  return int(std::count_if(blocks.begin(), blocks.end(),
                           [&](const PassBlock &block) { return block.name == name; }));
}

void holdsForBoth(const ModelShape &model) {
  MachineModel machine = machineWithEverything();
  std::vector<WeightFormat> formats(model.tensors.size(), WeightFormat::W4G32);
  DecodeWork token;
  token.formats = formats;
  token.positions = 2000;
  token.storagePages = 3;
  std::vector<PassBlock> decode = decodeBlocks(machine, model, token);
  EXPECT_NEAR(sum(decode) / decodeTime(machine, model, token).seconds(), 1, 1e-12);
  PrefillWork prompt;
  prompt.formats = formats;
  prompt.storagePages = 700;
  prompt.tokens = 700;
  std::vector<PassBlock> prefill = prefillBlocks(machine, model, prompt);
  EXPECT_NEAR(sum(prefill) / prefillTime(machine, model, prompt).seconds(), 1, 1e-12);
  for (const auto &blocks : {decode, prefill}) {
    ASSERT_GE(blocks.size(), 3u);
    EXPECT_EQ(blocks.front().name, "rows");
    EXPECT_TRUE(blocks.front().processorOnly && blocks.back().processorOnly);
    int64_t layer = -1;
    for (const PassBlock &block : blocks) {
      if (block.layer < 0)
        continue;
      EXPECT_GE(block.layer, layer);
      layer = block.layer;
      EXPECT_FALSE(block.processorOnly);
    }
  }
}

TEST(PassBlocks, SumToTheEstimates) {
  holdsForBoth(shapeOfE2B());
  holdsForBoth(shapeOfExperts(128, 8));
}

TEST(PassBlocks, CutEveryLayerInThree) {
  ModelShape model = shapeOfE2B();
  std::vector<WeightFormat> formats(model.tensors.size(), WeightFormat::W4);
  DecodeWork token;
  token.formats = formats;
  std::vector<PassBlock> decode = decodeBlocks(machineWithEverything(), model, token);
  for (const char *name : {"attention", "feed_forward", "per_layer_input"})
    EXPECT_EQ(count(decode, name), 35) << name;
  EXPECT_EQ(count(decode, "head"), 1);
  EXPECT_EQ(count(decode, "inputs"), 1);
  // 15 layers write a cache; the rest and the head run with the last token.
  PrefillWork prompt;
  prompt.formats = formats;
  std::vector<PassBlock> prefill = prefillBlocks(machineWithEverything(), model, prompt);
  EXPECT_EQ(count(prefill, "attention"), 15);
  EXPECT_EQ(count(prefill, "head"), 0);
}

TEST(PassBlocks, SayNothingWhereTheEstimateKnowsNothing) {
  ModelShape model = shapeOfE2B();
  std::vector<WeightFormat> formats(model.tensors.size(), WeightFormat::W4);
  DecodeWork token;
  token.formats = formats;
  PrefillWork prompt;
  prompt.formats = formats;
  EXPECT_TRUE(decodeBlocks({}, model, token).empty());
  MachineModel noArithmetic;
  noArithmetic.readBytesPerSecond = 40e9;
  EXPECT_TRUE(prefillBlocks(noArithmetic, model, prompt).empty());
}

} // namespace
