// Importance matrices of llama.cpp (llama-imatrix): for each weight, the mean of the squared inputs
// that its layer saw over a text. Both forms are read: GGUF, and the older binary one (".dat").
#pragma once

#include "compiler/Import/Gemma4Tensors.h"

#include <map>
#include <string>
#include <vector>

namespace gcompile {

struct ImatrixEntry {
  int64_t matrices = 1;       // experts, else 1
  std::vector<double> means;  // matrices · columns, finite, from 0; ones where nothing was seen
  std::vector<double> counts; // how many inputs each matrix saw; empty: not stated
};

struct Imatrix {
  std::map<std::string, ImatrixEntry> entries; // by name in GGUF files: "blk.0.attn_q.weight"
  std::vector<std::string> datasets;           // of what texts, as stated
  int64_t chunks = 0;                          // pieces of text; 0: not stated
};

// By content, whatever the file is called.
llvm::Expected<Imatrix> readImatrix(llvm::StringRef path);

// The parsers, apart for tests and the fuzzer. `what` names the file in messages.
llvm::Expected<Imatrix> parseLegacyImatrix(llvm::StringRef bytes, llvm::StringRef what);
llvm::Expected<Imatrix> parseGgufImatrix(llvm::StringRef bytes, llvm::StringRef what);

struct ImatrixMoments {
  std::map<std::string, std::vector<double>> byTensor; // canonical name -> one value a column
  size_t unknown = 0; // entries of tensors that the model does not have
};

// The entries as means of squared inputs of the model's matrices. Experts have one mean after the
// other, each times how often its expert was chosen (on average 1; 0 for one that never was): they
// count for what they do to the model. An entry of another width than its matrix is an error: the
// file is of another model.
llvm::Expected<ImatrixMoments> momentsOf(const Imatrix &imatrix, const ModelConfig &config);

} // namespace gcompile
