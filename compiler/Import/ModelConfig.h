// What a Gemma 4 checkpoint says about its text model, fully resolved: every number that the IR
// builder, the planner and the importer need, one entry per layer, no defaults left to guess.
// Filled from config.json (as released, and as transformers re-serialises it with per_layer_config)
// and generation_config.json, or from a preset. Counts are elements, not bytes.
#pragma once

#include "compiler/Import/TowerConfig.h"

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"
#include "llvm/Support/JSON.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace gcompile {

enum class LayerType : uint8_t { Sliding, Full };

struct LayerConfig {
  LayerType type = LayerType::Sliding;
  int64_t headDim = 0;
  int64_t kvHeads = 0;
  int64_t intermediate = 0; // width of the dense feed-forward part of this layer
  bool ownsKv = true;       // false: reads the cache of kvDonor and has no k_proj, v_proj, k_norm
  int64_t kvDonor = 0;      // layer whose cache this one reads; itself when it owns one
  bool keyEqualsValue = false; // owner without v_proj: v is the raw k projection

  // Of an owner: K = rope(V ⊙ key norm), so that V alone is cached (docs/decisions/0007).
  bool derivesKeys() const { return keyEqualsValue && type == LayerType::Full; }
};

// Rotary embedding of one layer type. Pair i of headDim/2 rotates with theta^(-2i/headDim) for i <
// rotatedPairs, else not at all.
struct RopeConfig {
  double theta = 0;
  int64_t rotatedPairs = 0;
};

struct MoeConfig {
  int64_t experts = 0; // 0: dense model
  int64_t topK = 0;
  int64_t intermediate = 0; // of one expert
};

// Sampling defaults (generation_config.json).
struct GenerationConfig {
  bool doSample = false;
  double temperature = 1.0;
  double topP = 1.0;
  int64_t topK = 50; // 0: off
  std::vector<int64_t> eos;
  std::vector<int64_t> suppressed;
};

// What the rows of an image see of its later rows in prefill (gemma4.md 2.5).
enum class ImageAttention {
  Causal,     // nothing: E2B, E4B
  InWindow,   // on sliding layers, inside the window: 26B-A4B, 31B
  WholeImage, // on all layers, and beyond the window too: 12B as transformers' forward() has it
};

struct ModelConfig {
  std::string name;         // preset or folder name; never a path
  std::string architecture; // "Gemma4ForConditionalGeneration", …
  std::string modelType;    // of the text part: "gemma4_text" or "gemma4_unified_text"
  std::string dtype;        // as stated, may be empty

  int64_t hidden = 0;
  int64_t heads = 0; // query heads, same in every layer
  int64_t vocabulary = 0;
  int64_t perLayerInput = 0;      // PLE width; 0: none
  int64_t perLayerVocabulary = 0; // rows of the PLE table; 0: none
  int64_t window = 0;             // keys a sliding layer sees, the query itself included
  int64_t sharedLayers = 0;       // the last so many layers own no KV
  double rmsEpsilon = 1e-6;
  double logitSoftcap = 0; // 0: none
  bool tiedEmbedding = true;
  ImageAttention imageAttention = ImageAttention::Causal;
  int64_t maxPositions = 0;
  RopeConfig slidingRope, fullRope;
  MoeConfig moe;
  std::vector<LayerConfig> layers;

  // Special ids; -1: the checkpoint names none.
  int64_t bos = -1, pad = -1;
  std::vector<int64_t> eos; // config.json's; generation.eos wins for stopping when it is not empty
  int64_t imageToken = -1, audioToken = -1, videoToken = -1; // soft slots

  bool hasVision = false, hasAudio = false;
  std::optional<VisionConfig> vision; // absent: none, or not described as published ones are
  std::optional<AudioConfig> audio;
  std::string quantMethod; // quantization_config.quant_method; empty: plain weights

  std::optional<GenerationConfig> generation; // absent: no generation_config.json

  bool hasPerLayerInput() const { return perLayerInput > 0; }
  bool isMoe() const { return moe.experts > 0; }
  int64_t layerCount() const { return static_cast<int64_t>(layers.size()); }
  const RopeConfig &rope(LayerType type) const {
    return type == LayerType::Full ? fullRope : slidingRope;
  }
  // Ids that end a generation: generation_config's, else config's.
  const std::vector<int64_t> &stopTokens() const {
    return generation && !generation->eos.empty() ? generation->eos : eos;
  }
};

// Reads config.json. `generationText` is generation_config.json, or empty when there is none.
llvm::Expected<ModelConfig> parseModelConfig(llvm::StringRef configText,
                                             llvm::StringRef generationText = {});
// The same from fields that another container states; `what` names it in messages.
llvm::Expected<ModelConfig> parseModelConfig(const llvm::json::Object &config, llvm::StringRef what,
                                             llvm::StringRef generationText = {});

// Parameters of the text model (tied head counted once), from shapes alone.
int64_t countTextParameters(const ModelConfig &config);

// Published sizes, known by shape alone: presets/NAME.json in $GCOMPILE_PRESETS, beside the
// program, or in the source tree. Names are compared without case; "gemma-4-E2B" and "E2B" are the
// same, "-it" is accepted.
llvm::Expected<ModelConfig> loadPreset(llvm::StringRef name);
std::vector<std::string> presetNames(); // in growing size
bool isPresetName(llvm::StringRef name);
// The preset that a name means ("google/gemma-4-E2B-it": "gemma-4-E2B"), if any.
std::optional<std::string> publishedPreset(llvm::StringRef name);
// The text of another file that lies beside the presets.
llvm::Expected<std::string> readPresetFile(llvm::StringRef fileName);

} // namespace gcompile
