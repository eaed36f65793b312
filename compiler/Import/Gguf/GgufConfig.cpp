// Keys become the fields of the config.json that they were made from, so that one parser checks and
// derives everything else.
#include "compiler/Import/Gguf/GgufModel.h"

#include "compiler/Import/HostileJson.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/raw_ostream.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <set>

using llvm::Error;
using llvm::Expected;
using llvm::StringRef;
using llvm::Twine;
using llvm::json::Object;

namespace gcompile {

namespace {

constexpr StringRef prefix = "gemma4.";
constexpr int64_t maxLayers = 512, maxNumber = int64_t{1} << 28;

// Texts of tokens at which Gemma 4 stops; llama.cpp looks for the same ones.
constexpr StringRef endTexts[] = {"<eos>", "<turn|>", "<|tool_response>"};

Error checkKind(const GgufHeader &header, StringRef what) {
  StringRef architecture = header.text("general.architecture"), type = header.text("general.type");
  if (type == "imatrix")
    return importError(what + " is an importance matrix, not a model; give it to --imatrix");
  if (architecture == "clip" || type == "mmproj")
    return importError(what +
                       " holds the towers for images and sound (mmproj), which are not read; "
                       "give the file of the text model");
  if (architecture == "gemma4-assistant")
    return importError(what +
                       " is a drafter for speculative decoding; give the model it drafts for");
  if (type == "adapter")
    return importError(what + " is an adapter; merge it into its model first");
  if (architecture != "gemma4")
    return importError(what + " has architecture " + inQuotes(architecture) +
                       ", supported is 'gemma4'");
  return Error::success();
}

// The number that was meant: 1e-6 stored as f32 is not 1e-6 as f64.
double decimalOf(const GgufValue &value) {
  double stored = value.numbers[0];
  if (value.type != GgufValueType::F32)
    return stored;
  char text[32];
  std::snprintf(text, sizeof text, "%.7g", stored);
  double decimal = std::strtod(text, nullptr);
  return static_cast<float>(decimal) == static_cast<float>(stored) ? decimal : stored;
}

class ConfigWriter {
public:
  ConfigWriter(const GgufHeader &header, const GgufFacts &facts, StringRef what)
      : header(header), facts(facts), what(what) {}

  Expected<ModelConfig> write() {
    writeSizes();
    writeLayers();
    writeAttention();
    writeRope();
    writeExperts();
    writeTokens();
    if (!failure.empty())
      return importError(failure);
    std::string generationText;
    if (!generation.empty())
      llvm::raw_string_ostream(generationText) << llvm::json::Value(std::move(generation));
    return parseModelConfig(config, what, generationText);
  }

private:
  void fault(const Twine &text) {
    if (failure.empty())
      failure = (what + ": " + text).str();
  }

  const GgufValue *find(StringRef key) const { return header.find((prefix + key).str()); }

  // A single integer in [low, high]; `otherwise` when it is absent, an error without one.
  int64_t integer(StringRef key, int64_t low, int64_t high,
                  std::optional<int64_t> otherwise = std::nullopt) {
    const GgufValue *value = find(key);
    if (!value && otherwise)
      return *otherwise;
    if (!value) {
      fault("key " + prefix + key + " is missing");
      return low;
    }
    if (value->isArray || !value->isInteger() || value->integers[0] < low ||
        value->integers[0] > high) {
      fault("key " + prefix + key + " is not a whole number from " + Twine(low) + " to " +
            Twine(high));
      return low;
    }
    return value->integers[0];
  }

  double real(StringRef key, std::optional<double> otherwise = std::nullopt) {
    const GgufValue *value = find(key);
    if (!value && otherwise)
      return *otherwise;
    if (!value || value->isArray || !value->isNumber() || !std::isfinite(value->numbers[0])) {
      fault("key " + prefix + key + (value ? " is not a finite number" : " is missing"));
      return 0;
    }
    return decimalOf(*value);
  }

  // One integer for all layers, or an array with one a layer (further ones are not looked at).
  std::vector<int64_t> perLayer(StringRef key, int64_t low, int64_t high) {
    const GgufValue *value = find(key);
    if (!value || !value->isArray)
      return std::vector<int64_t>(layers, integer(key, low, high));
    if (!value->isInteger() || value->size() < static_cast<size_t>(layers)) {
      fault("key " + prefix + key + " has " + Twine(value->size()) +
            " entries, expected whole numbers for " + Twine(layers) + " layers");
      return std::vector<int64_t>(layers, low);
    }
    for (int64_t number : llvm::ArrayRef(value->integers).take_front(layers))
      if (number < low || number > high)
        fault("key " + prefix + key + " has an entry of " + Twine(number) + ", expected " +
              Twine(low) + " to " + Twine(high));
    return {value->integers.begin(), value->integers.begin() + layers};
  }

