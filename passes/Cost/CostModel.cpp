#include "passes/Cost/CostModel.h"

#include <algorithm>

namespace gcompile {

double bandwidthShare(WeightFormat format) {
  switch (format) {
  case WeightFormat::F32:
  case WeightFormat::BF16:
  case WeightFormat::F16:
  case WeightFormat::W8:
    return 0.98;
  case WeightFormat::W8G32:
  case WeightFormat::W4:
  case WeightFormat::W4G32:
    return 0.95;
  case WeightFormat::W2:
  case WeightFormat::W2G64:
    return 0.91;
  }
  return 0.9;
}

double bandwidthShare(KvFormat format) {
  switch (format) {
  case KvFormat::F32:
  case KvFormat::F16:
    return 0.9;
  case KvFormat::Kv8:
    return 0.77;
  case KvFormat::Kv4:
    return 0.75;
  }
  return 0.75;
}

// Vector instructions for one weight of a matrix-vector product. With a dot product: kernels.md 1
// (512-bit); without: devices.md 5, AVX2 column, per 32 weights.
static double instructionsPerWeight(WeightFormat format, bool dotProduct) {
  switch (format) {
  case WeightFormat::F32:
    return 1.5 / 16;
  case WeightFormat::BF16:
  case WeightFormat::F16:
    return 2.5 / 16;
  case WeightFormat::W8:
    return dotProduct ? 0.027 : 4.0 / 32;
  case WeightFormat::W8G32:
    return dotProduct ? 0.035 : 5.0 / 32;
  case WeightFormat::W4:
    return dotProduct ? 0.043 : 9.0 / 32;
  case WeightFormat::W4G32:
    return dotProduct ? 0.050 : 10.0 / 32;
  case WeightFormat::W2:
    return dotProduct ? 0.043 : 11.0 / 32;
  case WeightFormat::W2G64:
    return dotProduct ? 0.050 : 12.0 / 32;
  }
  return 0.3;
}

double decodeSeconds(const MachineModel &machine, const TensorShape &tensor, WeightFormat format,
                     int64_t bytes) {
  if (machine.readBytesPerSecond <= 0)
    return 0;
  double memory =
      double(bytes) * tensor.readFraction / (machine.readBytesPerSecond * bandwidthShare(format));
  double arithmetic = 0;
  if (machine.instructionsPerSecond > 0)
    arithmetic = double(tensor.n) * double(tensor.k) * tensor.readFraction *
                 instructionsPerWeight(format, machine.hasDotProduct) /
                 machine.instructionsPerSecond;
  return std::max(memory, arithmetic);
}

double kvReadSeconds(const MachineModel &machine, const ModelShape &model, bool global, KvFormat k,
                     KvFormat v, int64_t positions) {
  if (machine.readBytesPerSecond <= 0)
    return 0;
  auto bytesOf = [](KvFormat format, double elements, double heads) {
    switch (format) {
    case KvFormat::F32:
      return elements * 4;
    case KvFormat::F16:
      return elements * 2;
    case KvFormat::Kv8:
      return elements + heads * 4;
    case KvFormat::Kv4:
      return elements / 2 + heads * 4;
    }
    return elements;
  };
  double seconds = 0;
  for (const LayerShape &layer : model.layers) {
    if (layer.global != global)
      continue;
    double rows = double(global ? positions : std::min(positions, model.window));
    double heads = double(layer.kvHeads), elements = heads * double(layer.headDim);
    seconds += rows *
               (bytesOf(k, elements, heads) / bandwidthShare(k) +
                bytesOf(v, elements, heads) / bandwidthShare(v)) /
               machine.readBytesPerSecond;
  }
  return seconds;
}

double barrierSeconds(const MachineModel &machine, const ModelShape &model) {
  return machine.barrierSeconds * double(7 * model.layers.size() + 2); // kernels.md 4
}

SpeedEstimate decodeSpeed(const DecodeParts &parts) {
  SpeedEstimate estimate;
  double total = parts.weights + parts.kv + parts.barriers + parts.storage;
  if (parts.weights <= 0)
    return estimate;
  estimate.tokensPerSecond = 1 / total;
  double reading = parts.weights + parts.kv;
  estimate.term = reading >= std::max(parts.barriers, parts.storage) ? "memory bandwidth"
                  : parts.barriers >= parts.storage                  ? "barriers"
                                                                     : "storage";
  return estimate;
}

SpeedEstimate prefillSpeed(const MachineModel &machine, const ModelShape &model,
                           const std::vector<WeightFormat> &formatOf, int64_t chunk) {
  SpeedEstimate estimate;
  if (machine.readBytesPerSecond <= 0 || machine.integerOpsPerSecond <= 0 ||
      machine.floatOpsPerSecond <= 0)
    return estimate;
  // Kernels reach about half of the arithmetic peak (kernels.md 2).
  constexpr double share = 0.5;
  double operations = 0, memory = 0;
  int64_t layers = model.prefillLayers();
  for (size_t i = 0; i < model.tensors.size(); ++i) {
    const TensorShape &tensor = model.tensors[i];
    if (tensor.role == "norm" || tensor.role == "embedding" || tensor.role == "per_layer_table" ||
        tensor.layer >= layers)
      continue;
    double peak =
        info(formatOf[i]).isInteger ? machine.integerOpsPerSecond : machine.floatOpsPerSecond;
    double weights = double(tensor.n) * double(tensor.k);
    operations += 2 * weights * tensor.readFraction / (peak * share);
    memory += double(packedBytes(formatOf[i], tensor.n, tensor.k)) /
              (machine.readBytesPerSecond * bandwidthShare(formatOf[i])) / double(chunk);
  }
  if (operations + memory <= 0)
    return estimate;
  estimate.tokensPerSecond = 1 / std::max(operations, memory);
  estimate.term = operations >= memory ? "operations" : "memory bandwidth";
  return estimate;
}

} // namespace gcompile
