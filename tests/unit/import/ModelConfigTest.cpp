// Facts of the published models come from the architecture reference (counts made by instantiating
// the reference implementation), not from the code under test.
#include "compiler/Import/ModelConfig.h"

#include "tests/unit/import/TestFiles.h"

#include <gmock/gmock.h>

using testing::ElementsAre;
using testing::HasSubstr;

namespace gcompile {
namespace {

std::string tinyText() { return readBytes(dataPath("gemma4-tiny/config.json")); }

TEST(ModelConfig, ReadsTheTinyModel) {
  ModelConfig config = valueOf(
      parseModelConfig(tinyText(), readBytes(dataPath("gemma4-tiny/generation_config.json"))));
  EXPECT_EQ(config.architecture, "Gemma4ForConditionalGeneration");
  EXPECT_EQ(config.modelType, "gemma4_text");
  EXPECT_EQ(config.dtype, "bfloat16");
  EXPECT_EQ(config.hidden, 256);
  EXPECT_EQ(config.heads, 4);
  EXPECT_EQ(config.vocabulary, 4096);
  EXPECT_EQ(config.perLayerInput, 64);
  EXPECT_EQ(config.perLayerVocabulary, 4096);
  EXPECT_EQ(config.window, 128);
  EXPECT_EQ(config.sharedLayers, 4);
  EXPECT_EQ(config.maxPositions, 2048);
  EXPECT_DOUBLE_EQ(config.rmsEpsilon, 1e-6);
  EXPECT_DOUBLE_EQ(config.logitSoftcap, 30);
  EXPECT_TRUE(config.tiedEmbedding);
  EXPECT_EQ(config.imageAttention, ImageAttention::Causal);
  EXPECT_TRUE(config.hasVision);
  EXPECT_TRUE(config.hasAudio);
  EXPECT_FALSE(config.isMoe());
  EXPECT_DOUBLE_EQ(config.slidingRope.theta, 1e4);
  EXPECT_EQ(config.slidingRope.rotatedPairs, 32); // all of 64 / 2
  EXPECT_DOUBLE_EQ(config.fullRope.theta, 1e6);
  EXPECT_EQ(config.fullRope.rotatedPairs, 16); // a quarter of 128 / 2
  EXPECT_EQ(config.bos, 2);
  EXPECT_EQ(config.pad, 0);
  EXPECT_THAT(config.eos, ElementsAre(1, 6));
  EXPECT_EQ(config.imageToken, 19);
  EXPECT_EQ(config.audioToken, 22);
  EXPECT_EQ(config.videoToken, 23);
  ASSERT_TRUE(config.generation);
  EXPECT_FALSE(config.generation->doSample);
  EXPECT_THAT(config.generation->eos, ElementsAre(1, 6));
  EXPECT_THAT(config.generation->suppressed, ElementsAre(17, 18, 19, 20, 21, 22, 23));
  ASSERT_EQ(config.layerCount(), 8);
  for (int layer = 0; layer < 8; ++layer) {
    const LayerConfig &entry = config.layers[layer];
    bool full = layer % 4 == 3;
    EXPECT_EQ(entry.type, full ? LayerType::Full : LayerType::Sliding) << layer;
    EXPECT_EQ(entry.headDim, full ? 128 : 64) << layer;
    EXPECT_EQ(entry.kvHeads, 1) << layer;
    EXPECT_EQ(entry.ownsKv, layer < 4) << layer;
    EXPECT_EQ(entry.kvDonor, layer < 4 ? layer : full ? 3 : 2) << layer;
    EXPECT_EQ(entry.intermediate, layer < 4 ? 512 : 1024) << layer;
    EXPECT_FALSE(entry.keyEqualsValue) << layer;
  }
}

struct Published {
  const char *name;
  int64_t parameters, layers, hidden, fullLayers, kvFull, sharedLayers, donorSliding, donorFull;
  int64_t maxPositions;
};

class Presets : public testing::TestWithParam<Published> {};

TEST_P(Presets, HaveThePublishedShapes) {
  const Published &published = GetParam();
  ModelConfig config = valueOf(loadPreset(published.name));
  EXPECT_EQ(countTextParameters(config), published.parameters);
  EXPECT_EQ(config.layerCount(), published.layers);
  EXPECT_EQ(config.hidden, published.hidden);
  EXPECT_EQ(config.sharedLayers, published.sharedLayers);
  EXPECT_EQ(config.maxPositions, published.maxPositions);
  EXPECT_EQ(config.fullRope.rotatedPairs, 64);
  EXPECT_EQ(config.slidingRope.rotatedPairs, 128);
  EXPECT_THAT(config.stopTokens(), ElementsAre(1, 106, 50));
  int64_t full = 0;
  for (const LayerConfig &layer : config.layers) {
    full += layer.type == LayerType::Full;
    if (layer.type == LayerType::Full)
      EXPECT_EQ(layer.kvHeads, published.kvFull);
    if (!layer.ownsKv)
      EXPECT_EQ(layer.kvDonor,
                layer.type == LayerType::Full ? published.donorFull : published.donorSliding);
  }
  EXPECT_EQ(full, published.fullLayers);
  EXPECT_EQ(config.layers.back().type, LayerType::Full);
}

INSTANTIATE_TEST_SUITE_P(
    All, Presets,
    testing::Values(Published{"gemma-4-E2B", 4'628'569'379, 35, 1536, 7, 1, 20, 13, 14, 131072},
                    Published{"gemma-4-E4B", 7'463'013'418, 42, 2560, 7, 2, 18, 22, 23, 131072},
                    Published{"gemma-4-12B", 11'907'350'320, 48, 3840, 8, 1, 0, -1, -1, 262144},
                    Published{"gemma-4-26B-A4B", 25'233'141'790, 30, 2816, 5, 2, 0, -1, -1, 262144},
                    Published{"gemma-4-31B", 30'697'345'340, 60, 5376, 10, 4, 0, -1, -1, 262144}));

TEST(ModelConfig, PresetNamesAreForgiving) {
  EXPECT_EQ(presetNames().size(), 5u);
  for (const char *name : {"E2B", "gemma-4-e2b", "google/gemma-4-E2B-it", "e2b-IT"})
    EXPECT_EQ(valueOf(loadPreset(name)).name, "gemma-4-E2B") << name;
  EXPECT_FALSE(isPresetName("E3B"));
  EXPECT_THAT(errorOf(loadPreset("E3B")), HasSubstr("gemma-4-26B-A4B"));
}

TEST(ModelConfig, PresetsMayLieElsewhere) {
  TemporaryFolder folder;
  ::setenv("GCOMPILE_PRESETS", folder.path().c_str(), 1);
  EXPECT_THAT(errorOf(loadPreset("E2B")), HasSubstr("set GCOMPILE_PRESETS"));
  folder.write("gemma-4-E2B.json", tinyText());
  EXPECT_EQ(valueOf(loadPreset("E2B")).hidden, 256);
  ::unsetenv("GCOMPILE_PRESETS");
}

// Trap (a): the same kind of model as released and as transformers re-serialises it.
TEST(ModelConfig, ReadsReserialisedPerLayerConfig) {
  ModelConfig released =
      valueOf(parseModelConfig(readBytes(dataPath("conformance/31b-dense-like/config.json"))));
  EXPECT_EQ(released.layers[5].headDim, 32);
  EXPECT_EQ(released.layers[5].kvHeads, 1);
  EXPECT_EQ(released.layers[0].kvHeads, 2);
  ModelConfig saved =
      valueOf(parseModelConfig(readBytes(dataPath("conformance-f32/dense/config.json"))));
  for (int layer : {2, 5}) {
    EXPECT_EQ(saved.layers[layer].headDim, 32);
    EXPECT_EQ(saved.layers[layer].kvHeads, 1);
    EXPECT_TRUE(saved.layers[layer].keyEqualsValue); // trap (f): full layers only
  }
  EXPECT_EQ(saved.layers[0].headDim, 16);
  EXPECT_EQ(saved.layers[0].kvHeads, 2);
  EXPECT_FALSE(saved.layers[0].keyEqualsValue);
  EXPECT_EQ(saved.imageAttention, ImageAttention::InWindow);
  EXPECT_EQ(saved.fullRope.rotatedPairs, 4);
}

TEST(ModelConfig, ReadsMixtureOfExperts) {
  ModelConfig config =
      valueOf(parseModelConfig(readBytes(dataPath("conformance-f32/moe/config.json"))));
  EXPECT_EQ(config.moe.experts, 8);
  EXPECT_EQ(config.moe.topK, 2);
  EXPECT_EQ(config.moe.intermediate, 24);
}

TEST(ModelConfig, ReadsUnifiedModelsAndTextOnlySaves) {
  ModelConfig unified =
      valueOf(parseModelConfig(readBytes(dataPath("conformance/12b-unified-like/config.json"))));
  EXPECT_EQ(unified.modelType, "gemma4_unified_text");
  EXPECT_EQ(unified.perLayerInput, 0); // trap (e): absent
  // The text part alone, as saved by a text-only model.
  std::string text = tinyText();
  size_t start = text.find('{', text.find("\"text_config\""));
  std::string inner = text.substr(start, text.find("\"vision_config\"") - start);
  inner = inner.substr(0, inner.rfind('}') + 1);
  ModelConfig alone = valueOf(parseModelConfig(inner));
  EXPECT_EQ(alone.hidden, 256);
  EXPECT_FALSE(alone.hasVision);
  EXPECT_EQ(alone.bos, 2);
  EXPECT_THAT(alone.eos, ElementsAre(1));
}

TEST(ModelConfig, AcceptsTheKnownSpellings) {
  std::string text = tinyText();
  // (b) either spelling of the audio end id alone
  EXPECT_EQ(errorOf(parseModelConfig(replaced(text, "\"eoa_token_id\": 21,", ""))), "");
  EXPECT_EQ(errorOf(parseModelConfig(replaced(text, "\"eoa_token_index\": 21,", ""))), "");
  // (c) either spelling of the same vision embedding
  EXPECT_EQ(errorOf(parseModelConfig(replaced(text, "\"axial\"", "\"default\""))), "");
  // (d) the last layer attends to everything whatever the list says
  size_t last = text.rfind("\"full_attention\"", text.find("num_kv_shared_layers"));
  std::string forced = text;
  forced.replace(last, 16, "\"sliding_attention\"");
  EXPECT_EQ(valueOf(parseModelConfig(forced)).layers.back().type, LayerType::Full);
  // (e) three ways to say that there is no per-layer input
  for (const char *none :
       {"\"hidden_size_per_layer_input\": null,", "\"hidden_size_per_layer_input\": 0,", ""})
    EXPECT_EQ(
        valueOf(parseModelConfig(replaced(text, "\"hidden_size_per_layer_input\": 64,", none)))
            .perLayerInput,
        0);
}

struct Refusal {
  const char *from, *to, *message;
};

class Refused : public testing::TestWithParam<Refusal> {};

TEST_P(Refused, WithAMessageThatNamesIt) {
  std::string text = replaced(tinyText(), GetParam().from, GetParam().to);
  EXPECT_THAT(errorOf(parseModelConfig(text)), HasSubstr(GetParam().message)) << GetParam().to;
}

INSTANTIATE_TEST_SUITE_P(
    Config, Refused,
    testing::Values(
        Refusal{"\"gemma4\"", "\"llama\"", "(model_type 'llama') is not supported; supported are"},
        Refusal{"\"gemma4\"", "\"gemma3\"", "(model_type 'gemma3') is not supported"},
        Refusal{"\"gemma4\"", "\"gemma4_assistant\"", "is a drafter"},
        Refusal{"\"gemma4_text\"", "\"gemma3_text\"", "expected 'gemma4_text'"},
        Refusal{"\"hidden_size\": 256,", "", "hidden_size is missing"},
        Refusal{"\"hidden_size\": 256,", "\"hidden_size\": 0,", "hidden_size is '0'"},
        Refusal{"\"hidden_size\": 256,", "\"hidden_size\": -1,", "hidden_size is '-1'"},
        Refusal{"\"hidden_size\": 256,", "\"hidden_size\": \"256\",", "expected an integer"},
        Refusal{"\"hidden_size\": 256,", "\"hidden_size\": 1152921504606846976,", "from 1 to"},
        Refusal{"\"hidden_size\": 256,", "\"hidden_size\": 256.5,", "expected an integer"},
        Refusal{"\"global_head_dim\": 128,", "", "global_head_dim is missing"},
        Refusal{"\"head_dim\": 64,", "\"head_dim\": 63,", "is odd"},
        Refusal{"\"num_attention_heads\": 4,", "\"num_attention_heads\": 1000000,", "from 1 to"},
        Refusal{"\"num_key_value_heads\": 1,", "\"num_key_value_heads\": 3,", "no multiple of 3"},
        Refusal{"\"num_hidden_layers\": 8,", "\"num_hidden_layers\": 9,",
                "has 8 entries, expected 9"},
        Refusal{"\"num_hidden_layers\": 8,", "\"num_hidden_layers\": 100000,", "from 1 to"},
        Refusal{"\"num_kv_shared_layers\": 4,", "\"num_kv_shared_layers\": 8,", "from 0 to 7"},
        Refusal{"\"num_kv_shared_layers\": 4,", "\"num_kv_shared_layers\": 7,",
                "there is none among"},
        Refusal{"\"sliding_attention\",", "\"chunked_attention\",",
                "'chunked_attention', supported"},
        Refusal{"\"gelu_pytorch_tanh\"", "\"silu\"", "supported is 'gelu_pytorch_tanh'"},
        Refusal{"\"attention_bias\": false", "\"attention_bias\": true", "attention_bias is true"},
        Refusal{"\"proportional\"", "\"yarn\"", "rope_type is 'yarn'"},
        Refusal{"\"partial_rotary_factor\": 0.25", "\"partial_rotary_factor\": 25", "from 0 to 1"},
        Refusal{"\"final_logit_softcapping\": 30.0", "\"final_logit_softcapping\": -1",
                "softcapping"},
        Refusal{"\"use_bidirectional_attention\": null", "\"use_bidirectional_attention\": \"all\"",
                "is 'all', supported"},
        Refusal{"\"enable_moe_block\": false", "\"enable_moe_block\": true",
                "num_experts is missing"},
        Refusal{"\"image_token_id\": 19", "\"image_token_id\": 4096", "from -1 to 4095"},
        Refusal{"\"text_config\"", "\"other_config\"", "text_config is missing"},
        Refusal{"\"attention_dropout\": 0.0,", "\"per_layer_config\": {\"8\": {}},", "below 8"},
        Refusal{"\"attention_dropout\": 0.0,", "\"per_layer_config\": {\"x\": {}},", "below 8"},
        Refusal{"\"attention_dropout\": 0.0,", "\"per_layer_config\": {\"1\": {\"window\": 4}},",
                "window is not supported"},
        Refusal{"\"attention_dropout\": 0.0,", "\"per_layer_config\": {\"1\": {\"head_dim\": 32}},",
                "supported is one per type"},
        Refusal{"\"attention_dropout\": 0.0,", "\"hidden_size\": 3,", "occurs twice"}));

TEST(ModelConfig, RefusesDamagedGenerationConfig) {
  EXPECT_THAT(errorOf(parseModelConfig(tinyText(), "{\"eos_token_id\": [1, 5000]}")),
              HasSubstr("eos_token_id contains '5000'"));
  EXPECT_THAT(errorOf(parseModelConfig(tinyText(), "{\"temperature\": \"hot\"}")),
              HasSubstr("temperature is '\"hot\"'"));
  EXPECT_NE(errorOf(parseModelConfig(tinyText(), "[]")), "");
}

// Every prefix of the file is an error, never a crash; so is every file with one byte replaced by a
// bracket or quote.
TEST(ModelConfig, SurvivesTruncationAndDamage) {
  std::string text = tinyText();
  size_t end = text.rfind('}');
  for (size_t length = 0; length <= end; length += 7)
    EXPECT_NE(errorOf(parseModelConfig(llvm::StringRef(text).take_front(length))), "") << length;
  for (size_t position = 0; position < text.size(); position += 3)
    for (char replacement : {'{', ']', '"', '9'}) {
      std::string damaged = text;
      damaged[position] = replacement;
      llvm::consumeError(parseModelConfig(damaged).takeError());
    }
}

} // namespace
} // namespace gcompile