  void writeSizes() {
    config["model_type"] = "gemma4_text";
    config["architectures"] = llvm::json::Array{"Gemma4ForCausalLM"};
    config["num_hidden_layers"] = layers = integer("block_count", 1, maxLayers);
    config["hidden_size"] = integer("embedding_length", 1, maxNumber);
    config["max_position_embeddings"] = integer("context_length", 1, maxNumber);
    config["rms_norm_eps"] = real("attention.layer_norm_rms_epsilon");
    if (double cap = real("final_logit_softcapping", 0.0); cap > 0)
      config["final_logit_softcapping"] = cap;
    if (facts.vocabulary == 0)
      fault("there is no matrix 'token_embd.weight'");
    config["vocab_size"] = facts.vocabulary;
    int64_t perLayerInput = integer("embedding_length_per_layer_input", 0, maxNumber, 0);
    config["hidden_size_per_layer_input"] = perLayerInput;
    if (perLayerInput == 0) // no key says so; of the published sizes these do, and llama.cpp too
      config["use_bidirectional_attention"] = "vision";
    if (perLayerInput > 0 && facts.perLayerVocabulary == 0)
      fault("there is no matrix 'per_layer_token_embd.weight', though layers have inputs of their "
            "own");
    if (facts.perLayerVocabulary > 0)
      config["vocab_size_per_layer_input"] = facts.perLayerVocabulary;
    config["tie_word_embeddings"] = !facts.has("output.weight");
  }

  void writeLayers() {
    const GgufValue *pattern = find("attention.sliding_window_pattern");
    if (!pattern || !pattern->isArray || !pattern->isInteger() ||
        pattern->size() < static_cast<size_t>(layers)) {
      fault("key " + prefix +
            "attention.sliding_window_pattern is not a list of one truth value a layer");
      return;
    }
    llvm::json::Array types;
    for (int64_t layer = 0; layer < layers; ++layer) {
      full.push_back(pattern->integers[layer] == 0 || layer == layers - 1);
      types.push_back(full.back() ? "full_attention" : "sliding_attention");
    }
    config["layer_types"] = std::move(types);
    config["sliding_window"] = integer("attention.sliding_window", 1, maxNumber);
    config["num_kv_shared_layers"] = shared =
        integer("attention.shared_kv_layers", 0, layers - 1, 0);
  }

  void writeAttention() {
    if (full.empty())
      return;
    std::vector<int64_t> heads = perLayer("attention.head_count", 1, 1 << 16);
    std::vector<int64_t> kvHeads = perLayer("attention.head_count_kv", 1, 1 << 16);
    std::vector<int64_t> widths = perLayer("feed_forward_length", 1, maxNumber);
    if (!llvm::all_equal(heads))
      fault("key " + prefix +
            "attention.head_count differs between layers, supported is one number");
    int64_t keyLength = integer("attention.key_length", 2, 1 << 16);
    int64_t slidingLength = integer("attention.key_length_swa", 2, 1 << 16, keyLength);
    if (integer("attention.value_length", 2, 1 << 16, keyLength) != keyLength ||
        integer("attention.value_length_swa", 2, 1 << 16, slidingLength) != slidingLength)
      fault("keys and values have different lengths, which Gemma 4 does not have");
    config["num_attention_heads"] = heads[0];
    config["num_key_value_heads"] = kvHeads[0];
    config["intermediate_size"] = widths[0];
    config["head_dim"] = slidingLength;
    config["global_head_dim"] = globalLength = keyLength;
    Object perLayerConfig;
    bool sharesKeyAndValue = false, hasValue = false;
    for (int64_t layer = 0; layer < layers; ++layer) {
      perLayerConfig[std::to_string(layer)] =
          Object{{"num_key_value_heads", kvHeads[layer]}, {"intermediate_size", widths[layer]}};
      if (full[layer] && layer < layers - shared)
        (facts.has("blk." + std::to_string(layer) + ".attn_v.weight") ? hasValue
                                                                      : sharesKeyAndValue) = true;
    }
    config["per_layer_config"] = std::move(perLayerConfig);
    if (sharesKeyAndValue && hasValue)
      fault("some global layers have 'attn_v.weight' and others have not; it is cut or was edited");
    config["attention_k_eq_v"] = sharesKeyAndValue;
  }

