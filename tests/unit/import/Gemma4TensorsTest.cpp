#include "compiler/Import/Gemma4Tensors.h"

#include "compiler/Import/ModelConfig.h"
#include "tests/unit/import/TestFiles.h"

#include <gmock/gmock.h>

#include <functional>

using testing::HasSubstr;

namespace gcompile {
namespace {

// A checkpoint that has names and shapes only, so that tests can spoil them.
class ShapesOnly : public Checkpoint {
public:
  llvm::Error read(const TensorInfo &, uint64_t, llvm::MutableArrayRef<uint8_t>) const override {
    return llvm::Error::success();
  }
  void add(TensorInfo tensor) { llvm::cantFail(addTensor(std::move(tensor))); }
  ShapesOnly() { fileNames.push_back("shapes"); }
};

ModelConfig configOf(const std::string &model) {
  return valueOf(parseModelConfig(readBytes(dataPath(model + "/config.json"))));
}

class Conformance : public testing::TestWithParam<const char *> {};

TEST_P(Conformance, ResolvesEveryTensor) {
  ModelConfig config = configOf(GetParam());
  auto checkpoint = valueOf(openSafetensors(dataPath(GetParam())));
  TextTensors tensors = valueOf(resolveTextTensors(*checkpoint, config));
  EXPECT_TRUE(tensors.notes.empty()) << tensors.notes.front();
  // Some saves keep the dead keys and values of sharing layers.
  for (const TensorInfo *tensor : tensors.ignored)
    EXPECT_THAT(tensor->name, testing::ContainsRegex("self_attn\\.[kv]_(proj|norm)\\.weight$"));
  size_t found = 0;
  for (const TensorSpec &spec : expectedTextTensors(config)) {
    const TensorInfo *tensor = tensors.find(spec.role, spec.layer);
    ASSERT_TRUE(tensor) << spec.name;
    EXPECT_TRUE(llvm::StringRef(tensor->name).ends_with(spec.name));
    ++found;
  }
  // Nothing is left over: every tensor of the file is text, tower or dead.
  EXPECT_EQ(found + tensors.towers.size() + tensors.ignored.size(), checkpoint->tensors().size());
}

INSTANTIATE_TEST_SUITE_P(All, Conformance,
                         testing::Values("gemma4-tiny", "conformance/e2b-like",
                                         "conformance/e4b-like", "conformance/12b-unified-like",
                                         "conformance/26b-a4b-moe-like",
                                         "conformance/31b-dense-like", "conformance-f32/E",
                                         "conformance-f32/dense", "conformance-f32/moe",
                                         "conformance-f32/unified"));

TEST(Gemma4Tensors, LayersHaveWhatTheyShould) {
  ModelConfig config = configOf("gemma4-tiny");
  auto checkpoint = valueOf(openSafetensors(dataPath("gemma4-tiny")));
  TextTensors tensors = valueOf(resolveTextTensors(*checkpoint, config));
  for (int layer = 0; layer < 8; ++layer) {
    EXPECT_EQ(tensors.find(TensorRole::Key, layer) != nullptr, layer < 4);
    EXPECT_EQ(tensors.find(TensorRole::Value, layer) != nullptr, layer < 4);
    EXPECT_EQ(tensors.find(TensorRole::KeyNorm, layer) != nullptr, layer < 4);
    EXPECT_EQ(shapeString(tensors.find(TensorRole::Gate, layer)->shape),
              layer < 4 ? "512x256" : "1024x256");
  }
  EXPECT_EQ(tensors.find(TensorRole::RouterScale, 0), nullptr);
  EXPECT_EQ(tensors.find(TensorRole::Query, 8), nullptr);
  EXPECT_EQ(tensors.find(TensorRole::PerLayerTable)->columns(), 512);
  ModelConfig dense = configOf("conformance-f32/dense");
  auto denseCheckpoint = valueOf(openSafetensors(dataPath("conformance-f32/dense")));
  TextTensors denseTensors = valueOf(resolveTextTensors(*denseCheckpoint, dense));
  EXPECT_EQ(denseTensors.find(TensorRole::Value, 2), nullptr); // full layer, v = k
  EXPECT_NE(denseTensors.find(TensorRole::Value, 1), nullptr);
}

TEST(Gemma4Tensors, CanonicalNames) {
  EXPECT_EQ(canonicalTensorName(TensorRole::Query, 3), "layers.3.self_attn.q_proj.weight");
  EXPECT_EQ(canonicalTensorName(TensorRole::Embedding), "embed_tokens.weight");
  EXPECT_EQ(canonicalTensorName(TensorRole::LayerScalar, 0), "layers.0.layer_scalar");
  EXPECT_EQ(roleName(TensorRole::PerLayerTable), "per_layer_table");
}

// Builds a checkpoint of `config` with `change` applied to each tensor (drop it by clearing its
// name), then resolves.
std::string resolveChanged(const ModelConfig &config, const char *prefix,
                           const std::function<void(TensorInfo &)> &change,
                           const std::vector<TensorInfo> &extra = {}) {
  ShapesOnly checkpoint;
  for (const TensorSpec &spec : expectedTextTensors(config)) {
    TensorInfo tensor;
    tensor.name = prefix + spec.name;
    tensor.type = TensorType::BF16;
    tensor.shape = spec.shape;
    change(tensor);
    if (!tensor.name.empty())
      checkpoint.add(tensor);
  }
  for (const TensorInfo &tensor : extra)
    checkpoint.add(tensor);
  return errorOf(resolveTextTensors(checkpoint, config));
}

TensorInfo tensor(const char *name, llvm::ArrayRef<int64_t> shape) {
  TensorInfo info;
  info.name = name;
  info.type = TensorType::BF16;
  info.shape.assign(shape.begin(), shape.end());
  return info;
}

TEST(Gemma4Tensors, AcceptsEveryPrefixOfTheText) {
  ModelConfig config = configOf("gemma4-tiny");
  for (const char *prefix :
       {"model.language_model.", "model.", "language_model.model.", "language_model.", ""})
    EXPECT_EQ(resolveChanged(config, prefix, [](TensorInfo &) {}), "") << prefix;
}

TEST(Gemma4Tensors, EveryMissingTensorIsNamed) {
  ModelConfig config = configOf("gemma4-tiny");
  for (const TensorSpec &spec : expectedTextTensors(config))
    EXPECT_THAT(resolveChanged(config, "",
                               [&](TensorInfo &info) {
                                 if (info.name == spec.name)
                                   info.name.clear();
                               }),
                HasSubstr("weight '" + spec.name + "' of shape " + shapeString(spec.shape) +
                          " is missing"));
}

TEST(Gemma4Tensors, EveryWrongShapeIsNamed) {
  ModelConfig config = configOf("gemma4-tiny");
  for (const TensorSpec &spec : expectedTextTensors(config)) {
    llvm::SmallVector<int64_t, 4> wrong = spec.shape;
    --wrong.back();
    EXPECT_EQ(resolveChanged(config, "model.",
                             [&](TensorInfo &info) {
                               if (info.name == "model." + spec.name)
                                 info.shape = wrong;
                             }),
              "weight 'model." + spec.name + "' has shape " + shapeString(wrong) + ", expected " +
                  shapeString(spec.shape));
  }
}

TEST(Gemma4Tensors, RefusesOtherTypesCollisionsAndStrangers) {
  ModelConfig config = configOf("gemma4-tiny");
  auto nothing = [](TensorInfo &) {};
  EXPECT_THAT(resolveChanged(config, "",
                             [](TensorInfo &info) {
                               if (info.name == "norm.weight")
                                 info.type = TensorType::I8;
                             }),
              HasSubstr("'norm.weight' has type I8"));
  EXPECT_THAT(resolveChanged(config, "", nothing, {tensor("model.norm.weight", {256})}),
              HasSubstr("under two names"));
  EXPECT_THAT(
      resolveChanged(config, "", nothing, {tensor("layers.8.self_attn.q_proj.weight", {256, 256})}),
      HasSubstr("not part of the model"));
}

TEST(Gemma4Tensors, IgnoresDeadWeights) {
  ModelConfig config = configOf("gemma4-tiny");
  EXPECT_EQ(resolveChanged(config, "", [](TensorInfo &) {},
                           {tensor("layers.5.self_attn.k_proj.weight", {64, 256}),
                            tensor("layers.5.self_attn.v_proj.weight", {64, 256}),
                            tensor("layers.5.self_attn.k_norm.weight", {64}),
                            tensor("layers.0.self_attn.v_norm.weight", {64}),
                            tensor("layers.0.self_attn.rotary_emb.inv_freq", {32}),
                            tensor("lm_head.weight", {4096, 256}),
                            tensor("model.vision_tower.std_bias", {1})}),
            "");
}

// tie_word_embeddings false: fine while the two are the same bytes, refused when they differ or one
// is missing.
TEST(Gemma4Tensors, AnUntiedHeadHasToEqualTheEmbedding) {
  ModelConfig config = configOf("conformance/e2b-like");
  config.tiedEmbedding = false;
  auto original = valueOf(openSafetensors(dataPath("conformance/e2b-like")));
  EXPECT_THAT(errorOf(resolveTextTensors(*original, config)), HasSubstr("no lm_head.weight"));

  std::string bytes = readBytes(dataPath("conformance/e2b-like/model.safetensors"));
  uint64_t headerBytes = 0;
  std::memcpy(&headerBytes, bytes.data(), 8);
  std::string header = bytes.substr(8, headerBytes), data = bytes.substr(8 + headerBytes);
  const TensorInfo *embedding = original->find("model.language_model.embed_tokens.weight");
  ASSERT_TRUE(embedding);
  std::string head = bytes.substr(embedding->offset, embedding->bytes);
  header = replaced(header, "{",
                    R"({"lm_head.weight":{"dtype":"BF16","shape":[320,64],"data_offsets":[)" +
                        std::to_string(data.size()) + "," +
                        std::to_string(data.size() + head.size()) + "]},");
  TemporaryFolder folder;
  auto same =
      valueOf(openSafetensors(folder.write("1.safetensors", safetensors(header, data + head))));
  EXPECT_THAT(valueOf(resolveTextTensors(*same, config)).notes,
              testing::ElementsAre(HasSubstr("taken as tied")));
  head.back() ^= 1;
  auto other =
      valueOf(openSafetensors(folder.write("2.safetensors", safetensors(header, data + head))));
  EXPECT_THAT(errorOf(resolveTextTensors(*other, config)), HasSubstr("differs from the embedding"));
}

} // namespace
} // namespace gcompile
