// Time of one decoded token. A token reads every weight once, so its time is bytes ÷ (read
// bandwidth · the share of it that a format's kernel reaches) or the arithmetic of decoding the
// format, whichever is longer (loads and arithmetic overlap); plus attention over the caches, the
// launches of the thread pool, small operations by layer, rows of a table and experts on storage.
// Bytes and seconds; weights and positions are counts.
#pragma once

#include "passes/Cost/Estimate.h"
#include "passes/Cost/Machine.h"
#include "passes/Cost/ModelShape.h"

#include <span>

namespace gcompile {

// Time that one decoded token spends in a tensor; `bytes` is its packed size. `workingSetBytes`:
// what a token reads in all (it may stay in a cache); 0: more than caches hold. A zero bandwidth
// gives 0.
double decodeSeconds(const MachineModel &machine, const TensorShape &tensor, WeightFormat format,
                     int64_t bytes, double workingSetBytes = 0);

// Whether decoding the format's weights takes longer than reading them.
bool isArithmeticBound(const MachineModel &machine, WeightFormat format,
                       double workingSetBytes = 0);

// Bytes of K and V of one position that all reading layers of a scope read together, and the time.
// With `derivedKeys`, layers whose key is the value read V alone (ProgramShape::derivedKeys).
double kvBytesPerPosition(const ModelShape &model, bool global, KvFormat k, KvFormat v,
                          bool derivedKeys = true);
double kvReadSeconds(const MachineModel &machine, const ModelShape &model, bool global, KvFormat k,
                     KvFormat v, int64_t positions, bool derivedKeys = true,
                     double workingSetBytes = 0);
// Of one layer alone.
double kvReadSeconds(const MachineModel &machine, const ModelShape &model, const LayerShape &layer,
                     KvFormat k, KvFormat v, int64_t positions, bool derivedKeys,
                     double workingSetBytes);

// Elements that norms, gates, rotations and rounding of one token visit in a layer.
double vectorElements(const ModelShape &model, const LayerShape &layer);

// Launches of one decoded token (a fork and join each): the products of every layer, attention, the
// two halves of the gate and the addition of the layer's own input; two for the head. Operations on
// one row run without a launch.
int64_t decodeLaunches(const ModelShape &model);
double barrierSeconds(const MachineModel &machine, const ModelShape &model);

// Rows of words that texts use often stay in the page cache: most of all (devices.md 5, a planning
// rule).
constexpr double usualColdShare = 0.1;
double storageSeconds(const MachineModel &machine, double pages, double coldShare);
// Reading so many bytes of experts; an unknown rate gives 0.
double expertSeconds(const MachineModel &machine, double bytes);

// One decoded token of a plan.
struct DecodeWork {
  std::span<const WeightFormat> formats; // one for each of model.tensors
  KvFormat localK = KvFormat::F16, localV = KvFormat::F16;
  KvFormat globalK = KvFormat::F16, globalV = KvFormat::F16;
  int64_t positions = 1;             // that the token sees
  double storagePages = 0;           // of 4 KiB, of table rows that are fetched from storage
  double coldShare = usualColdShare; // of them, that are not in the page cache
  double expertBytes = 0;            // of experts that are read from storage
};
TimeEstimate decodeTime(const MachineModel &machine, const ModelShape &model,
                        const DecodeWork &work);

// Bytes that the token reads in all: weights, head, keys and values.
double workingSetBytes(const ModelShape &model, const DecodeWork &work);

struct SpeedEstimate {
  double tokensPerSecond = 0, low = 0, high = 0; // 0: not predicted
  std::string term; // "memory bandwidth", "arithmetic", "barriers", "storage", "operations", …
};

// The parts of one decoded token, when they were added up elsewhere.
struct DecodeParts {
  double weights = 0, kv = 0, barriers = 0, storage = 0;
};
SpeedEstimate decodeSpeed(const DecodeParts &parts);
SpeedEstimate decodeSpeed(const TimeEstimate &token);

// Distinct experts that `tokens` tokens use together, routed independently: E·(1 − (1 − K/E)^M).
double distinctExperts(int64_t experts, int64_t perToken, int64_t tokens);

} // namespace gcompile
