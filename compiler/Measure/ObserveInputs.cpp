#include "compiler/Measure/ObserveInputs.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/Twine.h"

#include <algorithm>

namespace gcompile {

std::vector<LinearInput> linearInputs(const ModelConfig &config,
                                      const std::set<std::string> &only) {
  std::vector<LinearInput> list;
  auto add = [&](TensorRole role, int64_t layer, int64_t width,
                 std::initializer_list<TensorRole> sharing = {}) {
    LinearInput one;
    one.output.kind = ModuleOutput::LinearInput;
    one.output.role = role;
    one.output.layer = layer;
    one.width = width;
    one.tensors.push_back(canonicalTensorName(role, layer));
    for (TensorRole other : sharing)
      one.tensors.push_back(canonicalTensorName(other, layer));
    list.push_back(std::move(one));
  };
  for (int64_t i = 0; i < config.layerCount(); ++i) {
    const LayerConfig &layer = config.layers[i];
    add(TensorRole::Query, i, config.hidden, {TensorRole::Key, TensorRole::Value});
    add(TensorRole::Output, i, config.heads * layer.headDim);
    add(TensorRole::Gate, i, config.hidden, {TensorRole::Up});
    add(TensorRole::Down, i, layer.intermediate);
    if (config.hasPerLayerInput()) {
      add(TensorRole::PerLayerGate, i, config.hidden);
      add(TensorRole::PerLayerProjection, i, config.perLayerInput);
    }
  }
  if (config.hasPerLayerInput())
    add(TensorRole::PerLayerModelProjection, -1, config.hidden);
  add(TensorRole::Embedding, -1, config.hidden);
  if (!only.empty())
    llvm::erase_if(list, [&](const LinearInput &one) {
      return llvm::none_of(one.tensors,
                           [&](const std::string &name) { return only.count(name) != 0; });
    });
  return list;
}

// The values of all rows of a chunk lie one after the other where the first row's logits would
// begin; chunks are chosen so short that they all fit into that one row.
llvm::Error observeInput(const ImportedModel &model, const LinearInput &input,
                         llvm::ArrayRef<std::vector<int32_t>> windows,
                         const ObserveOptions &options, ValueSink sink) {
  int64_t vocabulary = model.config.vocabulary, width = input.width;
  if (width > vocabulary)
    return llvm::createStringError("'" + input.tensors.front() + "' has " + llvm::Twine(width) +
                                   " inputs, more than the vocabulary of " +
                                   llvm::Twine(vocabulary) + ": they cannot be observed");
  ModelFormats formats;
  formats.weights = options.weights;
  ProbeOptions probeOptions;
  probeOptions.jobs = options.jobs;
  probeOptions.cancel = options.cancel;
  probeOptions.output = input.output;
  probeOptions.scoreRows = std::clamp<int64_t>(vocabulary / width, 1, 64);
  int64_t longest = 1;
  for (const std::vector<int32_t> &window : windows)
    longest = std::max(longest, int64_t(window.size()));
  probeOptions.context = longest;
  auto probe = ProbeModel::compile(model, formats, probeOptions);
  if (!probe)
    return probe.takeError();
  int64_t chunk = (*probe)->scoreRows();
  for (const std::vector<int32_t> &window : windows) {
    int64_t tokens = int64_t(window.size());
    llvm::Error error =
        (*probe)->runner().score(window, 0, [&](int64_t position, llvm::ArrayRef<float> values) {
          if (position % chunk != 0)
            return llvm::Error::success();
          int64_t rows = std::min(chunk, tokens - position);
          sink(values.take_front(rows * width));
          return llvm::Error::success();
        });
    if (error)
      return error;
  }
  return llvm::Error::success();
}

// Mean of x² per column.
static llvm::Expected<std::vector<double>> meanSquares(const ImportedModel &model,
                                                       const LinearInput &input,
                                                       llvm::ArrayRef<std::vector<int32_t>> windows,
                                                       const ObserveOptions &options) {
  std::vector<double> sums(input.width, 0.0);
  int64_t count = 0;
  llvm::Error error = observeInput(model, input, windows, options, [&](llvm::ArrayRef<float> rows) {
    for (size_t i = 0; i < rows.size(); ++i)
      sums[i % input.width] += double(rows[i]) * rows[i];
    count += int64_t(rows.size()) / input.width;
  });
  if (error)
    return std::move(error);
  for (double &sum : sums)
    sum /= double(std::max<int64_t>(count, 1));
  return sums;
}

llvm::Expected<InputMoments> observeInputs(const ImportedModel &model,
                                           llvm::ArrayRef<std::vector<int32_t>> windows,
                                           const ObserveOptions &options) {
  InputMoments moments;
  std::vector<LinearInput> list = linearInputs(model.config, options.only);
  for (size_t i = 0; i < list.size(); ++i) {
    if (options.progress)
      options.progress(i, list.size());
    llvm::Expected<std::vector<double>> mean = meanSquares(model, list[i], windows, options);
    if (!mean)
      return mean.takeError();
    for (const std::string &tensor : list[i].tensors)
      moments[tensor] = *mean;
  }
  return moments;
}

} // namespace gcompile
