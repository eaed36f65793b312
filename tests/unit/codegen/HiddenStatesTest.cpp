// The compiled model, layer by layer, against the reference implementation's hidden states
// (tests/data/conformance-f32/E: float32, 24 tokens, a window of 8): the embedding, the stream
// after every layer, and the final norm.
#include "tests/unit/codegen/RunProgram.h"

#include <gtest/gtest.h>

using namespace gcompile;
using namespace gcompile::test;

namespace {

TEST(HiddenStates, EqualTheReferenceLayerByLayer) {
  if (!canRunScore())
    GTEST_SKIP() << "x86-64-v3 code cannot run here";
  std::string folder = GC_TEST_DATA_DIR "/conformance-f32/E";
  llvm::Expected<ImportedModel> model = importModel(folder);
  ASSERT_TRUE(bool(model)) << llvm::toString(model.takeError());
  auto goldens = openSafetensors(folder + "/golden.safetensors");
  ASSERT_TRUE(bool(goldens)) << llvm::toString(goldens.takeError());
  std::vector<int32_t> tokens = goldenIntegers(**goldens, "ids");
  std::vector<float> hidden = goldenFloats(**goldens, "hidden");
  const ModelConfig &config = model->config;
  size_t stateSize = tokens.size() * config.hidden;
  ASSERT_EQ(hidden.size(), stateSize * (config.layerCount() + 1));

  for (int64_t state = 0; state <= config.layerCount(); ++state) {
    // The reference's last hidden state has gone through the final norm; its others are inputs of
    // layers.
    int64_t afterLayer = state == config.layerCount() ? state + 1 : state;
    llvm::Expected<LoweredModel> lowered =
        lowerModel(config, referencePlan(config), {ModuleOutput::HiddenState, afterLayer});
    ASSERT_TRUE(bool(lowered)) << llvm::toString(lowered.takeError());
    std::vector<float> values = runScore(*lowered, *model, tokens, config.hidden);
    float worst = 0;
    for (size_t i = 0; i < stateSize; ++i)
      worst = std::max(worst, std::fabs(values[i] - hidden[state * stateSize + i]));
    EXPECT_LE(worst, 1e-3f) << "hidden state " << state;
    ::testing::Test::RecordProperty("worst_" + std::to_string(state), std::to_string(worst));
  }
}

} // namespace
