// Predicted speed. A decoded token reads every weight once, so its time is bytes ÷ (read bandwidth
// · the share of it that a format's kernel reaches) or the arithmetic of decoding the format,
// whichever is longer, plus the barriers of the thread pool; prefill is bound by operations. All
// results are estimates; each names the term that dominates. Shares: kernels.md 7 and 1, measured
// 2026 on an Emerald Rapids virtual machine with 2 threads. Times in seconds, bandwidth in bytes
// per second.
#pragma once

#include "passes/Cost/ModelShape.h"

#include <string>

namespace gcompile {

// What of the machine counts. Zero bandwidth: unknown, nothing is predicted.
struct MachineModel {
  double readBytesPerSecond = 0;     // sustained by all threads together
  double integerOpsPerSecond = 0;    // int8 multiply and add, all threads
  double floatOpsPerSecond = 0;      // f32 fused multiply and add, all threads
  double instructionsPerSecond = 0;  // vector instructions, all threads
  bool hasDotProduct = false;        // VNNI, AVX-VNNI, sdot
  double barrierSeconds = 0.31e-6;   // kernels.md 4, spinning
  double storageRowSeconds = 150e-6; // one cold row of a table on storage (devices.md 2.8, UFS 3.1)
};

// Share of the read bandwidth that a matrix-vector kernel of the format reaches.
double bandwidthShare(WeightFormat format);
double bandwidthShare(KvFormat format);

// Time that one decoded token spends in a tensor.
double decodeSeconds(const MachineModel &machine, const TensorShape &tensor, WeightFormat format,
                     int64_t bytes);
// Time that one decoded token spends reading `positions` rows of a cache, all reading layers of the
// scope together.
double kvReadSeconds(const MachineModel &machine, const ModelShape &model, bool global, KvFormat k,
                     KvFormat v, int64_t positions);
double barrierSeconds(const MachineModel &machine, const ModelShape &model);

struct SpeedEstimate {
  double tokensPerSecond = 0;
  std::string term; // "memory bandwidth", "operations", "barriers", "storage"
};

// The parts of one decoded token.
struct DecodeParts {
  double weights = 0, kv = 0, barriers = 0, storage = 0;
};
SpeedEstimate decodeSpeed(const DecodeParts &parts);

// Prefill of full chunks, layers that feed no cache left out. `formatOf` has one format for each of
// model.tensors.
SpeedEstimate prefillSpeed(const MachineModel &machine, const ModelShape &model,
                           const std::vector<WeightFormat> &formatOf, int64_t chunk);

} // namespace gcompile
