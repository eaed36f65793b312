// The account of memory: what a session needs at once, by category, in bytes. Pure functions of
// shapes and decisions; packed sizes come from ir/Format, cache capacities from
// docs/decisions/0001. Before code generation `activations` and `code` are estimates, marked as
// such by their functions; the driver replaces them by the exact sizes afterwards and checks the
// budget again.
#pragma once

#include "passes/Cost/ModelShape.h"

#include <cstdint>
#include <string_view>

namespace gcompile {

// The account at the moment of the peak. `tables` is the resident part of tables.
struct MemoryAccount {
  int64_t weights = 0, tables = 0, kvCache = 0, activations = 0, encoders = 0, code = 0,
          runtime = 0;
  int64_t peak() const {
    return weights + tables + kvCache + activations + encoders + code + runtime;
  }
  bool operator==(const MemoryAccount &) const = default;
};

struct ProgramShape {
  int64_t context = 4096;
  int64_t prefillChunk = 128, scoreChunk = 16;
  int64_t threads = 1;
  // Layers whose key is the value cache V alone; false: what caching both would take.
  bool derivedKeys = true;
};

// Rows of a cache: rings hold window + chunk − 1 rows (never more than the context), rounded up
// to 64.
int64_t localCapacity(const ModelShape &model, const ProgramShape &program);
int64_t globalCapacity(const ProgramShape &program);

bool cachesValueOnly(const LayerShape &layer, const ProgramShape &program);

// Caches of all owning layers of one type.
struct KvBytes {
  int64_t layers = 0, heads = 0, headDim = 0, capacity = 0;
  int64_t derivedLayers = 0; // of these, layers that cache V alone
  int64_t window = 0;        // the rows that the model itself needs: counted as kv_cache
  int64_t surplus =
      0; // ring rows beyond the window, for the chunk in flight: counted as activations
  int64_t total() const { return window + surplus; }
};
enum class KvScope : uint8_t { Local, Global };
KvBytes kvBytes(const ModelShape &model, const ProgramShape &program, KvScope scope, KvFormat k,
                KvFormat v);

// A tensor inside the weights section: packed, and rounded up to its alignment of 128.
int64_t residentBytes(WeightFormat format, int64_t n, int64_t k);
int64_t normBytes(int64_t elements); // f32, aligned

// What the system keeps to map so many bytes: an entry of 8 bytes for each page of 4 KiB. It counts
// against the process (a control group is charged for it) and belongs to `runtime`.
int64_t pageTableBytes(int64_t bytes);
inline int64_t withPageTables(int64_t bytes) { return bytes + pageTableBytes(bytes); }

// Per-layer row table: the whole of it, or a cache of `cacheRows` rows.
int64_t tableRowBytes(const ModelShape &model, WeightFormat format);
int64_t tableMemoryBytes(const ModelShape &model, WeightFormat format);
int64_t tableCacheBytes(const ModelShape &model, WeightFormat format, int64_t cacheRows);

// Cosines and sines, f32, of every position of a cache whose keys are derived: a part of the arena,
// one for all layers; 0 without such layers.
int64_t keyRotationBytes(const ModelShape &model, const ProgramShape &program);

// Estimates, until code exists.
int64_t estimateArenaBytes(const ModelShape &model, const ProgramShape &program);
int64_t estimateCodeBytes(const ModelShape &model, std::string_view architecture);
// Process, stacks, tokenizer (from the size of its data; 0 when there is none).
int64_t estimateRuntimeBytes(const ModelShape &model, const ProgramShape &program,
                             int64_t tokenizerBytes);

} // namespace gcompile
