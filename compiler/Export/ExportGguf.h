// A plan as a GGUF file that stock llama.cpp loads: every tensor in the type of llama.cpp that is
// nearest to the planned format (docs/export.md). Codes of a quantized checkpoint that the plan
// keeps are taken over. KV formats, table placement and static activations have no place in such a
// file.
#pragma once

#include "compiler/Import/ImportModel.h"
#include "compiler/Plan/Plan.h"

#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

namespace gcompile {

struct ExportOptions {
  unsigned jobs = 0; // threads; 0: one a core
  const std::atomic<bool> *cancel = nullptr;
  llvm::function_ref<void(uint64_t, uint64_t)> progress = nullptr; // bytes written, in all
};

// One line of what became of the plan's formats.
struct ExportedFormat {
  std::string planned, written;
  int64_t tensors = 0, kept = 0; // kept: codes taken over from the checkpoint
  bool sameGrid =
      false; // the planned format's values are values of the type; else it is the nearest
  int64_t values = 0, bytes = 0;
};

struct ExportSummary {
  uint64_t fileBytes = 0;
  std::vector<ExportedFormat> formats; // by bytes, most first
};

// Errors: no weights, a plan for another model, an output that cannot be written; nothing is left
// behind then.
llvm::Expected<ExportSummary> exportGguf(const ImportedModel &model, const Plan &plan,
                                         llvm::StringRef path, const ExportOptions &options = {});

} // namespace gcompile
