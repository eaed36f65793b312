// The files beside the weights of a Hugging Face folder, for a model that comes from a container
// without them (GGUF): a text model of its own (Gemma4ForCausalLM), as its configuration, tokenizer
// and template were read.
#pragma once

#include "compiler/Import/ImportModel.h"

#include "llvm/Support/Error.h"

#include <string>
#include <utility>
#include <vector>

namespace gcompile {

// Names and contents; config.json is the first. Errors: sizes that such a configuration cannot
// state, pieces that JSON cannot hold.
llvm::Expected<std::vector<std::pair<std::string, std::string>>>
textModelFiles(const ImportedModel &model);

// What its tensors are called: "model." and the canonical name.
std::string textModelTensor(llvm::StringRef canonical);

} // namespace gcompile
