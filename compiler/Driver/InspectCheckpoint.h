// What `gcompile inspect` says of a checkpoint: which published size it is, what its weights are
// stored as and whether that is kept, what else it carries. By headers and configuration alone, so
// that it is quick for files of any size.
#pragma once

#include "compiler/Import/ImportModel.h"

#include "llvm/Support/JSON.h"
#include "llvm/Support/raw_ostream.h"

#include <map>
#include <string>
#include <vector>

namespace gcompile {

// Tensors of one class ("query", "gate", "norm") that are stored alike.
struct StoredAs {
  std::string format; // as the container calls it: "BF16", "Q4_K"
  std::string kept;   // our weight format of the same grid; empty: none, values are rounded
  int64_t tensors = 0, parameters = 0, bytes = 0;
};

struct CheckpointFacts {
  std::string preset;    // published size of the same shapes; empty: none
  std::string container; // "GGUF", "safetensors"; empty: shapes alone
  std::string qat; // how the weights were trained for quantization, as far as the file states it
  int64_t parameters = 0, textBytes = 0, towerBytes = 0, unusedBytes = 0;
  std::map<std::string, std::vector<StoredAs>> classes;
  std::vector<std::string> modalities; // stored in the file
};

CheckpointFacts factsOf(const ImportedModel &model);
llvm::json::Object factsJson(const ImportedModel &model, const CheckpointFacts &facts);
void printFacts(llvm::raw_ostream &out, const ImportedModel &model, const CheckpointFacts &facts);

} // namespace gcompile
