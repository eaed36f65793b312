// What the cost, memory and quality models need to know of a model: plain counts, no files, no IR.
// The driver fills it from a checkpoint's configuration or from a preset. Counts are elements.
#pragma once

#include "ir/Format/Format.h"
#include "passes/Cost/EncoderModel.h"

#include <cstdint>
#include <string>
#include <vector>

namespace gcompile {

// One tensor. Roles: embedding, per_layer_table, per_layer_model_projection, q, k, v, o, gate, up,
// down, per_layer_input_gate, per_layer_projection, expert_gate_up, expert_down, router, norm.
struct TensorShape {
  std::string name, role;
  int64_t layer = -1;
  int64_t n = 0, k = 0;
  double readFraction =
      1; // share of its bytes that one decoded token reads (experts: topK / experts)
};

struct LayerShape {
  bool global = false; // sees all positions
  bool ownsKv = true;
  int64_t kvHeads = 0, headDim = 0, intermediate = 0;
  // The key is the value, scaled and rotated (12B, 26B-A4B, 31B, global layers): programs cache V
  // alone and derive K (docs/decisions/0007).
  bool keyFromValue = false;
  int64_t rotatedPairs = 0; // pairs of dims that rotary positions turn
};

struct ModelShape {
  std::string name;
  int64_t hidden = 0, heads = 0, vocabulary = 0, window = 0;
  int64_t perLayerInput = 0, perLayerVocabulary = 0; // 0: no per-layer embeddings
  std::vector<LayerShape> layers;
  std::vector<TensorShape> tensors;   // in order of first use
  std::vector<EncoderShape> encoders; // towers of other modalities; planned, not compiled

  // Layers that prefill has to compute: up to the last one that writes a cache.
  int64_t prefillLayers() const {
    int64_t count = 0;
    for (int64_t l = 0; l < int64_t(layers.size()); ++l)
      if (layers[l].ownsKv)
        count = l + 1;
    return count;
  }
};

} // namespace gcompile
