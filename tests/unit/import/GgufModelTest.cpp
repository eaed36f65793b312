// From GGUF files to models: every member of the family written as GGUF and read back as the
// safetensors original, fixtures of the format's own tools (tests/scripts/make_gguf.py), and what
// is refused.
#include "compiler/Import/Gguf/GgufModel.h"
#include "compiler/Import/Gguf/GgufNames.h"
#include "compiler/Import/ImportModel.h"

#include "ir/Format/FloatConvert.h"
#include "tests/unit/import/GgufFiles.h"
#include "tests/unit/import/TestFiles.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/CRC.h"
#include "llvm/Support/JSON.h"

#include <gmock/gmock.h>

#include <filesystem>

using testing::Contains;
using testing::HasSubstr;

namespace gcompile {
namespace {

constexpr uint32_t f32 = 0, q4_0 = 2, q8_0 = 8, nvfp4 = 40;

struct WriteOptions {
  bool splitExperts = false; // older files: gates and ups apart
  bool withoutScalars = false;
  bool fuseQueries = false; // with keys and values, in layers that have both
};

// The keys that llama.cpp's converter writes.
void writeKeys(GgufWriter &writer, const ModelConfig &config) {
  auto key = [](const char *name) { return std::string("gemma4.") + name; };
  std::vector<int32_t> widths, kvHeads, sliding;
  for (const LayerConfig &layer : config.layers) {
    widths.push_back(int32_t(layer.intermediate));
    kvHeads.push_back(int32_t(layer.kvHeads));
    sliding.push_back(layer.type == LayerType::Sliding);
  }
  auto scalarOrArray = [&](const char *name, const std::vector<int32_t> &values) {
    if (llvm::all_equal(values))
      writer.number(key(name), uint32_t(values[0]));
    else
      writer.integers(key(name), values);
  };
  writer.text("general.architecture", "gemma4");
  writer.number(key("block_count"), uint32_t(config.layerCount()));
  writer.number(key("context_length"), uint32_t(config.maxPositions));
  writer.number(key("embedding_length"), uint32_t(config.hidden));
  scalarOrArray("feed_forward_length", widths);
  writer.number(key("attention.head_count"), uint32_t(config.heads));
  scalarOrArray("attention.head_count_kv", kvHeads);
  auto headDim = [&](LayerType type) -> uint32_t {
    for (const LayerConfig &layer : config.layers)
      if (layer.type == type)
        return uint32_t(layer.headDim);
    return 0;
  };
  for (const char *name :
       {"attention.key_length", "attention.value_length", "rope.dimension_count"}) {
    writer.number(key(name), headDim(LayerType::Full));
    writer.number(key(name) + "_swa", headDim(LayerType::Sliding));
  }
  writer.number(key("attention.sliding_window"), uint32_t(config.window));
  writer.integers(key("attention.sliding_window_pattern"), sliding, GgufWriter::boolean);
  writer.number(key("attention.shared_kv_layers"), uint32_t(config.sharedLayers));
  writer.number(key("embedding_length_per_layer_input"), uint32_t(config.perLayerInput));
  writer.real(key("attention.layer_norm_rms_epsilon"), float(config.rmsEpsilon));
  writer.real(key("final_logit_softcapping"), float(config.logitSoftcap));
  writer.real(key("rope.freq_base"), float(config.fullRope.theta));
  writer.real(key("rope.freq_base_swa"), float(config.slidingRope.theta));
  if (config.isMoe()) {
    writer.number(key("expert_count"), uint32_t(config.moe.experts));
    writer.number(key("expert_used_count"), uint32_t(config.moe.topK));
    writer.number(key("expert_feed_forward_length"), uint32_t(config.moe.intermediate));
  }
  std::vector<float> divisors(headDim(LayerType::Full) / 2, 1e30f);
  std::fill_n(divisors.begin(), config.fullRope.rotatedPairs, 1.0f);
  writer.tensor("rope_freqs.weight", {int64_t(divisors.size())}, f32, floatBytes(divisors));
}

void writeTensors(GgufWriter &writer, const ImportedModel &model,
                  const WriteOptions &options = {}) {
  for (const TensorSpec &spec : expectedTextTensors(model.config)) {
    std::string name = ggufNameOfLogical(spec.name).value_or("");
    ASSERT_NE(name, "") << spec.name;
    if (options.withoutScalars && spec.role == TensorRole::LayerScalar)
      continue;
    std::vector<float> values =
        valueOf(model.checkpoint->readAllAsFloat(*model.tensors->find(spec.role, spec.layer)));
    std::vector<int64_t> extents(spec.shape.rbegin(), spec.shape.rend());
    const TensorInfo *value =
        spec.layer < 0 ? nullptr : model.tensors->find(TensorRole::Value, spec.layer);
    if (options.fuseQueries && value) {
      if (spec.role == TensorRole::Key || spec.role == TensorRole::Value)
        continue;
      if (spec.role == TensorRole::Query) {
        for (TensorRole role : {TensorRole::Key, TensorRole::Value})
          llvm::append_range(values, valueOf(model.checkpoint->readAllAsFloat(
                                         *model.tensors->find(role, spec.layer))));
        extents[1] = int64_t(values.size()) / extents[0];
        name = replaced(name, "attn_q", "attn_qkv");
      }
    }
    if (!options.splitExperts || spec.role != TensorRole::ExpertsGateUp) {
      writer.tensor(name, extents, f32, floatBytes(values));
      continue;
    }
    extents[1] /= 2;
    size_t half = size_t(extents[0] * extents[1]);
    std::vector<float> parts[2];
    for (size_t i = 0; i < values.size(); ++i)
      parts[i / half % 2].push_back(values[i]);
    for (int part : {0, 1})
      writer.tensor(replaced(name, "gate_up", part ? "up" : "gate"), extents, f32,
                    floatBytes(parts[part]));
  }
}

void expectSameConfig(const ModelConfig &a, const ModelConfig &b) {
  EXPECT_EQ(a.hidden, b.hidden);
  EXPECT_EQ(a.heads, b.heads);
  EXPECT_EQ(a.vocabulary, b.vocabulary);
  EXPECT_EQ(a.perLayerInput, b.perLayerInput);
  EXPECT_EQ(a.perLayerVocabulary, b.perLayerVocabulary);
  EXPECT_EQ(a.window, b.window);
  EXPECT_EQ(a.sharedLayers, b.sharedLayers);
  EXPECT_EQ(a.rmsEpsilon, b.rmsEpsilon);
  EXPECT_EQ(a.logitSoftcap, b.logitSoftcap);
  EXPECT_EQ(a.maxPositions, b.maxPositions);
  for (LayerType type : {LayerType::Sliding, LayerType::Full}) {
    EXPECT_EQ(a.rope(type).theta, b.rope(type).theta);
    EXPECT_EQ(a.rope(type).rotatedPairs, b.rope(type).rotatedPairs);
  }
  EXPECT_EQ(a.moe.experts, b.moe.experts);
  EXPECT_EQ(a.moe.topK, b.moe.topK);
  EXPECT_EQ(a.moe.intermediate, b.moe.intermediate);
  ASSERT_EQ(a.layerCount(), b.layerCount());
  for (int64_t i = 0; i < a.layerCount(); ++i) {
    const LayerConfig &x = a.layers[i], &y = b.layers[i];
    EXPECT_EQ(x.type, y.type) << i;
    EXPECT_EQ(x.headDim, y.headDim) << i;
    EXPECT_EQ(x.kvHeads, y.kvHeads) << i;
    EXPECT_EQ(x.intermediate, y.intermediate) << i;
    EXPECT_EQ(x.ownsKv, y.ownsKv) << i;
    EXPECT_EQ(x.kvDonor, y.kvDonor) << i;
    EXPECT_EQ(x.keyEqualsValue && x.ownsKv, y.keyEqualsValue && y.ownsKv) << i;
  }
}

void expectSameTensors(const ImportedModel &a, const ImportedModel &b) {
  for (const TensorSpec &spec : expectedTextTensors(a.config)) {
    const TensorInfo *x = a.tensors->find(spec.role, spec.layer),
                     *y = b.tensors->find(spec.role, spec.layer);
    ASSERT_TRUE(x && y) << spec.name;
    EXPECT_EQ(valueOf(a.checkpoint->readAllAsFloat(*x)), valueOf(b.checkpoint->readAllAsFloat(*y)))
        << spec.name;
  }
}

class GgufFamily : public testing::TestWithParam<const char *> {};

TEST_P(GgufFamily, IsReadBackAsTheOriginal) {
  ImportedModel original = valueOf(importModel(dataPath(std::string("conformance/") + GetParam())));
  TemporaryFolder folder;
  for (bool splitExperts : {false, true}) {
    GgufWriter writer;
    writeKeys(writer, original.config);
    writeTensors(writer, original, {splitExperts, false});
    // Detected by content.
    ImportedModel read = valueOf(importModel(folder.write("model.bin", writer.file())));
    ASSERT_TRUE(read.tensors);
    expectSameConfig(read.config, original.config);
    expectSameTensors(read, original);
    EXPECT_FALSE(read.tokenizer);
    if (!original.config.isMoe())
      break;
  }
}

INSTANTIATE_TEST_SUITE_P(Sizes, GgufFamily,
                         testing::Values("e2b-like", "e4b-like", "12b-unified-like",
                                         "26b-a4b-moe-like", "31b-dense-like"));

// The published sizes by their keys: shapes alone.
TEST(GgufModel, PublishedSizesFromTheirKeys) {
  for (const std::string &name : presetNames()) {
    ModelConfig preset = valueOf(loadPreset(name));
    GgufWriter writer;
    writeKeys(writer, preset);
    std::string bytes = writer.file();
    auto read = [&](uint64_t offset, llvm::MutableArrayRef<uint8_t> out) {
      std::memcpy(out.data(), bytes.data() + offset, out.size());
      return llvm::Error::success();
    };
    GgufHeader header = valueOf(parseGgufHeader({bytes.size(), read}, "x"));
    std::vector<float> divisors(256, 1e30f);
    std::fill_n(divisors.begin(), 64, 1.0f);
    GgufFacts facts{preset.vocabulary, preset.perLayerVocabulary, divisors, {}};
    auto has = [&](llvm::StringRef tensor) {
      int64_t layer = 0;
      return tensor.consume_front("blk.") && !tensor.consumeInteger(10, layer) &&
             tensor == ".attn_v.weight" && !preset.layers[layer].keyEqualsValue;
    };
    facts.has = has;
    expectSameConfig(valueOf(ggufModelConfig(header, facts, "x")), preset);
  }
}

uint32_t crcOf(std::vector<float> values) {
  for (float &value : values)
    value += 0.0f;
  return llvm::crc32({reinterpret_cast<const uint8_t *>(values.data()), values.size() * 4});
}

llvm::json::Value expected() {
  auto value = llvm::json::parse(readBytes(dataPath("gguf/expected.json")));
  if (value)
    return std::move(*value);
  ADD_FAILURE() << llvm::toString(value.takeError());
  return nullptr;
}

// Files written by gguf-py and libggml: every value as their own decoders give it.
TEST(GgufFixtures, BlocksDecodeAsTheirLibraries) {
  llvm::json::Value facts = expected();
  GgufFile file = valueOf(openGguf(dataPath("gguf/blocks.gguf")));
  const llvm::json::Object &blocks = *facts.getAsObject()->getObject("blocks");
  EXPECT_EQ(blocks.size(), 20u);
  for (const auto &[name, fact] : blocks) {
    const TensorInfo *tensor = file.checkpoint->find(llvm::StringRef(name));
    ASSERT_TRUE(tensor) << llvm::StringRef(name).str();
    EXPECT_EQ(tensor->typeText(), llvm::StringRef(name));
    EXPECT_EQ(llvm::utohexstr(crcOf(valueOf(file.checkpoint->readAllAsFloat(*tensor))), true, 8),
              fact.getAsObject()->getString("crc")->str())
        << llvm::StringRef(name).str();
    // Second row alone.
    std::vector<float> all = valueOf(file.checkpoint->readAllAsFloat(*tensor)), row(512);
    EXPECT_EQ(errorOf(file.checkpoint->readRowsAsFloat(*tensor, 1, 1, row)), "");
    EXPECT_EQ(row, std::vector<float>(all.begin() + 512, all.end()));
    EXPECT_NE(errorOf(file.checkpoint->readRowsAsFloat(*tensor, 2, 1, row)), "");
  }
}

TEST(GgufFixtures, MicroModelIsWhole) {
  llvm::json::Value facts = expected();
  ImportedModel model = valueOf(importModel(dataPath("gguf/micro.gguf")));
  ASSERT_TRUE(model.tensors && model.tokenizer);
  EXPECT_TRUE(model.notes.empty()) << model.notes.front();
  EXPECT_EQ(model.name, "micro");
  EXPECT_EQ(model.turns.present, 1u);
  size_t checked = 0;
  for (const auto &[name, fact] : *facts.getAsObject()->getObject("micro")) {
    const TensorInfo *tensor = model.checkpoint->find(*logicalNameOfGguf(llvm::StringRef(name)));
    ASSERT_TRUE(tensor) << llvm::StringRef(name).str();
    EXPECT_EQ(tensor->typeText(), *fact.getAsObject()->getString("type"));
    EXPECT_EQ(llvm::utohexstr(crcOf(valueOf(model.checkpoint->readAllAsFloat(*tensor))), true, 8),
              fact.getAsObject()->getString("crc")->str())
        << llvm::StringRef(name).str();
    ++checked;
  }
  EXPECT_EQ(checked, model.checkpoint->tensors().size());
  EXPECT_EQ(model.config.rmsEpsilon, 1e-6);
  EXPECT_EQ(model.config.fullRope.rotatedPairs, 16);
  EXPECT_THAT(model.config.eos, testing::ElementsAre(1, 5, 6)); // <eos>, <turn|>, <|tool_response>
  EXPECT_EQ(model.config.bos, 2);
  const TokenizerData &tokenizer = *model.tokenizer;
  EXPECT_EQ(tokenizer.pieces.size(), 275u);
  EXPECT_EQ(tokenizer.merges.size(), 3u);
  EXPECT_EQ(tokenizer.pieces[tokenizer.merged[2]], "\xe2\x96\x81the");
  EXPECT_EQ(tokenizer.unknown, 3);
  EXPECT_EQ(tokenizer.byteTokens[0x41], 9 + 0x41);
  ASSERT_EQ(tokenizer.added.size(), 9u);
  EXPECT_TRUE(
      tokenizer.added[7].special); // <|channel>: printed by llama.cpp, special in tokenizer.json
}

// docs/decisions/0009: the values of the grid are the values of the tensor.
TEST(GgufFixtures, KeptGridsDecodeToTheSameValues) {
  ImportedModel model = valueOf(importModel(dataPath("gguf/micro.gguf")));
  std::map<std::string, int> kept;
  for (const TensorInfo &tensor : model.checkpoint->tensors()) {
    std::optional<WeightFormat> format = model.checkpoint->nativeFormat(tensor);
    if (!format)
      continue;
    ++kept[tensor.encoding + " as " + std::string(name(*format))];
    GridRows grid;
    int64_t first = 5, count = tensor.rows() - 7;
    ASSERT_EQ(errorOf(model.checkpoint->readRowsOnGrid(tensor, first, count, grid)), "");
    EXPECT_EQ(gridError(grid), "") << tensor.name;
    std::vector<float> values(count * tensor.columns()), decoded(values.size());
    ASSERT_EQ(errorOf(model.checkpoint->readRowsAsFloat(tensor, first, count, values)), "");
    for (int64_t row = 0; row < count; ++row)
      decodeGridRow(grid, row, decoded.data() + row * tensor.columns());
    EXPECT_EQ(values, decoded) << tensor.name;
    EXPECT_NE(errorOf(model.checkpoint->readRowsOnGrid(tensor, tensor.rows(), 1, grid)), "");
  }
  EXPECT_GE(kept["Q4_0 as w4g32"], 3);
  EXPECT_GE(kept["Q8_0 as w8g32"], 3);
  EXPECT_GE(kept["Q4_K as q4_k"], 3);
  EXPECT_GE(kept["Q6_K as q6_k"], 3);
  const TensorInfo &norm = *model.tensors->find(TensorRole::FinalNorm);
  GridRows grid;
  EXPECT_NE(errorOf(model.checkpoint->readRowsOnGrid(norm, 0, 1, grid)), "");
}

// ---- what is unusual in a file

ImportedModel e2b() { return valueOf(importModel(dataPath("conformance/e2b-like"))); }

TEST(GgufModel, MissingLayerScalarsAreOne) {
  ImportedModel original = e2b();
  GgufWriter writer;
  writeKeys(writer, original.config);
  writeTensors(writer, original, {false, true});
  TemporaryFolder folder;
  ImportedModel model = valueOf(importModel(folder.write("x.gguf", writer.file())));
  EXPECT_THAT(
      valueOf(model.checkpoint->readAllAsFloat(*model.tensors->find(TensorRole::LayerScalar, 0))),
      testing::ElementsAre(1.0f));
}

TEST(GgufModel, DeadKeysAreIgnoredAndUnknownTensorsOfLayersRefused) {
  ImportedModel original = e2b();
  int64_t last = original.config.layerCount() - 1;
  std::string name = "blk." + std::to_string(last);
  GgufWriter writer;
  writeKeys(writer, original.config);
  writeTensors(writer, original);
  writer.tensor(name + ".attn_k.weight", {64, 32}, f32, std::string(64 * 32 * 4, '\0'));
  GgufWriter unknown = writer;
  TemporaryFolder folder;
  ImportedModel model = valueOf(importModel(folder.write("x.gguf", writer.file())));
  EXPECT_EQ(model.tensors->ignored.size(), 1u);
  unknown.tensor(name + ".attn_x.weight", {1}, f32, floatBytes({1}));
  EXPECT_THAT(errorOf(importModel(folder.write("y.gguf", unknown.file()))),
              HasSubstr("attn_x.weight"));
}

TEST(GgufModel, FusedQueriesKeysAndValuesAreSplit) {
  ImportedModel original = e2b();
  GgufWriter writer;
  writeKeys(writer, original.config);
  WriteOptions options;
  options.fuseQueries = true;
  writeTensors(writer, original, options);
  TemporaryFolder folder;
  ImportedModel model = valueOf(importModel(folder.write("x.gguf", writer.file())));
  ASSERT_TRUE(model.checkpoint && model.tensors);
  expectSameConfig(model.config, original.config);
  for (const TensorSpec &spec : expectedTextTensors(original.config))
    EXPECT_EQ(
        valueOf(model.checkpoint->readAllAsFloat(*model.tensors->find(spec.role, spec.layer))),
        valueOf(
            original.checkpoint->readAllAsFloat(*original.tensors->find(spec.role, spec.layer))))
        << spec.name;
  auto refused = [&](const std::string &name, std::vector<int64_t> extents) {
    GgufWriter other = writer;
    int64_t values = 1;
    for (int64_t extent : extents)
      values *= extent;
    other.tensor(name, extents, f32, std::string(size_t(values) * 4, '\0'));
    return errorOf(importModel(folder.write("y.gguf", other.file())));
  };
  EXPECT_THAT(refused("blk.0.attn_k.weight", {4, 4}), HasSubstr("are the same weight"));
  EXPECT_THAT(refused("blk.0.attn_qkv.scale", {1}), HasSubstr("further scale"));
  EXPECT_THAT(refused("blk.77.attn_qkv.weight", {4, 4}), HasSubstr("do not split"));
  EXPECT_THAT(refused("blk.77.attn_qkv.weight", {1}), HasSubstr("do not split"));
}

TEST(GgufModel, OutputThatEqualsTheEmbeddingIsTied) {
  ImportedModel original = e2b();
  GgufWriter writer;
  writeKeys(writer, original.config);
  writeTensors(writer, original);
  std::vector<float> table =
      valueOf(original.checkpoint->readAllAsFloat(*original.tensors->find(TensorRole::Embedding)));
  std::vector<int64_t> extents = {original.config.hidden, original.config.vocabulary};
  GgufWriter other = writer;
  writer.tensor("output.weight", extents, f32, floatBytes(table));
  TemporaryFolder folder;
  EXPECT_THAT(valueOf(importModel(folder.write("x.gguf", writer.file()))).notes,
              Contains(HasSubstr("tied")));
  table[5] += 1;
  other.tensor("output.weight", extents, f32, floatBytes(table));
  EXPECT_THAT(errorOf(importModel(folder.write("y.gguf", other.file()))),
              HasSubstr("tied embeddings"));
}

TEST(GgufModel, OtherKindsOfFilesAreNamed) {
  TemporaryFolder folder;
  auto refusal = [&](const char *key, const char *value) {
    GgufWriter writer;
    writer.text(key, value);
    return errorOf(importModel(folder.write("x.gguf", writer.file())));
  };
  EXPECT_THAT(refusal("general.architecture", "clip"), HasSubstr("mmproj"));
  EXPECT_THAT(refusal("general.architecture", "gemma4-assistant"), HasSubstr("drafter"));
  EXPECT_THAT(refusal("general.architecture", "llama"),
              HasSubstr("architecture 'llama', supported is 'gemma4'"));
  EXPECT_THAT(refusal("general.type", "imatrix"), HasSubstr("--imatrix"));
  EXPECT_THAT(errorOf(importModel(dataPath("gguf/imatrix.gguf"))), HasSubstr("--imatrix"));
}

TEST(GgufModel, KeysAreChecked) {
  ImportedModel original = e2b();
  TemporaryFolder folder;
  GgufWriter good;
  writeKeys(good, original.config);
  writeTensors(good, original);
  std::string bytes = good.file();
  ASSERT_EQ(errorOf(importModel(folder.write("x.gguf", bytes))), "");
  // A key under another name is missing.
  for (const char *key :
       {"gemma4.block_count", "gemma4.embedding_length", "gemma4.context_length",
        "gemma4.attention.head_count", "gemma4.attention.sliding_window_pattern",
        "gemma4.rope.freq_base", "gemma4.attention.layer_norm_rms_epsilon", "rope_freqs.weight"}) {
    std::string other = key;
    other.back() = '?';
    EXPECT_THAT(errorOf(importModel(folder.write("x.gguf", replaced(bytes, key, other)))),
                HasSubstr(key))
        << key;
  }
  std::string value = ggufString("gemma4.embedding_length") + rawBytes(int32_t{4});
  for (uint32_t number : {0u, 1u << 31})
    EXPECT_THAT(errorOf(importModel(folder.write(
                    "x.gguf", replaced(bytes, value + rawBytes(uint32_t(original.config.hidden)),
                                       value + rawBytes(number))))),
                HasSubstr("embedding_length is not a whole number"));
  EXPECT_THAT(errorOf(importModel(folder.write(
                  "x.gguf", replaced(bytes, value + rawBytes(uint32_t(original.config.hidden)),
                                     value + rawBytes(uint32_t(original.config.hidden + 2)))))),
              HasSubstr("has shape"));
  EXPECT_THAT(errorOf(importModel(folder.write(
                  "x.gguf", replaced(bytes, floatBytes({1, 1e30f}), floatBytes({1, 2}))))),
              HasSubstr("'rope_freqs.weight'"));
}

// ---- weights with scales of their own, and bad ones

std::string blocksOf(uint32_t type, size_t count, uint8_t fill = 0x38) {
  return std::string(count * findGgufType(type)->blockBytes, char(fill));
}

TEST(GgufCheckpoint, ScalesBesideWeightsAreApplied) {
  GgufWriter writer;
  writer.tensor("blk.0.attn_q.weight", {64, 2}, nvfp4, blocksOf(nvfp4, 2));
  writer.tensor("blk.0.attn_q.scale", {1}, f32, floatBytes({0.5f}));
  writer.tensor("blk.0.attn_q.input_scale", {1}, f32, floatBytes({3}));
  writer.tensor("blk.0.ffn_gate_up_exps.weight", {64, 2, 3}, nvfp4, blocksOf(nvfp4, 6));
  writer.tensor("blk.0.ffn_gate_up_exps.scale", {3}, f32, floatBytes({1, 2, -4}));
  TemporaryFolder folder;
  GgufFile file = valueOf(openGguf(folder.write("x.gguf", writer.file())));
  EXPECT_EQ(file.checkpoint->tensors().size(), 3u); // and the layer's scalar
  // Every scale is 0x38 = 1, every byte of codes 0x38: 8 is -0, 3 is 1.5.
  const TensorInfo *query = file.checkpoint->find("layers.0.self_attn.q_proj.weight");
  std::vector<float> values = valueOf(file.checkpoint->readAllAsFloat(*query));
  EXPECT_EQ(values[8], 0.75f);
  EXPECT_EQ(file.checkpoint->nativeFormat(*query), std::nullopt);
  const TensorInfo *experts = file.checkpoint->find("layers.0.experts.gate_up_proj");
  values = valueOf(file.checkpoint->readAllAsFloat(*experts));
  EXPECT_EQ(values[8], 1.5f);
  EXPECT_EQ(values[128 + 8], 3.0f);
  EXPECT_EQ(values[2 * 128 + 8], -6.0f);
  std::vector<float> last(128);
  EXPECT_EQ(errorOf(file.checkpoint->readRowsAsFloat(*experts, 2, 1, last)), "");
  EXPECT_EQ(last[8], -6.0f);
  // The scale is part of what the tensor holds.
  std::string before = valueOf(file.checkpoint->contentHash(*query));
  std::string bytes = replaced(writer.file(), floatBytes({0.5f}), floatBytes({0.25f}));
  GgufFile changed = valueOf(openGguf(folder.write("y.gguf", bytes)));
  EXPECT_NE(valueOf(changed.checkpoint->contentHash(
                *changed.checkpoint->find("layers.0.self_attn.q_proj.weight"))),
            before);
  for (float bad :
       {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()})
    EXPECT_THAT(errorOf(openGguf(folder.write(
                    "z.gguf", replaced(writer.file(), floatBytes({0.5f}), floatBytes({bad}))))),
                HasSubstr("blk.0.attn_q.scale"));
}

TEST(GgufCheckpoint, BadScalesNameTensorRowAndColumn) {
  std::string blocks = blocksOf(q4_0, 12); // 3 rows of 4 blocks
  blocks.replace(6 * 18, 2, rawBytes(uint16_t{0x7c00}));
  GgufWriter writer;
  writer.tensor("blk.0.attn_q.weight", {128, 3}, q4_0, blocks);
  TemporaryFolder folder;
  GgufFile file = valueOf(openGguf(folder.write("x.gguf", writer.file())));
  const TensorInfo &tensor = *file.checkpoint->find("layers.0.self_attn.q_proj.weight");
  std::string wanted = "('blk.0.attn_q.weight', Q4_0) has a scale that is no finite number in the "
                       "block at row 1, column 64";
  EXPECT_THAT(errorOf(file.checkpoint->readAllAsFloat(tensor)), HasSubstr(wanted));
  GridRows grid;
  EXPECT_THAT(errorOf(file.checkpoint->readRowsOnGrid(tensor, 1, 2, grid)), HasSubstr(wanted));
  std::vector<float> row(128);
  EXPECT_EQ(errorOf(file.checkpoint->readRowsAsFloat(tensor, 2, 1, row)), "");
}

// A code of -128, which quantizers do not make, is exact too.
TEST(GgufCheckpoint, EightBitsKeepTheSmallestCode) {
  std::string block = blocksOf(q8_0, 1);
  block[2] = char(-128);
  GgufWriter writer;
  writer.tensor("blk.0.attn_q.weight", {32, 1}, q8_0, block);
  TemporaryFolder folder;
  GgufFile file = valueOf(openGguf(folder.write("x.gguf", writer.file())));
  const TensorInfo &tensor = *file.checkpoint->find("layers.0.self_attn.q_proj.weight");
  GridRows grid;
  ASSERT_EQ(errorOf(file.checkpoint->readRowsOnGrid(tensor, 0, 1, grid)), "");
  EXPECT_EQ(grid.codes[0], -128);
  EXPECT_EQ(gridError(grid), "");
  EXPECT_EQ(valueOf(file.checkpoint->readAllAsFloat(tensor))[0], -128 * floatFromF16(0x3838));
}

// ---- split files

class GgufSplit : public testing::Test {
protected:
  // Tensors "a" and "b" in two parts, metadata in the first.
  void writeParts(uint16_t secondNumber = 1, uint16_t secondCount = 2, const char *secondName = "b",
                  int32_t total = 2) {
    for (int part : {0, 1}) {
      GgufWriter writer;
      writer.raw("split.no", 2, rawBytes(uint16_t(part ? secondNumber : 0)));
      writer.raw("split.count", 2, rawBytes(uint16_t(part ? secondCount : 2)));
      writer.raw("split.tensors.count", GgufWriter::i32, rawBytes(total));
      if (!part)
        writer.text("general.architecture", "gemma4");
      writer.tensor(part ? secondName : "a", {2}, f32, floatBytes({float(part), 7}));
      folder.write(part ? "m-00002-of-00002.gguf" : "m-00001-of-00002.gguf", writer.file());
    }
  }
  std::string refusal() { return errorOf(openGguf(folder.path("m-00001-of-00002.gguf"))); }
  TemporaryFolder folder;
};

TEST_F(GgufSplit, AnyPartOpensAll) {
  writeParts();
  for (const char *name : {"m-00001-of-00002.gguf", "m-00002-of-00002.gguf"}) {
    GgufFile file = valueOf(openGguf(folder.path(name)));
    EXPECT_EQ(file.header.text("general.architecture"), "gemma4");
    EXPECT_THAT(valueOf(file.checkpoint->readAllAsFloat(*file.checkpoint->find("a"))),
                testing::ElementsAre(0, 7));
    EXPECT_THAT(valueOf(file.checkpoint->readAllAsFloat(*file.checkpoint->find("b"))),
                testing::ElementsAre(1, 7));
  }
  EXPECT_EQ(ggufStem("x/m-00002-of-00002.gguf"), "m");
  EXPECT_EQ(ggufStem("x/m-2-of-3.gguf"), "m-2-of-3");
}

TEST_F(GgufSplit, FaultsAreRefused) {
  writeParts(0);
  EXPECT_THAT(refusal(), HasSubstr("says that it is part 1 of 2, expected part 2 of 2"));
  writeParts(1, 3);
  EXPECT_THAT(refusal(), HasSubstr("part 2 of 3"));
  writeParts(1, 2, "a");
  EXPECT_THAT(refusal(), HasSubstr("tensor 'a' is both in"));
  writeParts(1, 2, "b", 3);
  EXPECT_THAT(refusal(), HasSubstr("split.tensors.count says 3"));
  writeParts();
  std::filesystem::rename(folder.path("m-00001-of-00002.gguf"), folder.path("other.gguf"));
  EXPECT_THAT(errorOf(openGguf(folder.path("other.gguf"))), HasSubstr("NAME-00001-of-00002.gguf"));
  std::filesystem::rename(folder.path("other.gguf"), folder.path("m-00001-of-00002.gguf"));
  std::filesystem::remove(folder.path("m-00002-of-00002.gguf"));
  EXPECT_THAT(refusal(), testing::AllOf(HasSubstr("cannot open 'm-00002-of-00002.gguf'"),
                                        HasSubstr("part 2 of 2")));
}

// Nothing is read or allocated by the size of the data.
TEST(GgufCheckpoint, TwentyGigabytesOpenFromTheHeaderAlone) {
  GgufWriter writer;
  writer.tensor("blk.0.attn_q.weight", {int64_t{1} << 20, int64_t{1} << 14}, q8_0, ""); // 18.3 GB
  TemporaryFolder folder;
  std::string path = folder.write("x.gguf", writer.header());
  uint64_t bytes = (uint64_t{1} << 34) / 32 * 34;
  EXPECT_NE(errorOf(openGguf(path)), "");
  std::filesystem::resize_file(path, writer.header().size() + bytes); // sparse
  GgufFile file = valueOf(openGguf(path));
  const TensorInfo &tensor = *file.checkpoint->find("layers.0.self_attn.q_proj.weight");
  EXPECT_EQ(tensor.bytes, bytes);
  std::vector<float> row(1 << 20, 1.0f);
  EXPECT_EQ(errorOf(file.checkpoint->readRowsAsFloat(tensor, (1 << 14) - 1, 1, row)), "");
  EXPECT_EQ(row[12345], 0.0f);
}

TEST(GgufNames, AreTheirOwnInverse) {
  ModelConfig config = valueOf(loadPreset("26B-A4B"));
  for (const TensorSpec &spec : expectedTextTensors(config)) {
    std::optional<std::string> name = ggufNameOfLogical(spec.name);
    ASSERT_TRUE(name) << spec.name;
    EXPECT_EQ(logicalNameOfGguf(*name), spec.name);
  }
  EXPECT_EQ(logicalNameOfGguf("output.weight"), "lm_head.weight");
  EXPECT_EQ(logicalNameOfGguf("blk.3.new.weight"), "layers.3.new.weight");
  EXPECT_EQ(logicalNameOfGguf("mm.x.weight"), std::nullopt);
}

} // namespace
} // namespace gcompile
