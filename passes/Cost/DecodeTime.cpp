#include "passes/Cost/DecodeTime.h"
#include "ir/Format/CacheLayout.h"
#include "passes/Cost/ExpertShape.h"

#include <algorithm>
#include <cmath>
#include <map>

namespace gcompile {

double TimeEstimate::of(std::string_view name) const {
  double sum = 0;
  for (const TimeTerm &term : terms)
    if (term.name == name)
      sum += term.seconds;
  return sum;
}

std::string TimeEstimate::dominantLimit() const {
  std::map<std::string, double> byLimit;
  for (const TimeTerm &term : terms)
    byLimit[std::string(term.limit)] += term.seconds;
  auto largest = std::max_element(byLimit.begin(), byLimit.end(),
                                  [](const auto &a, const auto &b) { return a.second < b.second; });
  return largest == byLimit.end() ? "" : largest->first;
}

// Scales included, of a matrix that needs no padding.
static double bytesPerWeight(WeightFormat format) {
  constexpr int64_t size = 4096;
  return double(packedBytes(format, size, size)) / double(size * size);
}

// Weights per second that arithmetic allows; 0: not known.
static double arithmeticRate(const MachineModel &machine, WeightFormat format) {
  if (double cached = machine.rates(format).cachedBytesPerSecond; cached > 0)
    return cached / bytesPerWeight(format);
  if (machine.instructionsPerSecond > 0)
    return machine.instructionsPerSecond / instructionsPerWeight(format, machine.hasDotProduct);
  return 0;
}

static double streamRate(const MachineModel &machine, WeightFormat format, double workingSet) {
  return machine.readBytesPerSecond * bandwidthShare(machine, format) *
         cacheGain(machine, workingSet);
}

// Whether this format's own products were measured over sets of this size.
static bool isInCaches(const MachineModel &machine, WeightFormat format, double workingSet) {
  const std::vector<BandwidthPoint> &sets = machine.rates(format).sets;
  return workingSet > 0 && !sets.empty() && workingSet <= sets.back().bytes;
}

double decodeSeconds(const MachineModel &machine, const TensorShape &tensor, WeightFormat format,
                     int64_t bytes, double workingSetBytes) {
  if (machine.readBytesPerSecond <= 0)
    return 0;
  if (isInCaches(machine, format, workingSetBytes))
    return double(bytes) * tensor.readFraction /
           bandwidthAt(machine.rates(format).sets, workingSetBytes);
  double memory =
      double(bytes) * tensor.readFraction / streamRate(machine, format, workingSetBytes);
  double rate = arithmeticRate(machine, format), arithmetic = 0;
  if (rate > 0)
    arithmetic = double(tensor.n) * double(tensor.k) * tensor.readFraction / rate;
  return std::max(memory, arithmetic);
}

bool isArithmeticBound(const MachineModel &machine, WeightFormat format, double workingSetBytes) {
  if (isInCaches(machine, format, workingSetBytes))
    return true; // whether decoding or the cache decides was not told apart
  double rate = arithmeticRate(machine, format);
  return rate > 0 && rate * bytesPerWeight(format) < streamRate(machine, format, workingSetBytes);
}

// Bytes of one row of K or of V: all heads of a layer, with the scale of each where there is one.
static double rowBytes(const LayerShape &layer, KvFormat format) {
  double heads = double(layer.kvHeads), elements = heads * double(layer.headDim);
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
}

double kvBytesPerPosition(const ModelShape &model, bool global, KvFormat k, KvFormat v,
                          bool derivedKeys) {
  double bytes = 0;
  for (const LayerShape &layer : model.layers)
    if (layer.global == global)
      bytes += (derivedKeys && layer.keyFromValue ? 0 : rowBytes(layer, k)) + rowBytes(layer, v);
  return bytes;
}

double kvReadSeconds(const MachineModel &machine, const ModelShape &model, const LayerShape &layer,
                     KvFormat k, KvFormat v, int64_t positions, bool derivedKeys,
                     double workingSetBytes) {
  if (machine.readBytesPerSecond <= 0)
    return 0;
  double seconds = 0;
  double rows = double(layer.global ? positions : std::min(positions, model.window));
  double gain = cacheGain(machine, workingSetBytes);
  if (!layer.ownsKv && workingSetBytes > 0) {
    // What a sharing layer reads was read by the layer of its kind before it.
    auto alike = [&](const LayerShape &other) { return other.global == layer.global; };
    auto count = std::count_if(model.layers.begin(), model.layers.end(), alike);
    gain = cacheGain(machine, workingSetBytes / double(std::max<int64_t>(count, 1)));
  }
  bool derived = derivedKeys && layer.keyFromValue;
  for (bool key : {true, false}) {
    KvFormat format = key ? k : v;
    // Instead of keys, cosines and sines of their positions are read.
    double memory = key && derived
                        ? rows * 8 * double(rotaryTableColumns(layer.headDim, layer.rotatedPairs)) /
                              machine.readBytesPerSecond
                        : rows * rowBytes(layer, format) /
                              (machine.readBytesPerSecond * bandwidthShare(machine, format) * gain);
    // Half of the operations belong to K, half to V.
    double rate = machine.rates(format).attentionOperationsPerSecond, arithmetic = 0;
    if (rate > 0)
      arithmetic = 2 * double(model.heads) * double(layer.headDim) * rows / rate;
    seconds += std::max(memory, arithmetic);
  }
  return seconds;
}

double kvReadSeconds(const MachineModel &machine, const ModelShape &model, bool global, KvFormat k,
                     KvFormat v, int64_t positions, bool derivedKeys, double workingSetBytes) {
  double seconds = 0;
  for (const LayerShape &layer : model.layers)
    if (layer.global == global)
      seconds +=
          kvReadSeconds(machine, model, layer, k, v, positions, derivedKeys, workingSetBytes);
  return seconds;
}

double vectorElements(const ModelShape &model, const LayerShape &layer) {
  double hidden = double(model.hidden), queries = double(model.heads) * double(layer.headDim),
         keys = double(layer.kvHeads) * double(layer.headDim), gate = double(layer.intermediate),
         own = double(model.perLayerInput);
  // Four norms of the stream, two of them with a sum; rounding for q, k, v and for gate, up.
  // Queries: norm, rotation, rounding of what attention gives. Keys: norm, rotation. The gate's
  // function costs about as much as four plain visits.
  return 8 * hidden + 3 * queries + 3 * keys + 6 * gate + 7 * own + (own > 0 ? 3 * hidden : 0);
}

int64_t decodeLaunches(const ModelShape &model) {
  int64_t products = 0;
  for (const TensorShape &tensor : model.tensors)
    if (tensor.layer >= 0 && tensor.role != "norm")
      ++products;
  // With experts also gates, rounding and the sum over slots.
  int64_t perLayer = expertsOf(model).perToken > 1 ? 6 : 3;
  return products + perLayer * int64_t(model.layers.size()) + 2;
}

double barrierSeconds(const MachineModel &machine, const ModelShape &model) {
  return machine.barrierSeconds * double(decodeLaunches(model));
}

double storageSeconds(const MachineModel &machine, double pages, double coldShare) {
  return pages *
         (machine.storageRowSeconds * coldShare + machine.warmPageSeconds * (1 - coldShare));
}

double expertSeconds(const MachineModel &machine, double bytes) {
  return machine.storageBytesPerSecond > 0 ? bytes / machine.storageBytesPerSecond : 0;
}

static bool isRead(const TensorShape &tensor) {
  return tensor.role != "norm" && tensor.role != "per_layer_table";
}

double workingSetBytes(const ModelShape &model, const DecodeWork &work) {
  double bytes = 0;
  for (size_t i = 0; i < model.tensors.size(); ++i)
    if (const TensorShape &tensor = model.tensors[i]; isRead(tensor))
      bytes += double(packedBytes(work.formats[i], tensor.n, tensor.k)) * tensor.readFraction;
  return bytes +
         double(std::min(work.positions, model.window)) *
             kvBytesPerPosition(model, false, work.localK, work.localV) +
         double(work.positions) * kvBytesPerPosition(model, true, work.globalK, work.globalV);
}

static TimeEstimate decodeTerms(const MachineModel &machine, const ModelShape &model,
                                const DecodeWork &work) {
  TimeEstimate estimate;
  if (machine.readBytesPerSecond <= 0 || work.formats.size() != model.tensors.size() ||
      (work.expertBytes > 0 && machine.storageBytesPerSecond <= 0))
    return estimate;
  double workingSet = workingSetBytes(model, work);
  // What waits for memory and what for arithmetic, the head apart: it is a decision of its own.
  double reading[2] = {}, computing[2] = {};
  for (size_t i = 0; i < model.tensors.size(); ++i) {
    const TensorShape &tensor = model.tensors[i];
    if (!isRead(tensor))
      continue;
    bool head = tensor.role == "embedding" || tensor.role == "head";
    double seconds = decodeSeconds(machine, tensor, work.formats[i],
                                   packedBytes(work.formats[i], tensor.n, tensor.k), workingSet);
    (isArithmeticBound(machine, work.formats[i], workingSet) ? computing : reading)[head] +=
        seconds;
  }
  estimate.add("weights", reading[0], limitMemory);
  estimate.add("weights", computing[0], limitArithmetic);
  estimate.add("head", reading[1], limitMemory);
  estimate.add("head", computing[1], limitArithmetic);
  estimate.add("kv_cache",
               kvReadSeconds(machine, model, false, work.localK, work.localV, work.positions, true,
                             workingSet) +
                   kvReadSeconds(machine, model, true, work.globalK, work.globalV, work.positions,
                                 true, workingSet),
               limitMemory);
  estimate.add("launches", barrierSeconds(machine, model), limitBarriers);
  double elements = 0;
  for (const LayerShape &layer : model.layers)
    elements += vectorElements(model, layer);
  estimate.add("layers", elements * machine.vectorSeconds, limitSmall);
  estimate.add("storage", storageSeconds(machine, work.storagePages, work.coldShare), limitStorage);
  estimate.add("experts", expertSeconds(machine, work.expertBytes), limitStorage);
  return estimate;
}

TimeEstimate decodeTime(const MachineModel &machine, const ModelShape &model,
                        const DecodeWork &work) {
  TimeEstimate estimate = decodeTerms(machine, model, work);
  // Which rows are in memory depends on the text and on what else runs: all of them, or none.
  DecodeWork best = work, worst = work;
  best.coldShare = 0;
  worst.coldShare = work.coldShare > 0 ? 1 : 0;
  estimate.low = decodeTerms(optimistic(machine), model, best).seconds();
  estimate.high = decodeTerms(pessimistic(machine), model, worst).seconds();
  return estimate;
}

SpeedEstimate decodeSpeed(const DecodeParts &parts) {
  SpeedEstimate estimate;
  double total = parts.weights + parts.kv + parts.barriers + parts.storage;
  if (parts.weights <= 0)
    return estimate;
  estimate.tokensPerSecond = estimate.low = estimate.high = 1 / total;
  double reading = parts.weights + parts.kv;
  estimate.term = reading >= std::max(parts.barriers, parts.storage) ? limitMemory
                  : parts.barriers >= parts.storage                  ? limitBarriers
                                                                     : limitStorage;
  return estimate;
}

SpeedEstimate decodeSpeed(const TimeEstimate &token) {
  SpeedEstimate estimate;
  if (!token.known())
    return estimate;
  estimate.tokensPerSecond = 1 / token.seconds();
  estimate.low = 1 / token.high;
  estimate.high = 1 / token.low;
  estimate.term = token.dominantLimit();
  return estimate;
}

double distinctExperts(int64_t experts, int64_t perToken, int64_t tokens) {
  if (experts <= 0)
    return 0;
  return double(experts) * (1 - std::pow(1 - double(perToken) / double(experts), double(tokens)));
}

} // namespace gcompile
