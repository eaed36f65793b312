#include "compiler/Driver/EncoderShapes.h"

#include <algorithm>

namespace gcompile {
namespace {

class Builder {
public:
  Builder(std::string modality, int64_t softTokens) {
    shape.modality = std::move(modality);
    shape.softTokens = softTokens;
  }
  void matrix(const char *name, int64_t n, int64_t k, int64_t count = 1) {
    shape.tensors.push_back({name, EncoderPart::Tower, true, n, k, count});
  }
  void plain(const char *name, int64_t elements, int64_t count = 1) {
    shape.tensors.push_back({name, EncoderPart::Tower, false, 1, elements, count});
  }
  void clip(int64_t linears) {
    // Input and output, least and largest.
    shape.tensors.push_back({"clip bounds", EncoderPart::ClipBounds, false, 1, 4, linears});
  }
  void projector(int64_t n, int64_t k) {
    shape.tensors.push_back({"projector", EncoderPart::Projector, true, n, k, 1});
  }
  EncoderShape shape;
};

// Alive at once in f32 for each row: the stream and its norm, and either q, k, v and the output or
// gate and up. Attention is computed without a matrix of all scores.
int64_t layerActivations(int64_t rows, int64_t hidden, int64_t widest) {
  return rows * 4 * (2 * hidden + std::max(4 * hidden, widest));
}

EncoderShape vision(const VisionConfig &config, int64_t hidden) {
  Builder build("vision", config.softTokens);
  int64_t width = config.hidden;
  if (config.unified) {
    int64_t side = config.patch * config.pooling, values = side * side * 3;
    build.plain("patch_ln1", values, 2); // weight and bias
    build.matrix("patch_dense", width, values);
    build.plain("patch_dense.bias", width);
    build.plain("patch_ln2", width, 2);
    build.plain("pos_norm", width, 2);
    build.plain("pos_embedding", config.positions * 2 * width);
    build.projector(hidden, width);
    build.shape.activationBytes = config.softTokens * 4 * (values + 3 * width + hidden);
    return build.shape;
  }
  int64_t layers = config.layers, attention = config.heads * config.headDim;
  build.matrix("patch_embedder.input_proj", width, config.patch * config.patch * 3);
  build.plain("position_embedding_table", 2 * config.positions * width);
  build.matrix("q_proj, k_proj, v_proj", attention, width, 3 * layers);
  build.matrix("o_proj", width, attention, layers);
  build.matrix("gate_proj, up_proj", config.intermediate, width, 2 * layers);
  build.matrix("down_proj", width, config.intermediate, layers);
  build.plain("layer norms", width, 4 * layers);
  build.plain("q_norm, k_norm", config.headDim, 2 * layers);
  if (config.standardized)
    build.plain("std_bias, std_scale", width, 2);
  if (config.clipped)
    build.clip(7 * layers);
  build.projector(hidden, width);
  int64_t patches = config.softTokens * config.pooling * config.pooling;
  build.shape.activationBytes =
      layerActivations(patches, width, 2 * config.intermediate) + config.softTokens * 4 * hidden;
  return build.shape;
}

EncoderShape audio(const AudioConfig &config, int64_t hidden) {
  Builder build("audio", config.softTokens);
  if (config.unified) {
    build.projector(hidden, config.frame);
    build.shape.activationBytes = config.softTokens * 4 * (2 * config.frame + hidden);
    return build.shape;
  }
  int64_t width = config.hidden, layers = config.layers, inner = 4 * width;
  // Two convolutions of 3 × 3 halve time and bins; what is left of the bins times the channels is
  // one row.
  build.plain("subsample layer0.conv", config.channels0 * 9);
  build.plain("subsample layer0.norm", config.channels0);
  build.plain("subsample layer1.conv", config.channels1 * config.channels0 * 9);
  build.plain("subsample layer1.norm", config.channels1);
  build.matrix("input_proj_linear", width, config.channels1 * (config.melBins / 4));
  build.matrix("ffw_layer_1", inner, width, 2 * layers);
  build.matrix("ffw_layer_2", width, inner, 2 * layers);
  build.plain("ffw norms", width, 4 * layers);
  build.matrix("q_proj, k_proj, v_proj, post", width, width, 4 * layers);
  build.matrix("relative_k_proj", width, width, layers);
  build.plain("per_dim_scale", width / config.heads, layers);
  build.matrix("linear_start", 2 * width, width, layers);
  build.matrix("linear_end", width, width, layers);
  build.plain("depthwise_conv1d", width * config.kernel, layers);
  build.plain("lconv norms", width, 2 * layers);
  build.plain("norm_pre_attn, norm_post_attn, norm_out", width, 3 * layers);
  build.matrix("output_proj", config.output, width);
  build.plain("output_proj.bias", config.output);
  if (config.clipped)
    build.clip(10 * layers);
  build.projector(hidden, config.output);
  // A soft token is four frames: the first convolution leaves two rows of half the bins.
  int64_t convolved = 2 * config.softTokens * (config.melBins / 2) * config.channels0 * 4;
  build.shape.activationBytes =
      std::max(convolved, layerActivations(config.softTokens, width, inner)) +
      config.softTokens * 4 * hidden;
  return build.shape;
}

} // namespace

std::vector<EncoderShape> encoderShapes(const ModelConfig &config) {
  std::vector<EncoderShape> shapes;
  if (config.vision)
    shapes.push_back(vision(*config.vision, config.hidden));
  if (config.audio)
    shapes.push_back(audio(*config.audio, config.hidden));
  return shapes;
}

} // namespace gcompile
