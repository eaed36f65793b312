// What exporters of plans share: options, the tensors of the model with what the plan says of each,
// what became of the plan's formats, and the loop over pieces of tensors by all threads.
#pragma once

#include "compiler/Import/ImportModel.h"
#include "compiler/Plan/Plan.h"

#include "llvm/ADT/STLFunctionalExtras.h"
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

struct ExportedTensor {
  TensorSpec spec;
  const TensorInfo *source;
  std::optional<WeightFormat> planned; // every matrix has one
};
// All tensors that the model uses, in their order. An error when there are no weights, or when the
// plan is for another model.
llvm::Expected<std::vector<ExportedTensor>> exportedTensors(const ImportedModel &model,
                                                            const Plan &plan);

// One line of what became of the plan's formats.
struct ExportedFormat {
  std::string planned, written;
  int64_t tensors = 0, kept = 0; // kept: codes taken over from the checkpoint
  // The planned format's values are values of the type; else it is the nearest.
  bool sameGrid = false;
  int64_t values = 0, bytes = 0;
};

struct ExportSummary {
  uint64_t fileBytes = 0;
  std::vector<ExportedFormat> formats; // by bytes, most first

  // Adds one tensor to the line of its formats; sorted by finish().
  void add(const ExportedFormat &tensor);
  void finish();
};

// Calls run(i), which answers the bytes it wrote, for 0 … count − 1 from several threads. The error
// is that of the first call that failed, whatever the order they ran in.
llvm::Error runExportTasks(size_t count, uint64_t totalBytes, const ExportOptions &options,
                           llvm::function_ref<llvm::Expected<uint64_t>(size_t)> run);

} // namespace gcompile
