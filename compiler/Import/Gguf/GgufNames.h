// What tensors of a Gemma 4 model are called in GGUF files.
#pragma once

#include "llvm/ADT/StringRef.h"

#include <optional>
#include <string>

namespace gcompile {

// "blk.3.ffn_down.weight" -> "layers.3.mlp.down_proj.weight"; names that are not known inside a
// block keep their rest ("layers.3.xyz.weight"), so that nothing unknown is computed without;
// others: none.
std::optional<std::string> logicalNameOfGguf(llvm::StringRef name);

// The name of the text model's tensor in GGUF files ("layers.3.mlp.down_proj.weight" ->
// "blk.3.ffn_down.weight"); none: it has no counterpart.
std::optional<std::string> ggufNameOfLogical(llvm::StringRef name);

} // namespace gcompile
