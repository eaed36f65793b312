#include "compiler/Import/Gemma4Tensors.h"

#include "compiler/Import/HostileJson.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringMap.h"

#include <algorithm>
#include <cstring>
#include <optional>

using llvm::Error;
using llvm::Expected;
using llvm::StringRef;
using llvm::Twine;

namespace gcompile {

namespace {

struct RoleFacts {
  TensorRole role;
  StringRef name;   // ours
  StringRef suffix; // the checkpoint's, after the text prefix or "layers.N."
  bool global;
  bool matrix;
};

// In the order of TensorRole.
constexpr RoleFacts roleTable[] = {
    {TensorRole::Embedding, "embedding", "embed_tokens.weight", true, true},
    {TensorRole::PerLayerTable, "per_layer_table", "embed_tokens_per_layer.weight", true, true},
    {TensorRole::PerLayerModelProjection, "per_layer_model_projection",
     "per_layer_model_projection.weight", true, true},
    {TensorRole::PerLayerProjectionNorm, "per_layer_projection_norm",
     "per_layer_projection_norm.weight", true, false},
    {TensorRole::FinalNorm, "final_norm", "norm.weight", true, false},
    {TensorRole::InputNorm, "input_norm", "input_layernorm.weight", false, false},
    {TensorRole::Query, "query", "self_attn.q_proj.weight", false, true},
    {TensorRole::Key, "key", "self_attn.k_proj.weight", false, true},
    {TensorRole::Value, "value", "self_attn.v_proj.weight", false, true},
    {TensorRole::Output, "output", "self_attn.o_proj.weight", false, true},
    {TensorRole::QueryNorm, "query_norm", "self_attn.q_norm.weight", false, false},
    {TensorRole::KeyNorm, "key_norm", "self_attn.k_norm.weight", false, false},
    {TensorRole::PostAttentionNorm, "post_attention_norm", "post_attention_layernorm.weight", false,
     false},
    {TensorRole::PreFeedForwardNorm, "pre_feed_forward_norm", "pre_feedforward_layernorm.weight",
     false, false},
    {TensorRole::Gate, "gate", "mlp.gate_proj.weight", false, true},
    {TensorRole::Up, "up", "mlp.up_proj.weight", false, true},
    {TensorRole::Down, "down", "mlp.down_proj.weight", false, true},
    {TensorRole::PostFeedForwardNorm, "post_feed_forward_norm", "post_feedforward_layernorm.weight",
     false, false},
    {TensorRole::PerLayerGate, "per_layer_gate", "per_layer_input_gate.weight", false, true},
    {TensorRole::PerLayerProjection, "per_layer_projection", "per_layer_projection.weight", false,
     true},
    {TensorRole::PostPerLayerNorm, "post_per_layer_norm", "post_per_layer_input_norm.weight", false,
     false},
    {TensorRole::LayerScalar, "layer_scalar", "layer_scalar", false, false},
    {TensorRole::RouterProjection, "router_projection", "router.proj.weight", false, true},
    {TensorRole::RouterScale, "router_scale", "router.scale", false, false},
    {TensorRole::RouterExpertScale, "router_expert_scale", "router.per_expert_scale", false, false},
    {TensorRole::ExpertsGateUp, "experts_gate_up", "experts.gate_up_proj", false, true},
    {TensorRole::ExpertsDown, "experts_down", "experts.down_proj", false, true},
    {TensorRole::PreFeedForwardNorm2, "pre_feed_forward_norm_2",
     "pre_feedforward_layernorm_2.weight", false, false},
    {TensorRole::PostFeedForwardNorm1, "post_feed_forward_norm_1",
     "post_feedforward_layernorm_1.weight", false, false},
    {TensorRole::PostFeedForwardNorm2, "post_feed_forward_norm_2",
     "post_feedforward_layernorm_2.weight", false, false},
};
static_assert(std::size(roleTable) == tensorRoleCount);
static_assert([] {
  for (size_t i = 0; i < tensorRoleCount; ++i)
    if (static_cast<size_t>(roleTable[i].role) != i)
      return false;
  return true;
}());

const RoleFacts &facts(TensorRole role) { return roleTable[static_cast<size_t>(role)]; }

// Longest first: "model." would match the others too.
constexpr StringRef textPrefixes[] = {"model.language_model.", "language_model.model.",
                                      "language_model.", "model."};
constexpr StringRef towerPrefixes[] = {
    "model.vision_tower.",    "model.audio_tower.", "model.embed_vision.", "model.embed_audio.",
    "model.vision_embedder.", "vision_tower.",      "audio_tower.",        "embed_vision.",
    "embed_audio.",           "vision_embedder."};

// Dead weights: keys and values of sharing layers, tables that are computed, norms without weight.
bool isDead(StringRef canonical, const ModelConfig &config) {
  if (canonical.ends_with("inv_freq") || canonical.ends_with("v_norm.weight") ||
      canonical.ends_with("embed_scale"))
    return true;
  if (!canonical.consume_front("layers."))
    return false;
  auto [number, rest] = canonical.split('.');
  int64_t layer;
  if (number.getAsInteger(10, layer) || layer < 0 || layer >= config.layerCount())
    return false;
  const LayerConfig &entry = config.layers[layer];
  bool keyOrValue = rest == facts(TensorRole::Key).suffix ||
                    rest == facts(TensorRole::Value).suffix ||
                    rest == facts(TensorRole::KeyNorm).suffix;
  return keyOrValue && !entry.ownsKv;
}

Error checkHead(const Checkpoint &checkpoint, const ModelConfig &config, TextTensors &result,
                const TensorInfo *head) {
  if (!head) {
    if (!config.tiedEmbedding)
      return importError("the configuration has tie_word_embeddings false, but the checkpoint has "
                         "no lm_head.weight");
    return Error::success();
  }
  if (!config.tiedEmbedding) {
    // Some files say "not tied" and store the embedding twice; only a head that really differs is
    // out of reach.
    Expected<bool> same = checkpoint.sameContent(*head, *result.find(TensorRole::Embedding));
    if (!same)
      return same.takeError();
    if (!*same)
      return importError("the configuration has tie_word_embeddings false and " +
                         inQuotes(head->name) +
                         " differs from the embedding; supported are tied embeddings");
  }
  result.ignored.push_back(head);
  result.notes.push_back(config.tiedEmbedding
                             ? "lm_head.weight is ignored: the embedding is tied"
                             : "lm_head.weight equals the embedding and is taken as tied");
  return Error::success();
}

} // namespace

bool isTowerTensor(StringRef name) {
  return llvm::any_of(towerPrefixes, [&](StringRef prefix) { return name.starts_with(prefix); });
}

StringRef textTensorName(StringRef name) {
  for (StringRef prefix : textPrefixes)
    if (name.starts_with(prefix))
      return name.drop_front(prefix.size());
  return name;
}

StringRef roleName(TensorRole role) { return facts(role).name; }
bool isGlobalRole(TensorRole role) { return facts(role).global; }
bool isMatrixRole(TensorRole role) { return facts(role).matrix; }

std::string canonicalTensorName(TensorRole role, int64_t layer) {
  if (isGlobalRole(role))
    return facts(role).suffix.str();
  return "layers." + std::to_string(layer) + "." + facts(role).suffix.str();
}

int64_t TensorSpec::elements() const {
  int64_t product = 1;
  for (int64_t extent : shape)
    product *= extent;
  return product;
}

std::vector<TensorSpec> expectedTextTensors(const ModelConfig &config) {
  std::vector<TensorSpec> specs;
  auto add = [&](TensorRole role, int64_t layer, std::initializer_list<int64_t> shape) {
    specs.push_back({role, layer, canonicalTensorName(role, layer), shape});
  };
  int64_t hidden = config.hidden, layers = config.layerCount(), ple = config.perLayerInput;
  add(TensorRole::Embedding, -1, {config.vocabulary, hidden});
  if (ple) {
    add(TensorRole::PerLayerTable, -1, {config.perLayerVocabulary, layers * ple});
    add(TensorRole::PerLayerModelProjection, -1, {layers * ple, hidden});
    add(TensorRole::PerLayerProjectionNorm, -1, {ple});
  }
  for (int64_t layer = 0; layer < layers; ++layer) {
    const LayerConfig &entry = config.layers[layer];
    int64_t queryWidth = config.heads * entry.headDim, keyWidth = entry.kvHeads * entry.headDim;
    add(TensorRole::InputNorm, layer, {hidden});
    add(TensorRole::Query, layer, {queryWidth, hidden});
    if (entry.ownsKv) {
      add(TensorRole::Key, layer, {keyWidth, hidden});
      if (!entry.keyEqualsValue)
        add(TensorRole::Value, layer, {keyWidth, hidden});
    }
    add(TensorRole::QueryNorm, layer, {entry.headDim});
    if (entry.ownsKv)
      add(TensorRole::KeyNorm, layer, {entry.headDim});
    add(TensorRole::Output, layer, {hidden, queryWidth});
    add(TensorRole::PostAttentionNorm, layer, {hidden});
    add(TensorRole::PreFeedForwardNorm, layer, {hidden});
    add(TensorRole::Gate, layer, {entry.intermediate, hidden});
    add(TensorRole::Up, layer, {entry.intermediate, hidden});
    add(TensorRole::Down, layer, {hidden, entry.intermediate});
    if (config.isMoe()) {
      const MoeConfig &moe = config.moe;
      add(TensorRole::PostFeedForwardNorm1, layer, {hidden});
      add(TensorRole::RouterScale, layer, {hidden});
      add(TensorRole::RouterProjection, layer, {moe.experts, hidden});
      add(TensorRole::RouterExpertScale, layer, {moe.experts});
      add(TensorRole::PreFeedForwardNorm2, layer, {hidden});
      add(TensorRole::ExpertsGateUp, layer, {moe.experts, 2 * moe.intermediate, hidden});
      add(TensorRole::ExpertsDown, layer, {moe.experts, hidden, moe.intermediate});
      add(TensorRole::PostFeedForwardNorm2, layer, {hidden});
    }
    add(TensorRole::PostFeedForwardNorm, layer, {hidden});
    if (ple) {
      add(TensorRole::PerLayerGate, layer, {ple, hidden});
      add(TensorRole::PerLayerProjection, layer, {hidden, ple});
      add(TensorRole::PostPerLayerNorm, layer, {hidden});
    }
    add(TensorRole::LayerScalar, layer, {1});
  }
  add(TensorRole::FinalNorm, -1, {hidden});
  return specs;
}

const TensorInfo *TextTensors::find(TensorRole role, int64_t layer) const {
  if (isGlobalRole(role))
    return global[static_cast<size_t>(role)];
  if (layer < 0 || layer >= static_cast<int64_t>(layers.size()))
    return nullptr;
  return layers[layer][role];
}

Expected<TextTensors> resolveTextTensors(const Checkpoint &checkpoint, const ModelConfig &config) {
  TextTensors result;
  result.layers.resize(config.layerCount());
  llvm::StringMap<const TensorInfo *> byCanonical;
  const TensorInfo *head = nullptr;
  for (const TensorInfo &tensor : checkpoint.tensors()) {
    StringRef name = tensor.name;
    if (isTowerTensor(name)) {
      result.towers.push_back(&tensor);
      continue;
    }
    if (name == "lm_head.weight" || name == "language_model.lm_head.weight") {
      head = &tensor;
      continue;
    }
    StringRef canonical = textTensorName(name);
    auto [position, isNew] = byCanonical.try_emplace(canonical, &tensor);
    if (!isNew)
      return importError("tensors " + inQuotes(position->second->name) + " and " + inQuotes(name) +
                         " are the same weight of the text model under two names");
  }

  for (const TensorSpec &spec : expectedTextTensors(config)) {
    auto found = byCanonical.find(spec.name);
    if (found == byCanonical.end())
      return importError(
          "weight " + inQuotes(spec.name) + " of shape " + shapeString(spec.shape) +
          " is missing; the configuration asks for it" +
          (byCanonical.contains(spec.name + "_scale") || byCanonical.contains(spec.name + ".packed")
               ? " (the checkpoint is quantized)"
               : ""));
    const TensorInfo *tensor = found->second;
    if (llvm::ArrayRef<int64_t>(tensor->shape) != llvm::ArrayRef<int64_t>(spec.shape))
      return importError("weight " + inQuotes(tensor->name) + " has shape " +
                         shapeString(tensor->shape) + ", expected " + shapeString(spec.shape));
    if (tensor->type != TensorType::F32 && tensor->type != TensorType::BF16 &&
        tensor->type != TensorType::F16 && tensor->type != TensorType::Encoded)
      return importError("weight " + inQuotes(tensor->name) + " has type " + tensor->typeText() +
                         ", expected F32, BF16 or F16; quantized checkpoints are not read, give "
                         "the one they were made from");
    auto &slots = spec.layer < 0 ? result.global : result.layers[spec.layer].byRole;
    slots[static_cast<size_t>(spec.role)] = tensor;
    byCanonical.erase(found);
  }

  if (Error error = checkHead(checkpoint, config, result, head))
    return std::move(error);
  // In checkpoint order, so that what is said does not depend on a hash.
  size_t unknown = 0;
  std::string firstUnknown;
  for (const TensorInfo &tensor : checkpoint.tensors()) {
    StringRef canonical = textTensorName(tensor.name);
    auto left = byCanonical.find(canonical);
    if (left == byCanonical.end() || left->second != &tensor)
      continue;
    result.ignored.push_back(&tensor);
    if (isDead(canonical, config))
      continue;
    // A layer beyond the configured ones or a weight with a different meaning: computing without it
    // would be wrong.
    if (canonical.starts_with("layers.") && canonical.ends_with(".weight"))
      return importError("weight " + inQuotes(tensor.name) + " of shape " +
                         shapeString(tensor.shape) +
                         " is not part of the model that the configuration describes");
    if (!unknown++)
      firstUnknown = inQuotes(tensor.name);
  }
  if (unknown)
    result.notes.push_back(std::to_string(unknown) + " unknown tensors are ignored, the first is " +
                           firstUnknown);
  return result;
}

} // namespace gcompile
