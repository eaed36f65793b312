#include "compiler/Measure/ActivationRanges.h"

#include "llvm/ADT/STLExtras.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <mutex>
#include <oneapi/tbb/parallel_for.h>
#include <oneapi/tbb/task_arena.h>

namespace gcompile {

void MagnitudeCounts::add(float value) {
  counts[(std::bit_cast<uint32_t>(value) & 0x7fffffff) >> (23 - mantissaBits)] += 1;
}

void MagnitudeCounts::add(const MagnitudeCounts &other) {
  for (size_t i = 0; i < counts.size(); ++i)
    counts[i] += other.counts[i];
}

uint64_t MagnitudeCounts::total() const {
  uint64_t sum = 0;
  for (uint64_t count : counts)
    sum += count;
  return sum;
}

// Lower end of a bin.
static double magnitude(size_t bin, int mantissaBits) {
  return std::bit_cast<float>(uint32_t(bin << (23 - mantissaBits)));
}

// The last bins are infinity and what is no number: nothing can be said of these.
static size_t finiteBins(int mantissaBits) { return size_t(255) << mantissaBits; }

double MagnitudeCounts::largest() const {
  for (size_t bin = finiteBins(mantissaBits); bin-- > 1;)
    if (counts[bin])
      return magnitude(bin + 1, mantissaBits);
  return 0;
}

double MagnitudeCounts::error(double scale, double mostCode) const {
  double sum = 0, all = 0;
  for (size_t bin = 0; bin < finiteBins(mantissaBits); ++bin) {
    if (!counts[bin])
      continue;
    double low = magnitude(bin, mantissaBits), high = magnitude(bin + 1, mantissaBits);
    double middle = (low + high) / 2, beyond = middle - (mostCode + 0.5) * scale;
    double squared;
    if (beyond > 0)
      squared = (middle - mostCode * scale) * (middle - mostCode * scale);
    else if (high - low > scale)
      squared = scale * scale / 12; // any part of a step
    else
      squared = std::pow(middle - scale * std::nearbyint(middle / scale), 2);
    sum += double(counts[bin]) * squared;
    all += double(counts[bin]);
  }
  return all > 0 ? sum / all : 0;
}

float MagnitudeCounts::bestScale(double mostCode) const {
  constexpr int steps = 64; // eight octaves
  double most = largest();
  if (most <= 0 || !std::isnormal(float(most / mostCode)))
    return 0;
  double best = most / mostCode, least = error(best, mostCode);
  for (int i = 1; i <= steps; ++i) {
    double scale = most / mostCode * std::exp2(-i / 8.0), found = error(scale, mostCode);
    if (found < least && std::isnormal(float(scale)))
      best = scale, least = found;
  }
  return float(best);
}

namespace {

constexpr int64_t outputsPerTask = 16;

// Outputs [first, first + count) of a layer for every row of `inputs`.
llvm::Error countOutputs(const ImportedModel &model, const TensorInfo &weight,
                         llvm::ArrayRef<float> inputs, int64_t width, int64_t first, int64_t count,
                         MagnitudeCounts &counts) {
  std::vector<float> rows(count * width);
  if (llvm::Error error = model.checkpoint->readRowsAsFloat(weight, first, count, rows))
    return error;
  // Side by side, so that a vector holds outputs and sums keep their order.
  std::vector<float> columns(width * outputsPerTask, 0);
  for (int64_t n = 0; n < count; ++n)
    for (int64_t k = 0; k < width; ++k)
      columns[k * outputsPerTask + n] = rows[n * width + k];
  for (int64_t row = 0; row < int64_t(inputs.size()) / width; ++row) {
    float sums[outputsPerTask] = {};
    for (int64_t k = 0; k < width; ++k)
      for (int64_t n = 0; n < outputsPerTask; ++n)
        sums[n] += inputs[row * width + k] * columns[k * outputsPerTask + n];
    for (int64_t n = 0; n < count; ++n)
      counts.add(sums[n]);
  }
  return llvm::Error::success();
}

llvm::Expected<MagnitudeCounts> outputsOf(const ImportedModel &model, const TensorInfo &weight,
                                          llvm::ArrayRef<float> inputs, int64_t width,
                                          int64_t jobs) {
  MagnitudeCounts all;
  std::mutex mutex;
  llvm::Error fault = llvm::Error::success();
  int64_t tasks = (weight.rows() + outputsPerTask - 1) / outputsPerTask;
  oneapi::tbb::task_arena arena(jobs > 0 ? int(jobs) : oneapi::tbb::task_arena::automatic);
  arena.execute([&] {
    oneapi::tbb::parallel_for(int64_t(0), tasks, [&](int64_t task) {
      int64_t first = task * outputsPerTask;
      MagnitudeCounts own;
      llvm::Error error = countOutputs(model, weight, inputs, width, first,
                                       std::min(outputsPerTask, weight.rows() - first), own);
      std::lock_guard lock(mutex);
      all.add(own);
      fault = llvm::joinErrors(std::move(fault), std::move(error));
    });
  });
  if (fault)
    return std::move(fault);
  return all;
}

} // namespace

llvm::Expected<std::map<std::string, ActivationScales>>
measureActivationScales(const ImportedModel &model, llvm::ArrayRef<std::vector<int32_t>> windows,
                        const ObserveOptions &options) {
  std::map<std::string, const TensorInfo *> weights;
  for (const TensorSpec &spec : expectedTextTensors(model.config))
    if (const TensorInfo *tensor = model.tensors->find(spec.role, spec.layer))
      weights[spec.name] = tensor;
  std::map<std::string, ActivationScales> scales;
  std::vector<LinearInput> list = linearInputs(model.config, options.only);
  llvm::erase_if(list, [](const LinearInput &input) { // the head, as in the published recipe
    return input.output.role == TensorRole::Embedding;
  });
  for (size_t i = 0; i < list.size(); ++i) {
    if (options.progress)
      options.progress(i, list.size());
    const LinearInput &input = list[i];
    std::vector<float> values;
    MagnitudeCounts inputs;
    llvm::Error error =
        observeInput(model, input, windows, options, [&](llvm::ArrayRef<float> rows) {
          llvm::append_range(values, rows);
          for (float value : rows)
            inputs.add(value);
        });
    if (error)
      return std::move(error);
    for (const std::string &name : input.tensors) {
      auto weight = weights.find(name);
      if (weight == weights.end())
        continue; // keys and values of layers that share others'
      llvm::Expected<MagnitudeCounts> outputs =
          outputsOf(model, *weight->second, values, input.width, options.jobs);
      if (!outputs)
        return outputs.takeError();
      if (ActivationScales found{inputs.bestScale(), outputs->bestScale()})
        scales[name] = found;
    }
  }
  return scales;
}

llvm::Expected<std::map<int64_t, CacheScaleChoice>>
measureCacheScales(const ImportedModel &model, llvm::ArrayRef<std::vector<int32_t>> windows,
                   const ObserveOptions &options) {
  struct Seen {
    ModuleOutput::Kind kind;
    float CacheScales::*scale;
  };
  std::map<int64_t, CacheScaleChoice> found;
  for (int64_t i = 0; i < model.config.layerCount(); ++i) {
    const LayerConfig &layer = model.config.layers[i];
    if (options.progress)
      options.progress(i, model.config.layerCount());
    if (!layer.ownsKv)
      continue;
    for (Seen seen : {Seen{ModuleOutput::CachedKey, &CacheScales::key},
                      Seen{ModuleOutput::CachedValue, &CacheScales::value}}) {
      if (seen.kind == ModuleOutput::CachedKey && layer.derivesKeys())
        continue;
      LinearInput observed;
      observed.output.kind = seen.kind;
      observed.output.layer = i;
      observed.width = layer.kvHeads * layer.headDim;
      observed.tensors = {"the cache of layer " + std::to_string(i)};
      MagnitudeCounts counts;
      auto count = [&](llvm::ArrayRef<float> rows) {
        for (float value : rows)
          counts.add(value);
      };
      if (llvm::Error error = observeInput(model, observed, windows, options, count))
        return std::move(error);
      found[i].kv8.*seen.scale = counts.bestScale(127);
      found[i].kv4.*seen.scale = counts.bestScale(7);
    }
  }
  return found;
}

} // namespace gcompile
