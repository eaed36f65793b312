// A GGUF file (or all parts of a split one) as a Checkpoint: tensors under Hugging Face's names and
// shapes, blocks decoded on demand (docs/decisions/0009).
#pragma once

#include "compiler/Import/Checkpoint.h"
#include "compiler/Import/Gguf/GgufHeader.h"

#include <memory>
#include <vector>

namespace gcompile {

struct GgufFile {
  GgufHeader header;                  // of the first part, with the tensors of that part alone
  std::vector<std::string> names;     // of all tensors of all parts, as GGUF calls them
  std::vector<float> ropeFrequencies; // divisors of the global layers' frequencies; empty: none
  int64_t vocabulary = 0, perLayerVocabulary = 0; // rows of the tables; 0: there is no such table
  std::unique_ptr<Checkpoint> checkpoint;
};

// Any part of a split file opens all of them; the others lie beside it under the names that
// llama.cpp's splitter gives ("X-00002-of-00003.gguf").
llvm::Expected<GgufFile> openGguf(llvm::StringRef path);

// The name of a file or of the model that the parts of a split file make up: without folder, suffix
// and "-00001-of-00003".
llvm::StringRef ggufStem(llvm::StringRef path);

} // namespace gcompile
