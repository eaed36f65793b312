#include "passes/Cost/MemoryModel.h"

#include "ir/Format/CacheLayout.h"
#include "passes/Cost/ExpertShape.h"

#include <algorithm>

namespace gcompile {

static int64_t roundUp(int64_t value, int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

int64_t localCapacity(const ModelShape &model, const ProgramShape &program) {
  int64_t chunk = std::max(program.prefillChunk, program.scoreChunk);
  return roundUp(std::min(model.window + chunk - 1, program.context), 64);
}

int64_t globalCapacity(const ProgramShape &program) { return roundUp(program.context, 64); }

// One layer's cache.
static int64_t layerCacheBytes(const LayerShape &layer, const ProgramShape &program, KvFormat k,
                               KvFormat v, int64_t rows) {
  KvLayout layout = cachesValueOnly(layer, program)
                        ? valueOnlyLayout(v, layer.kvHeads, layer.headDim, rows)
                        : kvLayout(k, v, layer.kvHeads, layer.headDim, rows);
  // Blobs follow each other at 128-byte borders.
  return roundUp(layout.bytes, 128);
}

bool cachesValueOnly(const LayerShape &layer, const ProgramShape &program) {
  return program.derivedKeys && layer.keyFromValue && layer.ownsKv;
}

KvBytes kvBytes(const ModelShape &model, const ProgramShape &program, KvScope scope, KvFormat k,
                KvFormat v) {
  KvBytes sum;
  bool global = scope == KvScope::Global;
  sum.capacity = global ? globalCapacity(program) : localCapacity(model, program);
  int64_t needed =
      global ? sum.capacity
             : std::min(roundUp(std::min(model.window, program.context), 64), sum.capacity);
  for (const LayerShape &layer : model.layers) {
    if (!layer.ownsKv || layer.global != global)
      continue;
    ++sum.layers;
    sum.heads = layer.kvHeads;
    sum.headDim = layer.headDim;
    sum.derivedLayers += cachesValueOnly(layer, program);
    int64_t whole = layerCacheBytes(layer, program, k, v, sum.capacity);
    int64_t window = layerCacheBytes(layer, program, k, v, needed);
    sum.window += window;
    sum.surplus += whole - window;
  }
  return sum;
}

int64_t residentBytes(WeightFormat format, int64_t n, int64_t k) {
  return roundUp(packedBytes(format, n, k), 128);
}

int64_t pageTableBytes(int64_t bytes) { return (bytes + 511) / 512; }

int64_t normBytes(int64_t elements) { return roundUp(elements * 4, 128); }

int64_t tableRowBytes(const ModelShape &model, WeightFormat format) {
  if (model.perLayerInput == 0)
    return 0;
  return rowTableRowBytes(format, model.perLayerInput, int64_t(model.layers.size()));
}

int64_t tableMemoryBytes(const ModelShape &model, WeightFormat format) {
  return roundUp(tableRowBytes(model, format) * model.perLayerVocabulary, 128);
}

int64_t tableCacheBytes(const ModelShape &model, WeightFormat format, int64_t cacheRows) {
  return roundUp(tableRowBytes(model, format) * cacheRows, 128);
}

int64_t keyRotationBytes(const ModelShape &model, const ProgramShape &program) {
  for (const LayerShape &layer : model.layers)
    if (cachesValueOnly(layer, program))
      return 2 * 4 * globalCapacity(program) *
             rotaryTableColumns(layer.headDim, layer.rotatedPairs);
  return 0;
}

int64_t estimateArenaBytes(const ModelShape &model, const ProgramShape &program) {
  // What lives at once in f32 for one row of a chunk. Everywhere the residual stream, what the
  // per-layer inputs are made of, and sines and cosines of both kinds of layer.
  int64_t always = model.hidden + (model.perLayerInput > 0 ? model.hidden : 0);
  int64_t localHead = 0, globalHead = 0, widest = 0;
  // Beside the dense branch's output, for each chosen expert gate, up and their product, or the
  // product and what becomes of it; then the sum.
  ExpertShape experts = expertsOf(model);
  int64_t inner = experts.intermediate;
  if (experts.perToken > 0)
    widest = 2 * model.hidden + experts.perToken * (std::max(3 * inner, inner + model.hidden) + 4);
  for (int64_t l = 0; l < model.prefillLayers(); ++l) {
    const LayerShape &layer = model.layers[size_t(l)];
    (layer.global ? globalHead : localHead) = layer.headDim;
    int64_t queries = model.heads * layer.headDim, keys = layer.kvHeads * layer.headDim;
    // Gate, up and their product; or the normed stream with two forms of the queries; or one of
    // the queries, two of the keys and the values. Codes of int8 inputs take a quarter and scales.
    int64_t codes = model.hidden / 2;
    int64_t feedForward = std::max(3 * layer.intermediate, model.hidden + 2 * codes);
    int64_t attention =
        model.hidden + codes + std::max(2 * queries, queries + (layer.ownsKv ? 3 * keys : 0));
    widest = std::max({widest, feedForward, attention});
  }
  return roundUp(program.prefillChunk * 4 * (always + localHead + globalHead + widest), 128) +
         keyRotationBytes(model, program);
}

// From above: a plan that is replayed cannot give way when its code turns out larger. Images have
// code for each distinct matrix shape and format, twice for prefill and decode, so mixed plans have
// the largest: measured 2026-11, of 8 layers 234 to 420 KB on x86-64 and up to 622 KB on AArch64,
// of the 35 layers of E2B 753 KB on x86-64.
int64_t estimateCodeBytes(const ModelShape &model, std::string_view architecture) {
  int64_t bytes = 416 * 1024 + int64_t(model.layers.size()) * 20 * 1024;
  return architecture == "aarch64" ? bytes / 2 * 3 : bytes;
}

int64_t estimateRuntimeBytes(const ModelShape &model, const ProgramShape &program,
                             int64_t tokenizerBytes) {
  // libc, grun itself, read buffers: 2.10 to 2.27 MB where stacks, logits and a tokenizer take next
  // to nothing (tests/benchmarks/memory/account.py on the micro models), and the prediction must
  // never be below.
  constexpr int64_t process = 2304 * 1024;
  int64_t stacks = program.threads * 64 * 1024;
  int64_t logits = model.vocabulary * 4 * 2; // logits of one row, and the sampler's copy
  return process + stacks + logits + 2 * tokenizerBytes;
}

} // namespace gcompile
