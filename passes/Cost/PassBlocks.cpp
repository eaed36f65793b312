#include "passes/Cost/PassBlocks.h"

#include "passes/Cost/ExpertShape.h"

#include <algorithm>
#include <array>

namespace gcompile {
namespace {

enum Part : size_t { attentionPart, feedForwardPart, layerInputPart, partCount };

Part partOf(std::string_view role) {
  for (std::string_view own : {"q", "k", "v", "o"})
    if (role == own)
      return attentionPart;
  return role == "per_layer_input_gate" || role == "per_layer_projection" ? layerInputPart
                                                                          : feedForwardPart;
}

bool isHead(const TensorShape &tensor) {
  return tensor.role == "embedding" || tensor.role == "head";
}

struct Sum {
  double seconds = 0, launches = 0;
};

// Sums over a model's tensors, by part of a layer and outside of layers.
struct Sums {
  explicit Sums(const ModelShape &model) : layers(model.layers.size()) {
    // As decodeLaunches counts: three launches a layer besides its products (six with experts), and
    // two for the head.
    double perLayer = expertsOf(model).perToken > 1 ? 6 : 3;
    for (auto &parts : layers) {
      parts[attentionPart].launches = 1;
      parts[feedForwardPart].launches = perLayer - 1;
    }
    head.launches = 2;
  }

  Sum &at(const TensorShape &tensor) {
    if (tensor.layer >= 0 && size_t(tensor.layer) < layers.size())
      return layers[size_t(tensor.layer)][partOf(tensor.role)];
    return isHead(tensor) ? head : inputs;
  }

  double launches(int64_t count) const {
    double sum = inputs.launches + head.launches;
    for (int64_t l = 0; l < count; ++l)
      for (const Sum &part : layers[size_t(l)])
        sum += part.launches;
    return sum;
  }

  std::vector<std::array<Sum, partCount>> layers;
  Sum inputs, head;
};

// In order, `launchSeconds` for every launch; parts without work are left out.
std::vector<PassBlock> inOrder(const Sums &sums, int64_t layers, double launchSeconds,
                               double storage, bool withHead) {
  std::vector<PassBlock> blocks;
  blocks.push_back({"rows", -1, storage, true});
  auto add = [&](const char *name, int64_t layer, const Sum &sum) {
    if (double seconds = sum.seconds + sum.launches * launchSeconds; seconds > 0)
      blocks.push_back({name, layer, seconds, false});
  };
  add("inputs", -1, sums.inputs);
  for (int64_t l = 0; l < layers; ++l) {
    add("attention", l, sums.layers[size_t(l)][attentionPart]);
    add("feed_forward", l, sums.layers[size_t(l)][feedForwardPart]);
    add("per_layer_input", l, sums.layers[size_t(l)][layerInputPart]);
  }
  if (withHead)
    add("head", -1, sums.head);
  blocks.push_back({withHead ? "choose" : "finish", -1, 0, true});
  return blocks;
}

} // namespace

std::vector<PassBlock> decodeBlocks(const MachineModel &machine, const ModelShape &model,
                                    const DecodeWork &work) {
  if (machine.readBytesPerSecond <= 0 || work.formats.size() != model.tensors.size())
    return {};
  double workingSet = workingSetBytes(model, work);
  Sums sums(model);
  for (size_t i = 0; i < model.tensors.size(); ++i) {
    const TensorShape &tensor = model.tensors[i];
    if (tensor.role == "norm" || tensor.role == "per_layer_table")
      continue;
    Sum &sum = sums.at(tensor);
    sum.seconds += decodeSeconds(machine, tensor, work.formats[i],
                                 packedBytes(work.formats[i], tensor.n, tensor.k), workingSet);
    sum.launches += tensor.layer >= 0 ? 1 : 0;
  }
  for (size_t l = 0; l < model.layers.size(); ++l) {
    const LayerShape &layer = model.layers[l];
    sums.layers[l][attentionPart].seconds +=
        kvReadSeconds(machine, model, layer, layer.global ? work.globalK : work.localK,
                      layer.global ? work.globalV : work.localV, work.positions, true, workingSet);
    // Norms, gates and rounding of the whole layer.
    sums.layers[l][feedForwardPart].seconds += vectorElements(model, layer) * machine.vectorSeconds;
  }
  return inOrder(sums, int64_t(model.layers.size()), machine.barrierSeconds,
                 storageSeconds(machine, work.storagePages, work.coldShare) +
                     expertSeconds(machine, work.expertBytes),
                 true);
}

std::vector<PassBlock> prefillBlocks(const MachineModel &machine, const ModelShape &model,
                                     const PrefillWork &work) {
  if (!prefillTime(machine, model, work).known())
    return {};
  int64_t layers = model.prefillLayers();
  double workingSet = prefillWorkingSet(model, work);
  Sums sums(model);
  sums.head = {};
  for (size_t i = 0; i < model.tensors.size(); ++i) {
    const TensorShape &tensor = model.tensors[i];
    if (tensor.role == "norm" || tensor.role == "per_layer_table" || isHead(tensor) ||
        tensor.layer >= layers)
      continue; // the head and the last layers run with the last token, which is decoded
    Sum &sum = sums.at(tensor);
    sum.seconds += prefillSeconds(machine, tensor, work.formats[i], work, workingSet);
    sum.launches += tensor.layer >= 0 ? 1 : 0;
  }
  for (int64_t l = 0; l < layers; ++l) {
    const LayerShape &layer = model.layers[size_t(l)];
    auto &parts = sums.layers[size_t(l)];
    parts[attentionPart].seconds += attentionSeconds(machine, model, layer, work);
    parts[feedForwardPart].seconds += vectorElements(model, layer) * double(work.tokens) *
                                      machine.vectorSeconds / machine.threads;
  }
  // The estimate's launches, by the share of each block.
  double total = 2 * chunksOf(work) * barrierSeconds(machine, model);
  double launches = sums.launches(layers);
  return inOrder(sums, layers, launches > 0 ? total / launches : 0,
                 storageSeconds(machine, work.storagePages, work.coldShare) +
                     expertSeconds(machine, work.expertBytes),
                 false);
}

} // namespace gcompile
