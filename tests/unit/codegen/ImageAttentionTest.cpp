// Positions of images see each other in prefill (docs/decisions/0016): logits of micro models
// against the reference implementation where two runs of positions are declared images, the longer
// one wider than the window (tests/scripts/make_image_blocks.py).
#include "tests/unit/codegen/RunProgram.h"

#include <gtest/gtest.h>

using namespace gcompile;
using namespace gcompile::test;

namespace {

float worstDifference(const std::vector<float> &got, const std::vector<float> &wanted) {
  EXPECT_EQ(got.size(), wanted.size());
  float worst = 0;
  for (size_t i = 0; i < wanted.size(); ++i)
    worst = std::max(worst, std::isnan(got[i]) ? INFINITY : std::fabs(got[i] - wanted[i]));
  return worst;
}

class ImageAttention : public testing::TestWithParam<const char *> {
protected:
  void SetUp() override {
    if (!canRunScore())
      GTEST_SKIP() << "x86-64-v3 code cannot run here";
    folder = GC_TEST_DATA_DIR "/conformance-f32/" + std::string(GetParam());
    llvm::Expected<ImportedModel> imported = importModel(folder);
    ASSERT_TRUE(bool(imported)) << llvm::toString(imported.takeError());
    model = std::make_unique<ImportedModel>(std::move(*imported));
  }

  // Logits of all positions in one call, as an image's have to be.
  std::vector<float> logits(const std::vector<int32_t> &ids, const std::vector<int32_t> &spans,
                            std::vector<std::string> modalities) {
    Plan plan = referencePlan(model->config, ids.size());
    plan.modalities = std::move(modalities);
    llvm::Expected<LoweredModel> lowered = lowerModel(model->config, plan);
    EXPECT_TRUE(bool(lowered)) << llvm::toString(lowered.takeError());
    return runScore(*lowered, *model, ids, model->config.vocabulary, spans);
  }

  std::string folder;
  std::unique_ptr<ImportedModel> model;
};

TEST_P(ImageAttention, EqualsTheReference) {
  auto goldens = openSafetensors(folder + "/blocks.safetensors");
  ASSERT_TRUE(bool(goldens)) << llvm::toString(goldens.takeError());
  std::vector<int32_t> ids = goldenIntegers(**goldens, "ids");
  std::vector<int32_t> spans = goldenIntegers(**goldens, "spans");
  std::vector<float> wanted = goldenFloats(**goldens, "logits");
  EXPECT_LE(worstDifference(logits(ids, spans, {"text", "vision"}), wanted), 1e-3f);
}

// Text alone in a program that knows images, and a program that was made for text.
TEST_P(ImageAttention, LeavesTextAsItIs) {
  auto goldens = openSafetensors(folder + "/golden.safetensors");
  ASSERT_TRUE(bool(goldens)) << llvm::toString(goldens.takeError());
  std::vector<int32_t> ids = goldenIntegers(**goldens, "ids"), spans;
  for (int32_t position = 0; position < int32_t(ids.size()); ++position)
    spans.insert(spans.end(), {position, position});
  std::vector<float> withImages = logits(ids, spans, {"text", "vision"});
  EXPECT_LE(worstDifference(withImages, goldenFloats(**goldens, "logits")), 1e-3f);
  EXPECT_EQ(withImages, logits(ids, {}, {"text"}));
}

INSTANTIATE_TEST_SUITE_P(Models, ImageAttention, testing::Values("dense", "moe", "unified"));

} // namespace
