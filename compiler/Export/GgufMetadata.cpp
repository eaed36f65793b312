#include "compiler/Export/GgufMetadata.h"

#include "llvm/ADT/STLExtras.h"

namespace gcompile {
namespace {

// Value types of the container.
enum : uint32_t {
  u32Type = 4,
  i32Type = 5,
  f32Type = 6,
  boolType = 7,
  stringType = 8,
  arrayType = 9
};
// llama.cpp's kinds of tokens.
enum : int32_t { normalToken = 1, controlToken = 3, userDefinedToken = 4, byteToken = 6 };

// Specials that belong to the text of an answer, so llama.cpp must not hide them.
bool isRendered(llvm::StringRef content) {
  static constexpr llvm::StringLiteral rendered[] = {
      "<|tool_call>", "<tool_call|>", "<|tool_response>", "<tool_response|>",
      "<|\"|>",       "<|channel>",   "<channel|>"};
  return llvm::is_contained(rendered, content);
}

void addSizes(GgufMetadata &out, const ModelConfig &config) {
  std::vector<int32_t> feedForward, kvHeads;
  std::vector<char> sliding;
  int64_t local = 0, global = 0; // head widths
  for (const LayerConfig &layer : config.layers) {
    bool full = layer.type == LayerType::Full;
    feedForward.push_back(int32_t(layer.intermediate));
    kvHeads.push_back(int32_t(layer.kvHeads));
    sliding.push_back(!full);
    (full ? global : local) = layer.headDim;
  }
  out.add("gemma4.block_count", uint32_t(config.layerCount()));
  out.add("gemma4.context_length", uint32_t(config.maxPositions));
  out.add("gemma4.embedding_length", uint32_t(config.hidden));
  out.add("gemma4.feed_forward_length", feedForward);
  out.add("gemma4.attention.head_count", uint32_t(config.heads));
  out.addPerLayer("gemma4.attention.head_count_kv", kvHeads);
  out.add("gemma4.attention.key_length", uint32_t(global));
  out.add("gemma4.attention.value_length", uint32_t(global));
  out.add("gemma4.attention.key_length_swa", uint32_t(local));
  out.add("gemma4.attention.value_length_swa", uint32_t(local));
  out.add("gemma4.attention.layer_norm_rms_epsilon", float(config.rmsEpsilon));
  out.add("gemma4.attention.sliding_window", uint32_t(config.window));
  out.add("gemma4.attention.sliding_window_pattern",
          llvm::ArrayRef(reinterpret_cast<const bool *>(sliding.data()), sliding.size()));
  out.add("gemma4.attention.shared_kv_layers", uint32_t(config.sharedLayers));
  out.add("gemma4.embedding_length_per_layer_input", uint32_t(config.perLayerInput));
  out.add("gemma4.rope.freq_base", float(config.fullRope.theta));
  out.add("gemma4.rope.freq_base_swa", float(config.slidingRope.theta));
  out.add("gemma4.rope.dimension_count", uint32_t(global));
  out.add("gemma4.rope.dimension_count_swa", uint32_t(local));
  if (config.logitSoftcap > 0)
    out.add("gemma4.final_logit_softcapping", float(config.logitSoftcap));
  if (config.isMoe()) {
    out.add("gemma4.expert_count", uint32_t(config.moe.experts));
    out.add("gemma4.expert_used_count", uint32_t(config.moe.topK));
    out.add("gemma4.expert_feed_forward_length", uint32_t(config.moe.intermediate));
  }
}

// The token that ends a turn, for readers that know one end only.
int64_t endOfTurn(const ModelConfig &config, const TokenizerData &tokenizer) {
  const std::vector<int64_t> &stops = config.stopTokens();
  for (int64_t stop : stops)
    if (stop >= 0 && stop < int64_t(tokenizer.pieces.size()) && tokenizer.pieces[stop] == "<turn|>")
      return stop;
  return stops.empty() ? -1 : stops.front();
}

void addTokenizer(GgufMetadata &out, const ImportedModel &model) {
  if (!model.tokenizer) {
    out.add("tokenizer.ggml.model", llvm::StringRef("none"));
    out.add("gemma4.vocab_size", uint32_t(model.config.vocabulary));
    return;
  }
  const TokenizerData &tokenizer = *model.tokenizer;
  std::vector<std::string> tokens = tokenizer.pieces, merges;
  // A vocabulary smaller than the embedding is filled up, as llama.cpp's converter does.
  for (int64_t id = int64_t(tokens.size()); id < model.config.vocabulary; ++id)
    tokens.push_back("[PAD" + std::to_string(id) + "]");
  std::vector<int32_t> types(tokens.size(), normalToken);
  std::fill(types.begin() + long(tokenizer.pieces.size()), types.end(), controlToken);
  for (int32_t id : tokenizer.byteTokens)
    if (id >= 0)
      types[id] = byteToken;
  for (const SpecialToken &token : tokenizer.added)
    types[token.id] = token.special && !isRendered(token.content) ? controlToken : userDefinedToken;
  for (auto [left, right] : tokenizer.merges)
    merges.push_back(tokenizer.pieces[left] + " " + tokenizer.pieces[right]);
  out.add("tokenizer.ggml.model", llvm::StringRef("gemma4"));
  out.add("tokenizer.ggml.tokens", tokens);
  out.add("tokenizer.ggml.scores", std::vector<float>(tokens.size(), -1000.0f));
  out.add("tokenizer.ggml.token_type", types);
  out.add("tokenizer.ggml.merges", merges);
  auto id = [&](llvm::StringRef key, int64_t value) {
    if (value >= 0)
      out.add(key, uint32_t(value));
  };
  id("tokenizer.ggml.bos_token_id", model.config.bos);
  id("tokenizer.ggml.eos_token_id", endOfTurn(model.config, tokenizer));
  id("tokenizer.ggml.unknown_token_id", tokenizer.unknown);
  id("tokenizer.ggml.padding_token_id", model.config.pad);
  out.add("tokenizer.ggml.add_space_prefix", false);
  out.add("tokenizer.ggml.add_bos_token", true);
  if (!model.chatTemplate.empty())
    out.add("tokenizer.chat_template", llvm::StringRef(model.chatTemplate));
}

} // namespace

void GgufMetadata::key(llvm::StringRef name, uint32_t type) {
  out.string(name);
  out.number(type);
  ++pairs;
}

void GgufMetadata::arrayOf(llvm::StringRef name, uint32_t type, uint64_t count) {
  key(name, arrayType);
  out.number(type);
  out.number(count);
}

void GgufMetadata::add(llvm::StringRef name, llvm::StringRef value) {
  key(name, stringType);
  out.string(value);
}

void GgufMetadata::add(llvm::StringRef name, uint32_t value) {
  key(name, u32Type);
  out.number(value);
}

void GgufMetadata::add(llvm::StringRef name, float value) {
  key(name, f32Type);
  out.number(value);
}

void GgufMetadata::add(llvm::StringRef name, bool value) {
  key(name, boolType);
  out.number(uint8_t(value));
}

void GgufMetadata::add(llvm::StringRef name, llvm::ArrayRef<int32_t> values) {
  arrayOf(name, i32Type, values.size());
  for (int32_t value : values)
    out.number(value);
}

void GgufMetadata::add(llvm::StringRef name, llvm::ArrayRef<float> values) {
  arrayOf(name, f32Type, values.size());
  for (float value : values)
    out.number(value);
}

void GgufMetadata::add(llvm::StringRef name, llvm::ArrayRef<bool> values) {
  arrayOf(name, boolType, values.size());
  for (bool value : values)
    out.number(uint8_t(value));
}

void GgufMetadata::add(llvm::StringRef name, llvm::ArrayRef<std::string> values) {
  arrayOf(name, stringType, values.size());
  for (const std::string &value : values)
    out.string(value);
}

void GgufMetadata::addPerLayer(llvm::StringRef name, llvm::ArrayRef<int32_t> values) {
  if (llvm::all_equal(values) && !values.empty())
    add(name, uint32_t(values.front()));
  else
    add(name, values);
}

GgufMetadata ggufMetadata(const ImportedModel &model, uint32_t fileType) {
  GgufMetadata out;
  out.add("general.architecture", llvm::StringRef("gemma4"));
  out.add("general.type", llvm::StringRef("model"));
  out.add("general.name", llvm::StringRef(model.name));
  out.add("general.quantization_version", uint32_t(2));
  out.add("general.file_type", fileType);
  addSizes(out, model.config);
  addTokenizer(out, model);
  return out;
}

} // namespace gcompile
