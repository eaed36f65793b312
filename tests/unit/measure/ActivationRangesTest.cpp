#include "compiler/Measure/ActivationRanges.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace gcompile {
namespace {

// The step of the best uniform quantizer of 256 levels for a normal distribution is 0.0308 standard
// deviations (Max, Quantizing for Minimum Distortion, 1960, continued to 256 levels by others);
// ours is found to within its grid of 1/8 octave.
TEST(MagnitudeCounts, FindTheBestStepForNormalValues) {
  std::mt19937 generator(1);
  std::normal_distribution<float> normal(0, 3);
  MagnitudeCounts counts;
  for (int i = 0; i < 400000; ++i)
    counts.add(normal(generator));
  EXPECT_EQ(counts.total(), 400000u);
  EXPECT_NEAR(counts.bestScale() / 3, 0.0308, 0.0308 * 0.1);
}

// Uniform values are best served by their whole range; the error is step² / 12.
TEST(MagnitudeCounts, KeepTheRangeOfUniformValues) {
  MagnitudeCounts counts;
  constexpr int count = 200000;
  for (int i = 0; i < count; ++i)
    counts.add(2 * ((i + 0.5f) / count) - 1);
  double scale = counts.bestScale();
  EXPECT_NEAR(scale, 1.0 / 127, 0.03 / 127);
  EXPECT_NEAR(counts.error(scale), scale * scale / 12, 0.1 * scale * scale / 12);
}

TEST(MagnitudeCounts, SayNothingOfZerosAndOfWhatIsNoNumber) {
  MagnitudeCounts counts;
  EXPECT_EQ(counts.bestScale(), 0);
  counts.add(0);
  counts.add(-0.0f);
  EXPECT_EQ(counts.bestScale(), 0);
  counts.add(NAN);
  counts.add(-INFINITY);
  EXPECT_EQ(counts.bestScale(), 0);
  counts.add(1e-42f);
  EXPECT_EQ(counts.bestScale(), 0); // no scale of normal size
  counts.add(-3);
  EXPECT_NEAR(counts.largest(), 3, 0.05);
  EXPECT_GT(counts.bestScale(), 0);
}

TEST(MagnitudeCounts, AddUp) {
  MagnitudeCounts one, two, both;
  for (float value : {1.0f, -2.0f, 0.5f}) {
    (value < 0 ? one : two).add(value);
    both.add(value);
  }
  one.add(two);
  EXPECT_EQ(one.total(), 3u);
  EXPECT_EQ(one.bestScale(), both.bestScale());
}

// The model projection reads the embedded tokens, which the golden holds; its outputs are their
// products with the weights.
TEST(ActivationRanges, AreThoseOfTheReference) {
  std::string folder = GC_TEST_DATA_DIR "/conformance-f32/E";
  ImportedModel model = llvm::cantFail(importModel(folder));
  auto goldens = llvm::cantFail(openSafetensors(folder + "/golden.safetensors"));
  const TensorInfo *ids = goldens->find("ids");
  std::vector<int64_t> wide(ids->elements());
  llvm::cantFail(goldens->read(
      *ids, 0, {reinterpret_cast<uint8_t *>(wide.data()), wide.size() * sizeof(int64_t)}));
  std::vector<int32_t> tokens(wide.begin(), wide.end());
  std::string name = "per_layer_model_projection.weight";
  ObserveOptions observing;
  observing.only = {name, "embed_tokens.weight", "layers.0.self_attn.v_proj.weight"};
  auto scales = llvm::cantFail(measureActivationScales(model, {tokens}, observing));
  ASSERT_TRUE(scales.count(name));
  EXPECT_FALSE(scales.count("embed_tokens.weight")); // the head has none
  EXPECT_EQ(scales["layers.0.self_attn.v_proj.weight"].input,
            scales["layers.0.self_attn.q_proj.weight"].input);

  std::vector<float> hidden = llvm::cantFail(goldens->readAllAsFloat(*goldens->find("hidden")));
  const TensorInfo &weight = *model.tensors->find(TensorRole::PerLayerModelProjection);
  std::vector<float> matrix = llvm::cantFail(model.checkpoint->readAllAsFloat(weight));
  int64_t width = model.config.hidden;
  MagnitudeCounts inputs, outputs;
  for (size_t t = 0; t < tokens.size(); ++t) {
    for (int64_t k = 0; k < width; ++k)
      inputs.add(hidden[t * width + k]);
    for (int64_t n = 0; n < weight.rows(); ++n) {
      double sum = 0;
      for (int64_t k = 0; k < width; ++k)
        sum += double(hidden[t * width + k]) * matrix[n * width + k];
      outputs.add(float(sum));
    }
  }
  EXPECT_NEAR(scales[name].input / inputs.bestScale(), 1, 0.02);
  EXPECT_NEAR(scales[name].output / outputs.bestScale(), 1, 0.02);
}

} // namespace
} // namespace gcompile
