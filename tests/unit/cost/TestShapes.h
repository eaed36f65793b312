// Shapes for the tests of the cost model: Gemma 4 E2B's decoder (35 layers, the last 20 share
// caches) and a mixture of experts, from the public configurations.
#pragma once

#include "passes/Cost/ModelShape.h"

namespace gcompile::test {

inline ModelShape shapeOfE2B() {
  ModelShape model;
  model.name = "e2b";
  model.hidden = 1536;
  model.heads = 8;
  model.vocabulary = 262144;
  model.window = 512;
  model.perLayerInput = 256;
  model.perLayerVocabulary = 262144;
  model.tensors.push_back({"embed", "embedding", -1, 262144, 1536});
  model.tensors.push_back({"ple", "per_layer_table", -1, 262144, 8960});
  model.tensors.push_back({"projection", "per_layer_model_projection", -1, 8960, 1536});
  for (int64_t l = 0; l < 35; ++l) {
    LayerShape layer;
    layer.global = l % 5 == 4;
    layer.ownsKv = l < 15;
    layer.kvHeads = 1;
    layer.headDim = layer.global ? 512 : 256;
    layer.intermediate = l < 15 ? 6144 : 12288;
    model.layers.push_back(layer);
    int64_t q = 8 * layer.headDim;
    auto add = [&](const char *role, int64_t n, int64_t k) {
      model.tensors.push_back({role, role, l, n, k});
    };
    add("q", q, 1536);
    if (layer.ownsKv) {
      add("k", layer.headDim, 1536);
      add("v", layer.headDim, 1536);
    }
    add("o", 1536, q);
    add("gate", layer.intermediate, 1536);
    add("up", layer.intermediate, 1536);
    add("down", 1536, layer.intermediate);
    add("per_layer_input_gate", 256, 1536);
    add("per_layer_projection", 1536, 256);
  }
  return model;
}

inline ModelShape shapeOfExperts(int64_t experts, int64_t perToken) {
  ModelShape model;
  model.name = "experts";
  model.hidden = 1024;
  model.heads = 4;
  model.vocabulary = 1024;
  model.window = 1024;
  model.layers.push_back({true, true, 1, 256, 512});
  TensorShape up{"expert_gate_up", "expert_gate_up", 0, experts * 1024, 1024};
  up.readFraction = double(perToken) / double(experts);
  model.tensors.push_back(up);
  return model;
}

} // namespace gcompile::test
