// The way in: a folder, a GGUF or .safetensors file, or a preset becomes everything the compiler
// knows about a model.
#pragma once

#include "compiler/Import/ChatTemplate.h"
#include "compiler/Import/Checkpoint.h"
#include "compiler/Import/Gemma4Tensors.h"
#include "compiler/Import/ModelConfig.h"
#include "compiler/Import/TokenizerData.h"

#include "ir/Format/ActivationScales.h"

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace gcompile {

enum class Container : uint8_t { None, Safetensors, Gguf }; // what the weights were found in
llvm::StringRef name(Container container);                  // "safetensors", "GGUF"

struct ImportOptions {
  std::optional<uint64_t> syntheticSeed; // generate the weights instead of reading them
};

struct ImportedModel {
  ModelConfig config;
  Container container = Container::None; // None: a preset, or generated weights
  std::unique_ptr<Checkpoint>
      checkpoint; // null: a preset without weights; it can be planned, not compiled
  std::optional<TextTensors> tensors; // resolved in `checkpoint`, which it points into
  std::optional<TokenizerData> tokenizer;
  gc_turn_form turns{};
  std::string chatTemplate;       // as found; empty: none
  std::string name;               // plain name for manifests and messages
  std::vector<std::string> notes; // what the user should know: dropped towers, no tokenizer, …
};

// The static activations that the checkpoint was made for (docs/decisions/0011), by canonical name
// of the weight; empty: it states none.
std::map<std::string, ActivationScales> statedActivationScales(const ImportedModel &model);
// And its static cache scales, by layer that owns a cache. A scale for codes of other width covers
// the same range.
std::map<int64_t, CacheScaleChoice> statedCacheScales(const ImportedModel &model);

// Whether a regular file is one of weights, by its content.
bool isCheckpointFile(llvm::StringRef path);

// `source` is a path (it exists, or holds a '/') or a preset's name.
llvm::Expected<ImportedModel> importModel(llvm::StringRef source,
                                          const ImportOptions &options = {});

} // namespace gcompile
