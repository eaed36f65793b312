// What the keys of a GGUF file say about a Gemma 4 model: configuration, tokenizer, chat template.
#pragma once

#include "compiler/Import/Gguf/GgufCheckpoint.h"
#include "compiler/Import/ModelConfig.h"
#include "compiler/Import/TokenizerData.h"

#include "llvm/ADT/STLFunctionalExtras.h"

#include <optional>

namespace gcompile {

// What the configuration needs of the tensors.
struct GgufFacts {
  int64_t vocabulary = 0, perLayerVocabulary = 0;
  llvm::ArrayRef<float> ropeFrequencies;
  llvm::function_ref<bool(llvm::StringRef)> has; // by GGUF's name
};

// `what` names the file in messages. Files that hold something else than the text model of a Gemma
// 4 (towers, drafters, other architectures, importance matrices) are refused by what they are.
llvm::Expected<ModelConfig> ggufModelConfig(const GgufHeader &header, const GgufFacts &facts,
                                            llvm::StringRef what);

// None: the file holds no vocabulary.
llvm::Expected<std::optional<TokenizerData>>
ggufTokenizer(const GgufHeader &header, int64_t vocabulary, llvm::StringRef what);

} // namespace gcompile
