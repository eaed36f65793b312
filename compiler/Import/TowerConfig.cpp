#include "compiler/Import/TowerConfig.h"

namespace gcompile {
namespace {

// Sizes beyond these are no tower of this family.
constexpr int64_t most = int64_t(1) << 20;

// Reads positive integers; remembers whether all were there.
class Sizes {
public:
  explicit Sizes(const llvm::json::Object &object) : object(object) {}
  int64_t operator()(const char *key, std::optional<int64_t> otherwise = std::nullopt) {
    std::optional<int64_t> value = object.getInteger(key);
    if (!value)
      value = otherwise;
    if (!value || *value <= 0 || *value > most) {
      complete = false;
      return 0;
    }
    return *value;
  }
  bool flag(const char *key) const { return object.getBoolean(key).value_or(false); }
  bool complete = true;

private:
  const llvm::json::Object &object;
};

} // namespace

std::optional<VisionConfig> parseVisionConfig(const llvm::json::Object &vision,
                                              const llvm::json::Object &outer) {
  Sizes size(vision);
  VisionConfig config;
  config.patch = size("patch_size");
  config.pooling = size("pooling_kernel_size", 3);
  config.softTokens = Sizes(outer)("vision_soft_tokens_per_image", 280);
  config.unified = vision.getInteger("mm_embed_dim").has_value();
  if (config.unified) {
    config.hidden = size("mm_embed_dim");
    config.positions = size("mm_posemb_size");
  } else {
    config.layers = size("num_hidden_layers");
    config.hidden = size("hidden_size");
    config.intermediate = size("intermediate_size");
    config.heads = size("num_attention_heads");
    config.headDim = size("head_dim");
    config.positions = size("position_embedding_size");
    config.clipped = size.flag("use_clipped_linears");
    config.standardized = size.flag("standardize");
  }
  return size.complete && config.softTokens > 0 ? std::optional(config) : std::nullopt;
}

std::optional<AudioConfig> parseAudioConfig(const llvm::json::Object &audio) {
  Sizes size(audio);
  AudioConfig config;
  config.unified = audio.getInteger("audio_embed_dim").has_value();
  if (config.unified) {
    config.frame = size("audio_embed_dim");
    return size.complete ? std::optional(config) : std::nullopt;
  }
  config.layers = size("num_hidden_layers");
  config.hidden = size("hidden_size");
  config.heads = size("num_attention_heads");
  config.kernel = size("conv_kernel_size", 5);
  config.output = size("output_proj_dims");
  config.clipped = audio.getBoolean("use_clipped_linears").value_or(true);
  const llvm::json::Array *channels = audio.getArray("subsampling_conv_channels");
  if (!channels || channels->size() != 2)
    return std::nullopt;
  config.channels0 = (*channels)[0].getAsInteger().value_or(0);
  config.channels1 = (*channels)[1].getAsInteger().value_or(0);
  // The mel bins equal the first layer's channels in every published and tiny model.
  config.melBins = config.channels0;
  bool sane = config.channels0 > 0 && config.channels0 <= most && config.channels1 > 0 &&
              config.channels1 <= most;
  return size.complete && sane ? std::optional(config) : std::nullopt;
}

} // namespace gcompile
