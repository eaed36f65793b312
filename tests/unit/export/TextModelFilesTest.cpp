#include "compiler/Export/TextModelFiles.h"

#include "llvm/ADT/STLExtras.h"

#include <gmock/gmock.h>

using testing::HasSubstr;

namespace gcompile {
namespace {

ImportedModel modelOf(const std::string &preset) {
  ImportedModel model;
  model.config = cantFail(loadPreset(preset));
  return model;
}

// What our own reader makes of the configuration is what it was made from.
TEST(TextModelFiles, ConfigurationsOfAllSizesAreReadBack) {
  for (const std::string &preset : presetNames()) {
    ImportedModel model = modelOf(preset);
    const ModelConfig &wanted = model.config;
    auto files = cantFail(textModelFiles(model));
    ASSERT_EQ(files[0].first, "config.json");
    ASSERT_EQ(files[1].first, "generation_config.json");
    ModelConfig config = cantFail(parseModelConfig(files[0].second, files[1].second));
    EXPECT_EQ(config.architecture, "Gemma4ForCausalLM");
    EXPECT_EQ(
        std::tie(config.hidden, config.heads, config.vocabulary, config.perLayerInput,
                 config.perLayerVocabulary, config.window, config.sharedLayers, config.rmsEpsilon,
                 config.logitSoftcap, config.maxPositions, config.bos, config.pad),
        std::tie(wanted.hidden, wanted.heads, wanted.vocabulary, wanted.perLayerInput,
                 wanted.perLayerVocabulary, wanted.window, wanted.sharedLayers, wanted.rmsEpsilon,
                 wanted.logitSoftcap, wanted.maxPositions, wanted.bos, wanted.pad))
        << preset;
    EXPECT_EQ(config.stopTokens(), wanted.stopTokens()) << preset;
    EXPECT_EQ(std::tie(config.moe.experts, config.moe.topK, config.moe.intermediate),
              std::tie(wanted.moe.experts, wanted.moe.topK, wanted.moe.intermediate))
        << preset;
    for (LayerType type : {LayerType::Sliding, LayerType::Full})
      EXPECT_EQ(std::tie(config.rope(type).theta, config.rope(type).rotatedPairs),
                std::tie(wanted.rope(type).theta, wanted.rope(type).rotatedPairs))
          << preset;
    ASSERT_EQ(config.layerCount(), wanted.layerCount()) << preset;
    for (size_t i = 0; i < wanted.layers.size(); ++i) {
      const LayerConfig &got = config.layers[i], &layer = wanted.layers[i];
      EXPECT_EQ(std::tie(got.type, got.headDim, got.kvHeads, got.intermediate, got.ownsKv,
                         got.kvDonor, got.keyEqualsValue),
                std::tie(layer.type, layer.headDim, layer.kvHeads, layer.intermediate, layer.ownsKv,
                         layer.kvDonor, layer.keyEqualsValue))
          << preset << " layer " << i;
    }
  }
}

// transformers takes no integer for a number.
TEST(TextModelFiles, NumbersKeepTheirPoint) {
  std::string text = cantFail(textModelFiles(modelOf("E2B")))[0].second;
  EXPECT_THAT(text, HasSubstr("\"final_logit_softcapping\": 30.0,"));
  EXPECT_THAT(text, HasSubstr("\"rope_theta\": 10000.0"));
  EXPECT_THAT(text, HasSubstr("\"partial_rotary_factor\": 0.25,"));
}

TEST(TextModelFiles, LayersOfOneTypeAlone) {
  for (LayerType type : {LayerType::Sliding, LayerType::Full}) {
    ImportedModel model = modelOf("E2B");
    llvm::erase_if(model.config.layers,
                   [&](const LayerConfig &layer) { return layer.type != type || !layer.ownsKv; });
    model.config.sharedLayers = 0;
    auto files = cantFail(textModelFiles(model));
    ModelConfig config = cantFail(parseModelConfig(files[0].second, files[1].second));
    ASSERT_EQ(config.layerCount(), model.config.layerCount());
    EXPECT_EQ(config.layers[0].headDim, model.config.layers[0].headDim);
  }
}

TEST(TextModelFiles, RefusesWhatTheFilesCannotState) {
  ImportedModel model = modelOf("E2B");
  model.config.layers[3].intermediate += 32;
  EXPECT_THAT(llvm::toString(textModelFiles(model).takeError()), HasSubstr("layer 3 has"));
  model = modelOf("E2B");
  model.tokenizer.emplace().pieces = {"a", "\xff"};
  EXPECT_THAT(llvm::toString(textModelFiles(model).takeError()), HasSubstr("piece 1"));
}

} // namespace
} // namespace gcompile
