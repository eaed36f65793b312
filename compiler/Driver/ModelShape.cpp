#include "compiler/Driver/ModelShape.h"

#include "compiler/Driver/EncoderShapes.h"

namespace gcompile {

std::string planRole(TensorRole role) {
  switch (role) {
  case TensorRole::Embedding:
    return "embedding";
  case TensorRole::PerLayerTable:
    return "per_layer_table";
  case TensorRole::PerLayerModelProjection:
    return "per_layer_model_projection";
  case TensorRole::Query:
    return "q";
  case TensorRole::Key:
    return "k";
  case TensorRole::Value:
    return "v";
  case TensorRole::Output:
    return "o";
  case TensorRole::Gate:
    return "gate";
  case TensorRole::Up:
    return "up";
  case TensorRole::Down:
    return "down";
  case TensorRole::PerLayerGate:
    return "per_layer_input_gate";
  case TensorRole::PerLayerProjection:
    return "per_layer_projection";
  case TensorRole::RouterProjection:
    return "router";
  case TensorRole::ExpertsGateUp:
    return "expert_gate_up";
  case TensorRole::ExpertsDown:
    return "expert_down";
  default:
    return "norm";
  }
}

ModelShape shapeOf(const ModelConfig &config) {
  ModelShape shape;
  shape.name = config.name;
  shape.hidden = config.hidden;
  shape.heads = config.heads;
  shape.vocabulary = config.vocabulary;
  shape.window = config.window;
  shape.perLayerInput = config.perLayerInput;
  shape.perLayerVocabulary = config.perLayerInput > 0 ? config.perLayerVocabulary : 0;
  for (const LayerConfig &layer : config.layers)
    shape.layers.push_back({layer.type == LayerType::Full, layer.ownsKv, layer.kvHeads,
                            layer.headDim, layer.intermediate, layer.keyEqualsValue,
                            config.rope(layer.type).rotatedPairs});
  for (const TensorSpec &spec : expectedTextTensors(config)) {
    TensorShape tensor;
    tensor.name = spec.name;
    tensor.role = planRole(spec.role);
    tensor.layer = spec.layer;
    // Matrices are [.., out, in]; stacked experts are one matrix of all their rows.
    tensor.k = spec.shape.empty() ? 1 : spec.shape.back();
    tensor.n = tensor.k > 0 ? spec.elements() / tensor.k : 0;
    bool expert = tensor.role == "expert_gate_up" || tensor.role == "expert_down";
    if (expert && config.moe.experts > 0)
      tensor.readFraction = double(config.moe.topK) / double(config.moe.experts);
    shape.tensors.push_back(std::move(tensor));
  }
  shape.encoders = encoderShapes(config);
  return shape;
}

} // namespace gcompile
