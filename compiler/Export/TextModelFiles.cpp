#include "compiler/Export/TextModelFiles.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/raw_ostream.h"

#include <charconv>
#include <cmath>

using namespace llvm;

namespace gcompile {
namespace {

constexpr StringRef spaceMark = "\xe2\x96\x81"; // U+2581

// A text of JSON, indented. Numbers that are no integers keep their point: readers are strict.
class JsonText {
public:
  JsonText() : stream(text), json(stream, 2) {}
  json::OStream *operator->() { return &json; }
  void number(StringRef key, double value) {
    char digits[40];
    std::string printed(digits, std::to_chars(digits, std::end(digits), value).ptr);
    json.attributeBegin(key);
    json.rawValue(StringRef(printed).find_first_of(".en") == StringRef::npos ? printed + ".0"
                                                                             : printed);
    json.attributeEnd();
  }
  void idOrNothing(StringRef key, int64_t id) {
    if (id >= 0)
      json.attribute(key, id);
  }
  std::string take() {
    json.flush();
    return text + "\n";
  }

private:
  std::string text;
  raw_string_ostream stream;
  json::OStream json;
};

// Numbers of a configuration as released, which has one of each kind for all layers.
struct Sizes {
  int64_t intermediate = 0;
  bool doubleWide = false, keyEqualsValue = false;
  LayerConfig local, global; // of the first layer of each type; head width 0: there is none
};

Expected<Sizes> sizesOf(const ModelConfig &config) {
  Sizes sizes;
  for (const LayerConfig &layer : config.layers) {
    LayerConfig &first = layer.type == LayerType::Full ? sizes.global : sizes.local;
    if (first.headDim == 0)
      first = layer;
  }
  sizes.keyEqualsValue = sizes.global.keyEqualsValue;
  if (sizes.local.headDim == 0)
    sizes.local = sizes.global;
  if (sizes.global.headDim == 0)
    sizes.global = sizes.local;
  sizes.intermediate = config.layers.front().intermediate;
  sizes.doubleWide = config.layers.back().intermediate != sizes.intermediate;
  int64_t firstShared = config.layerCount() - config.sharedLayers;
  for (int64_t i = 0; i < config.layerCount(); ++i) {
    const LayerConfig &layer = config.layers[i];
    int64_t width = sizes.intermediate * (sizes.doubleWide && i >= firstShared ? 2 : 1);
    int64_t heads = layer.type == LayerType::Full && sizes.keyEqualsValue ? sizes.global.kvHeads
                                                                          : sizes.local.kvHeads;
    if (layer.intermediate != width || layer.kvHeads != heads)
      return createStringError("layer " + Twine(i) + " has " + Twine(layer.kvHeads) +
                               " key heads and a feed-forward part of " +
                               Twine(layer.intermediate) + ", a config.json can state " +
                               Twine(heads) + " and " + Twine(width) +
                               " there; export the model's safetensors folder instead");
  }
  return sizes;
}

// The fraction that gives these pairs when readers round down.
double rotaryFactor(const RopeConfig &rope, int64_t headDim) {
  double factor = 2.0 * double(rope.rotatedPairs) / double(headDim);
  while (factor < 1 && int64_t(factor * double(headDim)) / 2 < rope.rotatedPairs)
    factor = std::nextafter(factor, 1.0);
  return factor;
}

std::string configJson(const ModelConfig &config, const Sizes &sizes) {
  JsonText out;
  out->object([&] {
    out->attributeArray("architectures", [&] { out->value("Gemma4ForCausalLM"); });
    out->attribute("model_type", "gemma4_text");
    out->attribute("dtype", "bfloat16");
    out->attribute("vocab_size", config.vocabulary);
    out->attribute("hidden_size", config.hidden);
    out->attribute("intermediate_size", sizes.intermediate);
    out->attribute("use_double_wide_mlp", sizes.doubleWide);
    out->attribute("num_hidden_layers", config.layerCount());
    out->attribute("num_attention_heads", config.heads);
    out->attribute("num_key_value_heads", sizes.local.kvHeads);
    out->attribute("head_dim", sizes.local.headDim);
    out->attribute("global_head_dim", sizes.global.headDim);
    out->attribute("attention_k_eq_v", sizes.keyEqualsValue);
    if (sizes.keyEqualsValue)
      out->attribute("num_global_key_value_heads", sizes.global.kvHeads);
    out->attribute("attention_bias", false);
    out->attribute("num_kv_shared_layers", config.sharedLayers);
    out->attribute("sliding_window", config.window);
    out->attributeArray("layer_types", [&] {
      for (const LayerConfig &layer : config.layers)
        out->value(layer.type == LayerType::Full ? "full_attention" : "sliding_attention");
    });
    out->attributeObject("rope_parameters", [&] {
      out->attributeObject("full_attention", [&] {
        out->attribute("rope_type", "proportional");
        out.number("partial_rotary_factor", rotaryFactor(config.fullRope, sizes.global.headDim));
        out.number("rope_theta", config.fullRope.theta);
      });
      out->attributeObject("sliding_attention", [&] {
        out->attribute("rope_type", "default");
        out.number("rope_theta", config.slidingRope.theta);
      });
    });
    out->attribute("max_position_embeddings", config.maxPositions);
    out->attribute("hidden_size_per_layer_input", config.perLayerInput);
    if (config.hasPerLayerInput())
      out->attribute("vocab_size_per_layer_input", config.perLayerVocabulary);
    out->attribute("hidden_activation", "gelu_pytorch_tanh");
    out.number("rms_norm_eps", config.rmsEpsilon);
    if (config.logitSoftcap > 0)
      out.number("final_logit_softcapping", config.logitSoftcap);
    out->attribute("enable_moe_block", config.isMoe());
    if (config.isMoe()) {
      out->attribute("num_experts", config.moe.experts);
      out->attribute("top_k_experts", config.moe.topK);
      out->attribute("moe_intermediate_size", config.moe.intermediate);
    }
    out->attribute("tie_word_embeddings", true);
    out.idOrNothing("bos_token_id", config.bos);
    out.idOrNothing("pad_token_id", config.pad);
    out->attribute("eos_token_id", json::Array(config.stopTokens()));
  });
  return out.take();
}

std::string generationJson(const ModelConfig &config) {
  JsonText out;
  out->object([&] {
    out.idOrNothing("bos_token_id", config.bos);
    out.idOrNothing("pad_token_id", config.pad);
    out->attribute("eos_token_id", json::Array(config.stopTokens()));
    if (!config.generation || !config.generation->doSample)
      return;
    out->attribute("do_sample", true);
    out.number("temperature", config.generation->temperature);
    out.number("top_p", config.generation->topP);
    out->attribute("top_k", config.generation->topK);
    if (!config.generation->suppressed.empty())
      out->attribute("suppress_tokens", json::Array(config.generation->suppressed));
  });
  return out.take();
}

void writeReplace(JsonText &out, StringRef from, StringRef to) {
  out->attribute("type", "Replace");
  out->attributeObject("pattern", [&] { out->attribute("String", from); });
  out->attribute("content", to);
}

// Puts this token in front, as runtimes of Gemma do.
void writeStart(JsonText &out, StringRef piece, int64_t id) {
  auto part = [&](StringRef kind, StringRef what) {
    out->object([&] {
      out->attributeObject(kind, [&] {
        out->attribute("id", what);
        out->attribute("type_id", 0);
      });
    });
  };
  out->attribute("type", "TemplateProcessing");
  for (StringRef key : {"single", "pair"})
    out->attributeArray(key, [&] {
      part("SpecialToken", piece);
      part("Sequence", "A");
      if (key == "single")
        return;
      part("SpecialToken", piece);
      part("Sequence", "B");
    });
  out->attributeObject("special_tokens", [&] {
    out->attributeObject(piece, [&] {
      out->attribute("id", piece);
      out->attributeArray("ids", [&] { out->value(id); });
      out->attributeArray("tokens", [&] { out->value(piece); });
    });
  });
}

Expected<std::string> tokenizerJson(const TokenizerData &data, int64_t bos) {
  for (size_t id = 0; id < data.pieces.size(); ++id)
    if (!json::isUTF8(data.pieces[id]))
      return createStringError("piece " + Twine(id) +
                               " of the tokenizer is no UTF-8, which a tokenizer.json cannot hold");
  JsonText out;
  out->object([&] {
    out->attribute("version", "1.0");
    out->attributeArray("added_tokens", [&] {
      for (const SpecialToken &token : data.added)
        out->object([&] {
          out->attribute("id", token.id);
          out->attribute("content", token.content);
          for (StringRef flag : {"single_word", "lstrip", "rstrip", "normalized"})
            out->attribute(flag, false);
          out->attribute("special", token.special);
        });
    });
    out->attributeObject("normalizer", [&] { writeReplace(out, " ", spaceMark); });
    out->attribute("pre_tokenizer", nullptr);
    if (bos >= 0 && size_t(bos) < data.pieces.size())
      out->attributeObject("post_processor",
                           [&] { writeStart(out, data.pieces[size_t(bos)], bos); });
    out->attributeObject("decoder", [&] {
      out->attribute("type", "Sequence");
      out->attributeArray("decoders", [&] {
        out->object([&] { writeReplace(out, spaceMark, " "); });
        for (StringRef type : {"ByteFallback", "Fuse"})
          out->object([&] { out->attribute("type", type); });
      });
    });
    out->attributeObject("model", [&] {
      out->attribute("type", "BPE");
      if (data.unknown >= 0)
        out->attribute("unk_token", data.pieces[size_t(data.unknown)]);
      out->attribute("fuse_unk", true);
      out->attribute("byte_fallback", true);
      out->attribute("ignore_merges", false);
      out->attributeObject("vocab", [&] {
        for (size_t id = 0; id < data.pieces.size(); ++id)
          out->attribute(data.pieces[id], int64_t(id));
      });
      out->attributeArray("merges", [&] {
        for (auto [left, right] : data.merges)
          out->array([&] {
            out->value(data.pieces[left]);
            out->value(data.pieces[right]);
          });
      });
    });
  });
  return out.take();
}

std::string tokenizerConfigJson(const ModelConfig &config, const TokenizerData &data) {
  JsonText out;
  auto token = [&](StringRef key, int64_t id) {
    if (id >= 0 && size_t(id) < data.pieces.size())
      out->attribute(key, data.pieces[size_t(id)]);
  };
  out->object([&] {
    out->attribute("tokenizer_class", "PreTrainedTokenizerFast");
    token("bos_token", config.bos);
    token("eos_token", config.stopTokens().empty() ? -1 : config.stopTokens().front());
    token("pad_token", config.pad);
    token("unk_token", data.unknown);
    out->attribute("clean_up_tokenization_spaces", false);
    out->attribute("padding_side", "left");
    out->attribute("model_max_length", config.maxPositions);
  });
  return out.take();
}

} // namespace

std::string textModelTensor(StringRef canonical) { return ("model." + canonical).str(); }

Expected<std::vector<std::pair<std::string, std::string>>>
textModelFiles(const ImportedModel &model) {
  Expected<Sizes> sizes = sizesOf(model.config);
  if (!sizes)
    return sizes.takeError();
  std::vector<std::pair<std::string, std::string>> files;
  files.emplace_back("config.json", configJson(model.config, *sizes));
  files.emplace_back("generation_config.json", generationJson(model.config));
  if (model.tokenizer) {
    Expected<std::string> tokenizer = tokenizerJson(*model.tokenizer, model.config.bos);
    if (!tokenizer)
      return tokenizer.takeError();
    files.emplace_back("tokenizer.json", std::move(*tokenizer));
    files.emplace_back("tokenizer_config.json",
                       tokenizerConfigJson(model.config, *model.tokenizer));
  }
  if (!model.chatTemplate.empty())
    files.emplace_back("chat_template.jinja", model.chatTemplate);
  return files;
}

} // namespace gcompile
