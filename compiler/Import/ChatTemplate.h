// Reduces a chat template (Jinja) to the data that the runtime renders turns from (gc_turn_form).
// No Jinja is run: Gemma's own turn form is recognised by its literals, and anything else gives
// present = 0 with a note that says why.
#pragma once

#include "runtime/abi/gc_artifact.h"

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <string>

namespace gcompile {

struct ChatTemplate {
  gc_turn_form form{}; // form.present == 0: not recognised
  std::string note;    // empty when recognised
};

ChatTemplate reduceChatTemplate(llvm::StringRef text);

// The template inside tokenizer_config.json ("chat_template": text, or a list of named ones of
// which "default" counts); empty: none.
llvm::Expected<std::string> chatTemplateOfTokenizerConfig(llvm::StringRef text);

} // namespace gcompile
