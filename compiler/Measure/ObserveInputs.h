// What the linear layers of a model see: the mean square of each of their inputs over a text. An
// error in a weight counts as much as the input that it multiplies is large, so these are the
// weights of a format's reconstruction error (the diagonal of the layer's Gram matrix, as in
// llama.cpp's imatrix).
//
// How it is measured: for each distinct input of the model, a float program that ends there is
// compiled and run through the runtime's public interface; its values stand where logits would.
#pragma once

#include "compiler/Measure/ProbeModel.h"

#include <map>
#include <set>

namespace gcompile {

// Mean of x² per input column, by canonical tensor name. Tables that are read by row have none.
using InputMoments = std::map<std::string, std::vector<double>>;

struct ObserveOptions {
  int64_t jobs = 0;
  WeightFormat weights = WeightFormat::F32; // of the programs that are run
  std::set<std::string> only;               // inputs of these tensors; empty: all
  const std::atomic<bool> *cancel = nullptr;
  llvm::function_ref<void(uint64_t done, uint64_t total)> progress = nullptr;
};

// An input of the model and the tensors that multiply it, canonical names; the first is the one
// that is observed.
struct LinearInput {
  ModuleOutput output;
  int64_t width = 0;
  std::vector<std::string> tensors;
};
// All of them, or those of the tensors in `only`.
std::vector<LinearInput> linearInputs(const ModelConfig &config, const std::set<std::string> &only);

// Runs the windows and hands over the input's values, some rows of `width` at a time.
using ValueSink = llvm::function_ref<void(llvm::ArrayRef<float> rows)>;
llvm::Error observeInput(const ImportedModel &model, const LinearInput &input,
                         llvm::ArrayRef<std::vector<int32_t>> windows,
                         const ObserveOptions &options, ValueSink sink);

llvm::Expected<InputMoments> observeInputs(const ImportedModel &model,
                                           llvm::ArrayRef<std::vector<int32_t>> windows,
                                           const ObserveOptions &options = {});

} // namespace gcompile
