#include "compiler/Import/ModelConfig.h"

#include "compiler/Import/Gemma4Tensors.h"
#include "compiler/Import/HostileJson.h"

#include "llvm/ADT/STLExtras.h"

#include <cmath>

using llvm::Error;
using llvm::Expected;
using llvm::StringRef;
using llvm::Twine;

namespace gcompile {

namespace {

// Far above every published size, far below what overflows 64-bit products of two of them.
constexpr int64_t maxLayers = 512;
constexpr int64_t maxWidth = int64_t{1} << 20;
constexpr int64_t maxVocabulary = int64_t{1} << 24;
constexpr int64_t maxContext = int64_t{1} << 28;

// Stores the value of an Expected, or keeps the first error: parsing reads as a list of fields.
class FieldErrors {
public:
  template <typename T, typename U>
  void set(T &target, Expected<U> value) {
    if (value)
      target = std::move(*value);
    else
      add(value.takeError());
  }
  void add(Error error) {
    if (!first)
      first = llvm::toString(std::move(error));
    else
      llvm::consumeError(std::move(error));
  }
  void add(const Twine &text) { add(importError(text)); }
  bool failed() const { return first.has_value(); }
  Error take() { return first ? importError(*first) : Error::success(); }

private:
  std::optional<std::string> first;
};

struct Family {
  StringRef outer; // model_type of config.json; equal to `text` in text-only saves
  StringRef text;  // model_type of the text part
};
constexpr Family families[] = {
    {"gemma4", "gemma4_text"},
    {"gemma4_unified", "gemma4_unified_text"},
    {"gemma4_text", "gemma4_text"},
    {"gemma4_unified_text", "gemma4_unified_text"},
};

// model_type decides what this is; what it is not is refused by name.
Expected<const Family *> checkFamily(const JsonReader &outer, ModelConfig &config) {
  FieldErrors errors;
  std::string modelType;
  errors.set(modelType, outer.textOr("model_type", ""));
  if (errors.failed())
    return errors.take();
  if (const llvm::json::Value *list = outer.value("architectures")) {
    const llvm::json::Array *names = list->getAsArray();
    if (!names || names->empty() || !names->front().getAsString())
      return importError(outer.name("architectures") + " is not a list of names");
    config.architecture = names->front().getAsString()->str();
  }
  const Family *family =
      llvm::find_if(families, [&](const Family &known) { return known.outer == modelType; });
  if (family == std::end(families)) {
    if (StringRef(modelType).ends_with("_assistant"))
      return importError("architecture " + inQuotes(config.architecture) + " (model_type " +
                         inQuotes(modelType) +
                         ") is a drafter for speculative decoding; give the model it drafts for");
    return importError("architecture " + inQuotes(config.architecture) + " (model_type " +
                       inQuotes(modelType) +
                       ") is not supported; supported are the Gemma 4 models (model_type gemma4, "
                       "gemma4_unified, gemma4_text, gemma4_unified_text)");
  }
  config.modelType = family->text.str();
  return family;
}

struct TextNumbers {
  int64_t layerCount = 0, headDim = 0, globalHeadDim = 0, kvHeads = 0, globalKvHeads = 0;
  int64_t intermediate = 0;
  bool doubleWide = false, keyEqualsValue = false;
};

// Settings that change the arithmetic and that no published Gemma 4 uses: refused rather than
// ignored.
void refuseUnknownArithmetic(const JsonReader &text, FieldErrors &errors) {
  std::string activation;
  errors.set(activation, text.textOr("hidden_activation", "gelu_pytorch_tanh"));
  if (activation != "gelu_pytorch_tanh")
    errors.add(text.name("hidden_activation") + " is " + inQuotes(activation) +
               ", supported is 'gelu_pytorch_tanh'");
  bool bias = false;
  errors.set(bias, text.flagOr("attention_bias", false));
  if (bias)
    errors.add(text.name("attention_bias") + " is true, supported is false");
  if (text.has("attn_logit_softcapping"))
    errors.add(text.name("attn_logit_softcapping") + " is set, which Gemma 4 does not have");
}

RopeConfig parseRope(const JsonReader &text, LayerType type, int64_t headDim, FieldErrors &errors) {
  RopeConfig rope;
  StringRef key = type == LayerType::Full ? "full_attention" : "sliding_attention";
  const llvm::json::Object *all = nullptr, *own = nullptr;
  errors.set(all, text.child("rope_parameters"));
  if (all)
    errors.set(own, JsonReader(*all, text.name("rope_parameters")).child(key));
  if (!own) {
    errors.add(text.name("rope_parameters") + " has no " + key);
    return rope;
  }
  JsonReader reader(*own, text.name("rope_parameters." + key.str()));
  std::string kind;
  double fraction = 1;
  errors.set(kind, reader.textOr("rope_type", "default"));
  errors.set(fraction, reader.numberOr("partial_rotary_factor", 0, 1, 1));
  if (!reader.has("rope_theta"))
    errors.add(reader.name("rope_theta") + " is missing");
  errors.set(rope.theta, reader.numberOr("rope_theta", 1, 1e12, 1));
  if (kind == "proportional")
    rope.rotatedPairs = static_cast<int64_t>(fraction * static_cast<double>(headDim) / 2);
  else if (kind == "default" && fraction == 1)
    rope.rotatedPairs = headDim / 2;
  else if (kind == "default")
    errors.add(reader.name("partial_rotary_factor") +
               " is set with rope_type 'default'; supported is 'proportional'");
  else
    errors.add(reader.name("rope_type") + " is " + inQuotes(kind) +
               ", supported are 'default' and 'proportional'");
  return rope;
}

void parseLayerTypes(const JsonReader &text, int64_t layerCount, ModelConfig &config,
                     FieldErrors &errors) {
  const llvm::json::Value *value = text.value("layer_types");
  const llvm::json::Array *types = value ? value->getAsArray() : nullptr;
  if (!types) {
    errors.add(text.name("layer_types") + " is missing or not a list");
    return;
  }
  if (static_cast<int64_t>(types->size()) != layerCount) {
    errors.add(text.name("layer_types") + " has " + Twine(types->size()) + " entries, expected " +
               Twine(layerCount) + " (num_hidden_layers)");
    return;
  }
  config.layers.resize(layerCount);
  for (size_t layer = 0; layer < types->size(); ++layer) {
    StringRef name = (*types)[layer].getAsString().value_or("");
    if (name == "full_attention")
      config.layers[layer].type = LayerType::Full;
    else if (name == "sliding_attention")
      config.layers[layer].type = LayerType::Sliding;
    else
      errors.add(text.name("layer_types") + "[" + Twine(layer) + "] is " + inQuotes(name) +
                 ", supported are 'sliding_attention' and 'full_attention'");
  }
  config.layers.back().type = LayerType::Full; // the reference forces it
}

// Heads as re-serialised: {"4": {"head_dim": 512, "num_key_value_heads": 1}, …}.
void applyPerLayerConfig(const JsonReader &text, ModelConfig &config, FieldErrors &errors) {
  const llvm::json::Object *perLayer = nullptr;
  errors.set(perLayer, text.child("per_layer_config"));
  if (!perLayer)
    return;
  std::string what = text.name("per_layer_config");
  for (const auto &[key, value] : *perLayer) {
    int64_t layer = -1;
    const llvm::json::Object *fields = value.getAsObject();
    if (StringRef(key).getAsInteger(10, layer) || layer < 0 || layer >= config.layerCount() ||
        !fields) {
      errors.add(Twine(what) + " has an entry " + inQuotes(StringRef(key)) +
                 ", expected objects under layer numbers below " + Twine(config.layerCount()));
      return;
    }
    JsonReader reader(*fields, what + "." + StringRef(key).str());
    LayerConfig &entry = config.layers[layer];
    errors.set(entry.headDim, reader.integerOr("head_dim", 2, maxWidth, entry.headDim));
    errors.set(entry.kvHeads, reader.integerOr("num_key_value_heads", 1, maxWidth, entry.kvHeads));
    errors.set(entry.intermediate,
               reader.integerOr("intermediate_size", 1, maxWidth, entry.intermediate));
    for (const auto &[field, unused] : *fields)
      if (field != "head_dim" && field != "num_key_value_heads" && field != "intermediate_size")
        errors.add(reader.name(StringRef(field)) + " is not supported");
  }
}

void shareKv(ModelConfig &config, FieldErrors &errors) {
  int64_t owners = config.layerCount() - config.sharedLayers;
  int64_t lastOf[2] = {-1, -1};
  for (int64_t layer = 0; layer < config.layerCount(); ++layer) {
    LayerConfig &entry = config.layers[layer];
    int64_t &last = lastOf[static_cast<int>(entry.type)];
    entry.ownsKv = layer < owners;
    if (entry.ownsKv) {
      last = entry.kvDonor = layer;
      continue;
    }
    if (last < 0) {
      errors.add("layer " + Twine(layer) +
                 " shares the keys and values of an earlier layer of its type, but there is none "
                 "among the first " +
                 Twine(owners));
      return;
    }
    entry.kvDonor = last;
    const LayerConfig &donor = config.layers[last];
    if (donor.headDim != entry.headDim || donor.kvHeads != entry.kvHeads) {
      errors.add("layer " + Twine(layer) + " has " + Twine(entry.kvHeads) + " heads of " +
                 Twine(entry.headDim) + " but shares the keys of layer " + Twine(last) + " with " +
                 Twine(donor.kvHeads) + " heads of " + Twine(donor.headDim));
      return;
    }
  }
}

void checkLayers(const ModelConfig &config, FieldErrors &errors) {
  int64_t headDimOf[2] = {0, 0};
  for (int64_t layer = 0; layer < config.layerCount(); ++layer) {
    const LayerConfig &entry = config.layers[layer];
    if (entry.headDim % 2)
      errors.add("layer " + Twine(layer) + ": head_dim " + Twine(entry.headDim) +
                 " is odd, which rotary embedding does not allow");
    if (config.heads % entry.kvHeads)
      errors.add("layer " + Twine(layer) + ": " + Twine(config.heads) +
                 " query heads are no multiple of " + Twine(entry.kvHeads) + " key heads");
    if (config.heads * entry.headDim > (int64_t{1} << 24))
      errors.add("layer " + Twine(layer) + ": " + Twine(config.heads) + " heads of " +
                 Twine(entry.headDim) + " are more than this compiler handles");
    int64_t &headDim = headDimOf[static_cast<int>(entry.type)];
    if (headDim && headDim != entry.headDim)
      errors.add("layer " + Twine(layer) + ": head_dim " + Twine(entry.headDim) + " differs from " +
                 Twine(headDim) + " of earlier layers of its type; supported is one per type");
    headDim = entry.headDim;
  }
}

void parseMoe(const JsonReader &text, ModelConfig &config, FieldErrors &errors) {
  bool enabled = false;
  errors.set(enabled, text.flagOr("enable_moe_block", false));
  if (!enabled)
    return;
  errors.set(config.moe.experts, text.integer("num_experts", 1, 1 << 12));
  errors.set(config.moe.topK, text.integer("top_k_experts", 1, 1 << 12));
  errors.set(config.moe.intermediate, text.integer("moe_intermediate_size", 1, 1 << 18));
  if (config.moe.topK > config.moe.experts)
    errors.add(text.name("top_k_experts") + " is " + Twine(config.moe.topK) + ", more than the " +
               Twine(config.moe.experts) + " experts");
}

void parseText(const JsonReader &text, ModelConfig &config, FieldErrors &errors) {
  TextNumbers numbers;
  errors.set(numbers.layerCount, text.integer("num_hidden_layers", 1, maxLayers));
  errors.set(config.hidden, text.integer("hidden_size", 1, maxWidth));
  errors.set(numbers.intermediate, text.integer("intermediate_size", 1, maxWidth));
  errors.set(config.heads, text.integer("num_attention_heads", 1, 1 << 16));
  errors.set(numbers.kvHeads, text.integer("num_key_value_heads", 1, 1 << 16));
  errors.set(numbers.globalKvHeads,
             text.integerOr("num_global_key_value_heads", 1, 1 << 16, numbers.kvHeads));
  errors.set(numbers.headDim, text.integer("head_dim", 2, 1 << 16));
  bool reserialised = text.has("per_layer_config");
  // The released form has global_head_dim; without either form the size of global heads would be a
  // guess.
  if (reserialised && !text.has("global_head_dim"))
    numbers.globalHeadDim = numbers.headDim;
  else
    errors.set(numbers.globalHeadDim, text.integer("global_head_dim", 2, 1 << 16));
  errors.set(numbers.doubleWide, text.flagOr("use_double_wide_mlp", false));
  errors.set(numbers.keyEqualsValue, text.flagOr("attention_k_eq_v", false));
  errors.set(config.vocabulary, text.integer("vocab_size", 1, maxVocabulary));
  errors.set(config.perLayerInput, text.integerOr("hidden_size_per_layer_input", 0, maxWidth, 0));
  if (config.perLayerInput > 0)
    errors.set(config.perLayerVocabulary,
               text.integerOr("vocab_size_per_layer_input", 1, maxVocabulary, config.vocabulary));
  errors.set(config.window, text.integer("sliding_window", 1, maxContext));
  errors.set(config.sharedLayers, text.integerOr("num_kv_shared_layers", 0,
                                                 std::max<int64_t>(numbers.layerCount - 1, 0), 0));
  errors.set(config.rmsEpsilon, text.numberOr("rms_norm_eps", 0, 1, 1e-6));
  errors.set(config.logitSoftcap, text.numberOr("final_logit_softcapping", 0, 1e6, 0));
  errors.set(config.maxPositions, text.integer("max_position_embeddings", 1, maxContext));
  std::string bidirectional;
  errors.set(bidirectional, text.textOr("use_bidirectional_attention", ""));
  if (!bidirectional.empty() && bidirectional != "vision")
    errors.add(text.name("use_bidirectional_attention") + " is " + inQuotes(bidirectional) +
               ", supported are null and 'vision'");
  // For 12B the reference disagrees with itself: its forward() shows whole images, its static-cache
  // path and llama.cpp do as for 31B. Goldens are of forward().
  if (bidirectional == "vision")
    config.imageAttention = config.modelType == "gemma4_unified_text" ? ImageAttention::WholeImage
                                                                      : ImageAttention::InWindow;
  refuseUnknownArithmetic(text, errors);
  parseMoe(text, config, errors);
  if (errors.failed())
    return;

  parseLayerTypes(text, numbers.layerCount, config, errors);
  if (errors.failed())
    return;
  int64_t firstShared = numbers.layerCount - config.sharedLayers;
  for (int64_t layer = 0; layer < numbers.layerCount; ++layer) {
    LayerConfig &entry = config.layers[layer];
    bool full = entry.type == LayerType::Full;
    entry.headDim = full ? numbers.globalHeadDim : numbers.headDim;
    entry.kvHeads = full ? numbers.globalKvHeads : numbers.kvHeads;
    entry.intermediate =
        numbers.intermediate * (numbers.doubleWide && layer >= firstShared ? 2 : 1);
    entry.keyEqualsValue = full && numbers.keyEqualsValue;
  }
  applyPerLayerConfig(text, config, errors);
  if (errors.failed())
    return;
  shareKv(config, errors);
  checkLayers(config, errors);
  for (LayerType type : {LayerType::Sliding, LayerType::Full}) {
    auto layer = llvm::find_if(config.layers, [&](const LayerConfig &l) { return l.type == type; });
    if (layer == config.layers.end())
      continue;
    RopeConfig &rope = type == LayerType::Full ? config.fullRope : config.slidingRope;
    rope = parseRope(text, type, layer->headDim, errors);
  }
}

// Released configurations hold these at the top, text-only saves beside the sizes.
Expected<int64_t> tokenId(const JsonReader &outer, const JsonReader &text, StringRef key,
                          int64_t vocabulary) {
  const JsonReader &reader = outer.has(key) ? outer : text;
  return reader.integerOr(key, -1, vocabulary - 1, -1);
}

Error parseGeneration(StringRef generationText, ModelConfig &config) {
  Expected<llvm::json::Value> value = parseHostileJson(generationText, "generation_config.json");
  if (!value)
    return value.takeError();
  const llvm::json::Object *object = value->getAsObject();
  if (!object)
    return importError("generation_config.json: expected an object");
  JsonReader reader(*object, "generation_config.json");
  FieldErrors errors;
  GenerationConfig generation;
  int64_t last = config.vocabulary - 1;
  errors.set(generation.doSample, reader.flagOr("do_sample", false));
  errors.set(generation.temperature, reader.numberOr("temperature", 0, 1e6, 1.0));
  errors.set(generation.topP, reader.numberOr("top_p", 0, 1, 1.0));
  errors.set(generation.topK, reader.integerOr("top_k", 0, maxVocabulary, 50));
  errors.set(generation.eos, reader.integers("eos_token_id", 0, last));
  errors.set(generation.suppressed, reader.integers("suppress_tokens", 0, last));
  if (errors.failed())
    return errors.take();
  config.generation = std::move(generation);
  return Error::success();
}

} // namespace

Expected<ModelConfig> parseModelConfig(StringRef configText, StringRef generationText) {
  Expected<llvm::json::Value> value = parseHostileJson(configText, "config.json");
  if (!value)
    return value.takeError();
  const llvm::json::Object *object = value->getAsObject();
  if (!object)
    return importError("config.json: expected an object");
  return parseModelConfig(*object, "config.json", generationText);
}

Expected<ModelConfig> parseModelConfig(const llvm::json::Object &object, StringRef what,
                                       StringRef generationText) {
  JsonReader outer(object, what);
  ModelConfig config;
  Expected<const Family *> family = checkFamily(outer, config);
  if (!family)
    return family.takeError();

  FieldErrors errors;
  const llvm::json::Object *textObject = nullptr, *vision = nullptr, *audio = nullptr,
                           *quantization = nullptr;
  errors.set(textObject, outer.child("text_config"));
  errors.set(vision, outer.child("vision_config"));
  errors.set(audio, outer.child("audio_config"));
  errors.set(quantization, outer.child("quantization_config"));
  if (!quantization)
    errors.set(quantization, outer.child("quantization")); // MLX
  if (errors.failed())
    return errors.take();
  config.hasVision = vision != nullptr;
  config.hasAudio = audio != nullptr;
  if (vision)
    config.vision = parseVisionConfig(*vision, object);
  if (audio)
    config.audio = parseAudioConfig(*audio);
  if (quantization)
    errors.set(config.quantMethod, JsonReader(*quantization, (what + ": quantization_config").str())
                                       .textOr("quant_method", "mlx"));
  bool textOnly = (*family)->outer == (*family)->text;
  if (!textOnly && !textObject)
    return importError(what + ": text_config is missing");
  JsonReader text = textOnly ? outer : JsonReader(*textObject, (what + ": text_config").str());
  std::string innerType;
  errors.set(innerType, text.textOr("model_type", config.modelType));
  if (innerType != config.modelType)
    errors.add(text.name("model_type") + " is " + inQuotes(innerType) + ", expected " +
               inQuotes(config.modelType));
  errors.set(config.dtype, outer.textOr(outer.has("dtype") ? "dtype" : "torch_dtype", ""));
  parseText(text, config, errors);
  if (errors.failed())
    return errors.take();

  errors.set(config.tiedEmbedding, outer.has("tie_word_embeddings")
                                       ? outer.flagOr("tie_word_embeddings", true)
                                       : text.flagOr("tie_word_embeddings", true));
  errors.set(config.bos, tokenId(outer, text, "bos_token_id", config.vocabulary));
  errors.set(config.pad, tokenId(outer, text, "pad_token_id", config.vocabulary));
  const JsonReader &eosReader = outer.has("eos_token_id") ? outer : text;
  errors.set(config.eos, eosReader.integers("eos_token_id", 0, config.vocabulary - 1));
  errors.set(config.imageToken, tokenId(outer, text, "image_token_id", config.vocabulary));
  errors.set(config.audioToken, tokenId(outer, text, "audio_token_id", config.vocabulary));
  errors.set(config.videoToken, tokenId(outer, text, "video_token_id", config.vocabulary));
  if (errors.failed())
    return errors.take();
  if (!generationText.empty())
    if (Error error = parseGeneration(generationText, config))
      return std::move(error);
  return config;
}

int64_t countTextParameters(const ModelConfig &config) {
  int64_t total = 0;
  for (const TensorSpec &spec : expectedTextTensors(config))
    total += spec.elements();
  return total;
}

} // namespace gcompile
