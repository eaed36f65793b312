// What each format would cost a tensor: the relative squared error Σ(x − decoded)² / Σx² over a
// sample of its rows, for the planner's option table. With the mean squares h of the layer's inputs
// it is Σ h(x − decoded)² / Σ h·x²: the error of the layer's output, as far as inputs are
// uncorrelated. The sample is a function of the shape alone
// (evenly spread rows), so plans do not depend on threads or time.
#pragma once

#include "compiler/Import/Checkpoint.h"
#include "ir/Format/Format.h"

#include "llvm/ADT/ArrayRef.h"
#include "llvm/Support/Error.h"

#include <atomic>
#include <cstdint>
#include <vector>

namespace gcompile {

struct MeasureItem {
  const TensorInfo *tensor = nullptr;
  std::vector<WeightFormat> formats;
  int64_t slices = 1; // row tables: pieces of a row that have a scale of their own
  // Mean of the squared input of each column (compiler/Measure/ObserveInputs.h); null: all alike.
  // Of a stack: of each column of each matrix, one matrix after the other, all zeros where a matrix
  // is never used.
  const std::vector<double> *inputMoments = nullptr;
};

struct MeasureOptions {
  int64_t sampleRows = 64;
  unsigned jobs = 0; // 0: as many as the machine has
  const std::atomic<bool> *cancel = nullptr;
};

// The rows that are read of a tensor with `rows` rows, ascending and distinct.
std::vector<int64_t> sampledRows(int64_t rows, int64_t sampleRows);

// A stack of matrices (experts) is no larger sample: these rows of each of some matrices, which are
// spread evenly over those that `inputMoments` (null: none) has inputs of.
struct StackSample {
  std::vector<int64_t> matrices, rows;
};
StackSample sampledStack(const TensorInfo &stack, int64_t sampleRows,
                         const std::vector<double> *inputMoments = nullptr);

// result[i][j]: relative squared error of items[i] in items[i].formats[j].
llvm::Expected<std::vector<std::vector<double>>> measureErrors(const Checkpoint &checkpoint,
                                                               llvm::ArrayRef<MeasureItem> items,
                                                               const MeasureOptions &options = {});

} // namespace gcompile
