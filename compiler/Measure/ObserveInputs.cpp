#include "compiler/Measure/ObserveInputs.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/Twine.h"

#include <algorithm>

namespace gcompile {
namespace {

// One input of the model and the tensors that multiply it.
struct Observation {
  ModuleOutput output;
  int64_t width = 0;
  std::vector<std::string> tensors;
};

std::vector<Observation> observationsOf(const ModelConfig &config) {
  std::vector<Observation> list;
  auto add = [&](TensorRole role, int64_t layer, int64_t width,
                 std::initializer_list<TensorRole> sharing = {}) {
    Observation one;
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
  return list;
}

// The values of all rows of a chunk lie one after the other where the first row's logits would
// begin; chunks are chosen so short that they all fit into that one row.
llvm::Expected<std::vector<double>> observe(const ImportedModel &model,
                                            const Observation &observation,
                                            llvm::ArrayRef<std::vector<int32_t>> windows,
                                            const ObserveOptions &options) {
  int64_t vocabulary = model.config.vocabulary, width = observation.width;
  if (width > vocabulary)
    return llvm::createStringError("'" + observation.tensors.front() + "' has " +
                                   llvm::Twine(width) + " inputs, more than the vocabulary of " +
                                   llvm::Twine(vocabulary) + ": they cannot be observed");
  ModelFormats formats;
  formats.weights = options.weights;
  ProbeOptions probeOptions;
  probeOptions.jobs = options.jobs;
  probeOptions.cancel = options.cancel;
  probeOptions.output = observation.output;
  probeOptions.scoreRows = std::clamp<int64_t>(vocabulary / width, 1, 64);
  int64_t longest = 1;
  for (const std::vector<int32_t> &window : windows)
    longest = std::max(longest, int64_t(window.size()));
  probeOptions.context = longest;
  auto probe = ProbeModel::compile(model, formats, probeOptions);
  if (!probe)
    return probe.takeError();
  int64_t chunk = (*probe)->scoreRows();
  std::vector<double> sums(width, 0.0);
  int64_t count = 0;
  for (const std::vector<int32_t> &window : windows) {
    int64_t tokens = int64_t(window.size());
    llvm::Error error =
        (*probe)->runner().score(window, 0, [&](int64_t position, llvm::ArrayRef<float> values) {
          if (position % chunk != 0)
            return llvm::Error::success();
          int64_t rows = std::min(chunk, tokens - position);
          for (int64_t row = 0; row < rows; ++row)
            for (int64_t i = 0; i < width; ++i) {
              double x = values[row * width + i];
              sums[i] += x * x;
            }
          count += rows;
          return llvm::Error::success();
        });
    if (error)
      return std::move(error);
  }
  for (double &sum : sums)
    sum /= double(std::max<int64_t>(count, 1));
  return sums;
}

} // namespace

llvm::Expected<InputMoments> observeInputs(const ImportedModel &model,
                                           llvm::ArrayRef<std::vector<int32_t>> windows,
                                           const ObserveOptions &options) {
  InputMoments moments;
  std::vector<Observation> list = observationsOf(model.config);
  if (!options.only.empty())
    llvm::erase_if(list, [&](const Observation &one) {
      return llvm::none_of(one.tensors,
                           [&](const std::string &name) { return options.only.count(name) != 0; });
    });
  for (size_t i = 0; i < list.size(); ++i) {
    if (options.progress)
      options.progress(i, list.size());
    llvm::Expected<std::vector<double>> mean = observe(model, list[i], windows, options);
    if (!mean)
      return mean.takeError();
    for (const std::string &tensor : list[i].tensors)
      moments[tensor] = *mean;
  }
  return moments;
}

} // namespace gcompile