  // rope_freqs: divisors of the global layers' frequencies, ones for pairs that rotate and then
  // 1e30 for those that do not.
  void writeRope() {
    if (full.empty() || globalLength == 0)
      return;
    for (auto [key, length] :
         {std::pair<StringRef, StringRef>{"rope.dimension_count", "attention.key_length"},
          {"rope.dimension_count_swa", "attention.key_length_swa"}})
      if (find(key) && find(length) && integer(key, 1, maxNumber) != integer(length, 1, maxNumber))
        fault("key " + prefix + key + " differs from " + prefix + length +
              ", which Gemma 4 does not have");
    int64_t pairs = globalLength / 2, rotated = 0;
    llvm::ArrayRef<float> divisors = facts.ropeFrequencies;
    if (divisors.empty()) {
      fault("there is no tensor 'rope_freqs.weight', which says how much of a global head rotates");
      return;
    }
    while (rotated < static_cast<int64_t>(divisors.size()) && divisors[rotated] == 1.0f)
      ++rotated;
    if (static_cast<int64_t>(divisors.size()) != pairs || rotated == 0 ||
        llvm::any_of(divisors.drop_front(rotated), [](float value) { return !(value >= 1e29f); }))
      fault("tensor 'rope_freqs.weight' is not " + Twine(pairs) +
            " values, first ones, then of 1e30, which is what Gemma 4 has");
    // A quarter above the number of values: rounding down gives `rotated` again.
    double fraction =
        (2.0 * static_cast<double>(rotated) + 0.5) / static_cast<double>(globalLength);
    Object global{{"rope_type", "proportional"},
                  {"rope_theta", real("rope.freq_base")},
                  {"partial_rotary_factor", std::min(fraction, 1.0)}};
    Object sliding{{"rope_type", "default"}, {"rope_theta", real("rope.freq_base_swa")}};
    config["rope_parameters"] =
        Object{{"full_attention", std::move(global)}, {"sliding_attention", std::move(sliding)}};
  }

  void writeExperts() {
    int64_t experts = integer("expert_count", 0, 1 << 12, 0);
    if (experts == 0)
      return;
    config["enable_moe_block"] = true;
    config["num_experts"] = experts;
    config["top_k_experts"] = integer("expert_used_count", 1, 1 << 12);
    std::vector<int64_t> widths = perLayer("expert_feed_forward_length", 1, maxNumber);
    if (!llvm::all_equal(widths))
      fault("key " + prefix +
            "expert_feed_forward_length differs between layers, supported is one number");
    config["moe_intermediate_size"] = widths[0];
  }

  std::optional<int64_t> tokenKey(StringRef key) {
    const GgufValue *value = header.find(("tokenizer.ggml." + key).str());
    if (!value)
      return std::nullopt;
    if (value->isArray || !value->isInteger() || value->integers[0] < 0 ||
        value->integers[0] >= facts.vocabulary) {
      // Converters write −1 as the largest number for "none".
      if (!value->isArray && value->isInteger() &&
          (value->integers[0] < 0 || value->integers[0] == int64_t{0xffffffff}))
        return std::nullopt;
      fault("key tokenizer.ggml." + key + " is not a token of a vocabulary of " +
            Twine(facts.vocabulary));
      return std::nullopt;
    }
    return value->integers[0];
  }

  double samplingNumber(StringRef key, double otherwise) const {
    const GgufValue *value = header.find(("general.sampling." + key).str());
    if (!value || value->isArray || value->type == GgufValueType::String)
      return otherwise;
    return value->isNumber() ? decimalOf(*value) : static_cast<double>(value->integers[0]);
  }

  void writeTokens() {
    if (std::optional<int64_t> bos = tokenKey("bos_token_id"))
      config["bos_token_id"] = *bos;
    if (std::optional<int64_t> pad = tokenKey("padding_token_id"))
      config["pad_token_id"] = *pad;
    std::set<int64_t> ends;
    for (StringRef key : {"eos_token_id", "eot_token_id", "eom_token_id"})
      if (std::optional<int64_t> id = tokenKey(key))
        ends.insert(*id);
    const GgufValue *tokens = header.find("tokenizer.ggml.tokens");
    if (tokens && tokens->isArray && tokens->type == GgufValueType::String)
      for (size_t id = 0; id < std::min(tokens->size(), size_t(facts.vocabulary)); ++id)
        if (llvm::is_contained(endTexts, tokens->string(id)))
          ends.insert(static_cast<int64_t>(id));
    llvm::json::Array list;
    for (int64_t id : ends)
      list.push_back(id);
    config["eos_token_id"] = std::move(list);

    if (header.find("general.sampling.temp") || header.find("general.sampling.top_k") ||
        header.find("general.sampling.top_p")) {
      generation["do_sample"] = true;
      generation["temperature"] = samplingNumber("temp", 1.0);
      generation["top_k"] = static_cast<int64_t>(std::clamp(samplingNumber("top_k", 0), 0.0, 1e7));
      generation["top_p"] = samplingNumber("top_p", 1.0);
    }
    const GgufValue *suppressed = header.find("tokenizer.ggml.suppress_tokens");
    if (suppressed && suppressed->isArray && suppressed->isInteger()) {
      llvm::json::Array ids;
      for (int64_t id : suppressed->integers)
        ids.push_back(id);
      generation["suppress_tokens"] = std::move(ids);
    }
  }

  const GgufHeader &header;
  const GgufFacts &facts;
  StringRef what;
  std::string failure;
  Object config, generation;
  int64_t layers = 0, shared = 0, globalLength = 0;
  std::vector<bool> full;
};

} // namespace

Expected<ModelConfig> ggufModelConfig(const GgufHeader &header, const GgufFacts &facts,
                                      StringRef what) {
  if (Error error = checkKind(header, what))
    return std::move(error);
  return ConfigWriter(header, facts, what).write();
}

} // namespace gcompile
