#include "compiler/Import/Gguf/GgufNames.h"

#include "compiler/Import/Gemma4Tensors.h"

#include "llvm/ADT/STLExtras.h"

namespace gcompile {

namespace {

struct Name {
  TensorRole role;
  llvm::StringRef gguf; // after "blk.N." for tensors of layers
};

constexpr Name names[] = {
    {TensorRole::Embedding, "token_embd.weight"},
    {TensorRole::PerLayerTable, "per_layer_token_embd.weight"},
    {TensorRole::PerLayerModelProjection, "per_layer_model_proj.weight"},
    {TensorRole::PerLayerProjectionNorm, "per_layer_proj_norm.weight"},
    {TensorRole::FinalNorm, "output_norm.weight"},
    {TensorRole::InputNorm, "attn_norm.weight"},
    {TensorRole::Query, "attn_q.weight"},
    {TensorRole::Key, "attn_k.weight"},
    {TensorRole::Value, "attn_v.weight"},
    {TensorRole::Output, "attn_output.weight"},
    {TensorRole::QueryNorm, "attn_q_norm.weight"},
    {TensorRole::KeyNorm, "attn_k_norm.weight"},
    {TensorRole::PostAttentionNorm, "post_attention_norm.weight"},
    {TensorRole::PreFeedForwardNorm, "ffn_norm.weight"},
    {TensorRole::Gate, "ffn_gate.weight"},
    {TensorRole::Up, "ffn_up.weight"},
    {TensorRole::Down, "ffn_down.weight"},
    {TensorRole::PostFeedForwardNorm, "post_ffw_norm.weight"},
    {TensorRole::PerLayerGate, "inp_gate.weight"},
    {TensorRole::PerLayerProjection, "proj.weight"},
    {TensorRole::PostPerLayerNorm, "post_norm.weight"},
    {TensorRole::LayerScalar, "layer_output_scale.weight"},
    {TensorRole::RouterProjection, "ffn_gate_inp.weight"},
    {TensorRole::RouterScale, "ffn_gate_inp.scale"},
    // Stored as a scale of the expert's output, which is where it acts.
    {TensorRole::RouterExpertScale, "ffn_down_exps.scale"},
    {TensorRole::ExpertsGateUp, "ffn_gate_up_exps.weight"},
    {TensorRole::ExpertsDown, "ffn_down_exps.weight"},
    {TensorRole::PreFeedForwardNorm2, "pre_ffw_norm_2.weight"},
    {TensorRole::PostFeedForwardNorm1, "post_ffw_norm_1.weight"},
    {TensorRole::PostFeedForwardNorm2, "post_ffw_norm_2.weight"},
};
static_assert(std::size(names) == tensorRoleCount);

constexpr llvm::StringRef headName = "output.weight", logicalHeadName = "lm_head.weight";

// "PREFIX12.rest" into 12 and "rest".
std::optional<std::pair<int64_t, llvm::StringRef>> layerAndRest(llvm::StringRef name,
                                                                llvm::StringRef prefix) {
  int64_t layer = 0;
  if (!name.consume_front(prefix) || name.consumeInteger(10, layer) || layer < 0 ||
      !name.consume_front("."))
    return std::nullopt;
  return std::pair(layer, name);
}

} // namespace

std::optional<std::string> logicalNameOfGguf(llvm::StringRef name) {
  if (name == headName)
    return logicalHeadName.str();
  auto inLayer = layerAndRest(name, "blk.");
  for (const Name &known : names)
    if (isGlobalRole(known.role) ? name == known.gguf : inLayer && inLayer->second == known.gguf)
      return canonicalTensorName(known.role, inLayer ? inLayer->first : -1);
  if (inLayer)
    return "layers." + std::to_string(inLayer->first) + "." + inLayer->second.str();
  return std::nullopt;
}

std::optional<std::string> ggufNameOfLogical(llvm::StringRef name) {
  if (name == logicalHeadName)
    return headName.str();
  auto inLayer = layerAndRest(name, "layers.");
  for (const Name &known : names) {
    if (isGlobalRole(known.role)) {
      if (name == canonicalTensorName(known.role))
        return known.gguf.str();
    } else if (inLayer && name == canonicalTensorName(known.role, inLayer->first)) {
      return "blk." + std::to_string(inLayer->first) + "." + known.gguf.str();
    }
  }
  return std::nullopt;
}

} // namespace gcompile
