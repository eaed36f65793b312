// The last step: compiled images and quantized weights into one .gpk, in bounded memory. Everything
// that decides bytes is an argument.
#pragma once

#include "compiler/Codegen/CompileModel.h"
#include "compiler/Import/ImportModel.h"
#include "compiler/Quantize/PackWeights.h"
#include "llvm/ADT/STLFunctionalExtras.h"

#include <atomic>
#include <functional>

namespace gcompile {

struct BuildInputs {
  const ImportedModel *model = nullptr;  // with weights
  const Plan *plan = nullptr;            // its account is what the manifest promises
  const LoweredModel *lowered = nullptr; // of that plan
  std::vector<CompiledVariant> variants; // at least one
  std::vector<uint8_t> tokenizerSection; // empty: none
  std::string planText, profileText, provenanceText;
  // Gives the provenance, as many bytes as provenanceText, once all weights have been read, with
  // their digests. Absent: provenanceText stands, and nothing is hashed.
  std::function<llvm::Expected<std::string>(const PieceHashes &)> finalProvenance;
};

struct BuildOptions {
  PieceHashes *hashes = nullptr; // as PackOptions::hashes
  unsigned jobs = 0;             // 0: as many as the machine has
  const std::atomic<bool> *cancel = nullptr;
  llvm::function_ref<void(uint64_t done, uint64_t total)> progress =
      nullptr; // weights, source bytes as f32
};

// Bytes of the code that a process maps: the largest variant, since one of them is chosen.
int64_t codeBytes(llvm::ArrayRef<CompiledVariant> variants);

// The exact account: what lowering and code generation found, with the plan's tables, encoders and
// runtime.
MemoryAccount exactAccount(const Plan &plan, const LoweredModel &lowered, int64_t codeBytes);

// Sections that weights go to; those that a model does not need are 0.
struct WeightSections {
  unsigned weights = 0, experts = 0, table = 0;
};

// Reads, quantizes and packs every weight of the model and hands the bytes to `sink`, from many
// threads at once; each byte once.
llvm::Error packModelWeights(const ImportedModel &model, const LoweredModel &lowered,
                             WeightSections sections, PackSink sink,
                             const BuildOptions &options = {});

// Writes `path`; leaves nothing behind on an error.
llvm::Error buildArtifact(llvm::StringRef path, const BuildInputs &inputs,
                          const BuildOptions &options = {});

} // namespace gcompile
