#include "passes/Cost/PrefillTime.h"

#include <algorithm>
#include <cmath>

namespace gcompile {

// Attention in chunks keeps to f32 multiply-adds; its kernels reach this share of their peak
// (docs/performance.md: 38 to 99 of 118 Gflop/s).
constexpr double attentionShare = 0.65;

// A panel of weights comes from memory with the first tile of rows, and is in cache for the others:
// reading overlaps with the first tile's operations only (KernelToLoops/MatmulInteger.cpp).
constexpr double rowsOfTile = 4;

static bool isTable(const TensorShape &tensor) {
  return tensor.role == "norm" || tensor.role == "per_layer_table";
}
static bool isHead(const TensorShape &tensor) {
  return tensor.role == "embedding" || tensor.role == "head";
}

double productOperations(const ModelShape &model, int64_t layers) {
  double operations = 0;
  for (const TensorShape &tensor : model.tensors)
    if (!isTable(tensor) && !isHead(tensor) && tensor.layer < layers)
      operations += 2 * double(tensor.n) * double(tensor.k) * tensor.readFraction;
  return operations;
}

// Positions that `tokens` queries see together: 1 + 2 + … with at most `window` each.
static double seenPositions(int64_t tokens, int64_t window) {
  double ramp = double(std::min(tokens, window));
  return ramp * (ramp + 1) / 2 + double(std::max<int64_t>(tokens - window, 0)) * double(window);
}

static double attentionOperations(const ModelShape &model, const LayerShape &layer,
                                  int64_t tokens) {
  return 4 * double(model.heads) * double(layer.headDim) *
         seenPositions(tokens, layer.global ? tokens : model.window);
}

double attentionOperations(const ModelShape &model, int64_t layers, bool global, int64_t tokens) {
  double operations = 0;
  for (int64_t l = 0; l < std::min<int64_t>(layers, int64_t(model.layers.size())); ++l)
    if (model.layers[l].global == global)
      operations += attentionOperations(model, model.layers[l], tokens);
  return operations;
}

double chunksOf(const PrefillWork &work) {
  return std::ceil(double(work.tokens) / double(work.chunk));
}

namespace {
// Time of the operations, and of reading the weights as far as it does not overlap with them.
struct ProductTimes {
  double operations = 0, reading = 0;
};
} // namespace

// Requires a rate.
static ProductTimes productTimes(const MachineModel &machine, const TensorShape &tensor,
                                 WeightFormat format, const PrefillWork &work,
                                 double workingSetBytes) {
  double chunks = chunksOf(work), rows = double(work.tokens) / chunks; // of a chunk, on average
  // Of experts, the share that the chunk's tokens use together.
  double touched = 1 - std::pow(1 - tensor.readFraction, rows);
  double operations = 2 * double(tensor.n) * double(tensor.k) * tensor.readFraction *
                      double(work.tokens) / matmulRate(machine, format);
  double memory = chunks * double(packedBytes(format, tensor.n, tensor.k)) * touched /
                  (machine.readBytesPerSecond * bandwidthShare(machine, format) *
                   cacheGain(machine, workingSetBytes));
  return {operations, std::max(0.0, memory - operations * std::min(1.0, rowsOfTile / rows))};
}

double prefillWorkingSet(const ModelShape &model, const PrefillWork &work) {
  double bytes = 0;
  for (size_t i = 0; i < model.tensors.size(); ++i)
    if (const TensorShape &tensor = model.tensors[i];
        !isTable(tensor) && !isHead(tensor) && tensor.layer < model.prefillLayers())
      bytes += double(packedBytes(work.formats[i], tensor.n, tensor.k));
  return bytes;
}

double prefillSeconds(const MachineModel &machine, const TensorShape &tensor, WeightFormat format,
                      const PrefillWork &work, double workingSetBytes) {
  if (matmulRate(machine, format) <= 0 || machine.readBytesPerSecond <= 0)
    return 0;
  ProductTimes times = productTimes(machine, tensor, format, work, workingSetBytes);
  return times.operations + times.reading;
}

double attentionSeconds(const MachineModel &machine, const ModelShape &model,
                        const LayerShape &layer, const PrefillWork &work) {
  double seconds = 0;
  for (KvFormat format :
       {layer.global ? work.globalK : work.localK, layer.global ? work.globalV : work.localV}) {
    double rate = machine.rates(format).attentionOperationsPerSecond;
    if (rate <= 0)
      rate = machine.floatOpsPerSecond * attentionShare;
    if (rate > 0)
      seconds += attentionOperations(model, layer, work.tokens) / 2 / rate;
  }
  return seconds;
}

static TimeEstimate prefillTerms(const MachineModel &machine, const ModelShape &model,
                                 const PrefillWork &work) {
  TimeEstimate estimate;
  if (machine.readBytesPerSecond <= 0 || work.formats.size() != model.tensors.size() ||
      work.tokens < 1 || work.chunk < 1 ||
      (work.expertBytes > 0 && machine.storageBytesPerSecond <= 0))
    return estimate;
  double products = 0, reading = 0;
  int64_t layers = model.prefillLayers();
  double chunks = chunksOf(work), workingSet = prefillWorkingSet(model, work);
  for (size_t i = 0; i < model.tensors.size(); ++i) {
    const TensorShape &tensor = model.tensors[i];
    WeightFormat format = work.formats[i];
    if (isTable(tensor))
      continue;
    if (isHead(tensor) || tensor.layer >= layers)
      continue; // with the last token, which is decoded
    if (matmulRate(machine, format) <= 0)
      return {};
    ProductTimes times = productTimes(machine, tensor, format, work, workingSet);
    products += times.operations;
    reading += times.reading;
  }
  estimate.add("products", products, limitOperations);
  estimate.add("weights", reading, limitMemory);

  double attention = 0;
  for (int64_t l = 0; l < layers; ++l)
    attention += attentionSeconds(machine, model, model.layers[l], work);
  estimate.add("attention", attention, limitOperations);

  double elements = 0;
  for (int64_t l = 0; l < layers; ++l)
    elements += vectorElements(model, model.layers[l]);
  estimate.add("layers", elements * double(work.tokens) * machine.vectorSeconds / machine.threads,
               limitSmall);
  // About twice the launches of a decoded token: operations that one row does in passing take one.
  estimate.add("launches", 2 * chunks * barrierSeconds(machine, model), limitBarriers);
  estimate.add("storage", storageSeconds(machine, work.storagePages, work.coldShare), limitStorage);
  estimate.add("experts", expertSeconds(machine, work.expertBytes), limitStorage);
  return estimate;
}

TimeEstimate prefillTime(const MachineModel &machine, const ModelShape &model,
                         const PrefillWork &work) {
  TimeEstimate estimate = prefillTerms(machine, model, work);
  PrefillWork best = work, worst = work;
  best.coldShare = 0;
  worst.coldShare = work.coldShare > 0 ? 1 : 0;
  estimate.low = prefillTerms(optimistic(machine), model, best).seconds();
  estimate.high = prefillTerms(pessimistic(machine), model, worst).seconds();
  return estimate;
}

SpeedEstimate prefillSpeed(const TimeEstimate &prompt, int64_t tokens) {
  SpeedEstimate estimate = decodeSpeed(prompt);
  estimate.tokensPerSecond *= double(tokens);
  estimate.low *= double(tokens);
  estimate.high *= double(tokens);
  return estimate;
}

SpeedEstimate prefillSpeed(const MachineModel &machine, const ModelShape &model,
                           const std::vector<WeightFormat> &formatOf, int64_t chunk) {
  PrefillWork work;
  work.formats = formatOf;
  work.chunk = chunk;
  return prefillSpeed(prefillTime(machine, model, work), work.tokens);
}

double encoderSeconds(const MachineModel &machine, double operations, double weightBytes) {
  double compute = matmulRate(machine, WeightFormat::W8);
  if (machine.readBytesPerSecond <= 0 || compute <= 0)
    return 0;
  return std::max(operations / compute, weightBytes / machine.readBytesPerSecond);
}

} // namespace gcompile
