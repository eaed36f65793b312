// The safetensors header: text to tensors, every number checked against the size of the data behind
// it. Apart from the reader of files so that tests and the fuzzer can feed it bytes. Offsets that
// come out are relative to the start of the data.
#pragma once

#include "compiler/Import/Checkpoint.h"

#include <vector>

namespace gcompile {

// Parses the JSON part of a file whose data has `dataBytes` bytes; `what` names the file in
// messages.
llvm::Expected<std::vector<TensorInfo>>
parseSafetensorsHeader(llvm::StringRef header, uint64_t dataBytes, llvm::StringRef what);

// tensor -> shard, as model.safetensors.index.json lists them, in the order of the file.
llvm::Expected<std::vector<std::pair<std::string, std::string>>>
parseSafetensorsIndex(llvm::StringRef text, llvm::StringRef what);

} // namespace gcompile
