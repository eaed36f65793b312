// What shapes say of experts, and what stacks of them take, against figures worked out by hand.
#include "passes/Cost/ExpertShape.h"
#include "passes/Cost/MemoryModel.h"

#include <gtest/gtest.h>

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
