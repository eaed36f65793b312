// What each tensor of a Gemma 4 text model is for, what it is called and what shape it has. The
// canonical name is the checkpoint's without the text prefix ("layers.3.self_attn.q_proj.weight");
// it is what plans, patterns and messages use. Linear layers are [out, in]. Tensors of the towers
// are listed, not interpreted.
#pragma once

#include "compiler/Import/Checkpoint.h"
#include "compiler/Import/ModelConfig.h"

#include <array>
#include <optional>

namespace gcompile {

enum class TensorRole : uint8_t {
  // global
  Embedding,               // [vocabulary, hidden]; the head too when tied
  PerLayerTable,           // [perLayerVocabulary, layers · perLayerInput], layer-major within a row
  PerLayerModelProjection, // [layers · perLayerInput, hidden]; layer l owns rows [l ·
                           // perLayerInput, (l+1) · perLayerInput)
  PerLayerProjectionNorm,  // [perLayerInput]
  FinalNorm,               // [hidden]
  // per layer
  InputNorm,
  Query,
  Key,
  Value,
  Output,
  QueryNorm,
  KeyNorm,
  PostAttentionNorm,
  PreFeedForwardNorm,
  Gate,
  Up,
  Down,
  PostFeedForwardNorm,
  PerLayerGate,
  PerLayerProjection,
  PostPerLayerNorm,
  LayerScalar, // [1]
  // mixture of experts
  RouterProjection,
  RouterScale,
  RouterExpertScale,
  ExpertsGateUp,
  ExpertsDown,
  PreFeedForwardNorm2,
  PostFeedForwardNorm1,
  PostFeedForwardNorm2,
};
constexpr size_t tensorRoleCount = static_cast<size_t>(TensorRole::PostFeedForwardNorm2) + 1;

llvm::StringRef roleName(TensorRole role); // "query", "per_layer_table": for plans and reports
bool isGlobalRole(TensorRole role);
bool isMatrixRole(TensorRole role); // weights of matrix multiplications and tables; the others are
                                    // vectors kept in f32

// Canonical name; `layer` is ignored for global roles.
std::string canonicalTensorName(TensorRole role, int64_t layer = -1);

bool isTowerTensor(llvm::StringRef name); // of vision or audio, by its prefix
// The name without the text model's prefix; other names as they are.
llvm::StringRef textTensorName(llvm::StringRef name);

// One tensor that a model of this configuration has, by shape alone (also for presets without
// weights).
struct TensorSpec {
  TensorRole role;
  int64_t layer; // -1 for global roles
  std::string name;
  llvm::SmallVector<int64_t, 4> shape;
  int64_t elements() const;
};
// All text tensors in order of first use: embedding, per-layer globals, layers, final norm.
std::vector<TensorSpec> expectedTextTensors(const ModelConfig &config);

// The tensors of one layer; null where the layer has none.
struct LayerTensors {
  std::array<const TensorInfo *, tensorRoleCount> byRole{};
  const TensorInfo *operator[](TensorRole role) const { return byRole[static_cast<size_t>(role)]; }
};

struct TextTensors {
  std::array<const TensorInfo *, tensorRoleCount> global{};
  std::vector<LayerTensors> layers;
  std::vector<const TensorInfo *> towers; // vision, audio, projectors: known, unused
  std::vector<const TensorInfo *>
      ignored; // dead K/V of sharing layers, rotary tables, an equal lm_head
  std::vector<std::string> notes;

  // Null where the model has none.
  const TensorInfo *find(TensorRole role, int64_t layer = -1) const;
};

// Finds and checks every tensor that the configuration asks for. References point into
// `checkpoint`.
llvm::Expected<TextTensors> resolveTextTensors(const Checkpoint &checkpoint,
                                               const ModelConfig &config);

} // namespace gcompile
