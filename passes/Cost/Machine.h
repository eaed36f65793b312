// What of a machine counts for speed. Bytes and operations per second with all useful threads
// together; times in seconds. A zero means that the figure is not known: nothing that needs it is
// predicted, or it is replaced by what it follows from and the answer gets wider.
//
// Every figure lies within value / factor … value · factor, where the factor says how it is known
// (Uncertainty). optimistic() and pessimistic() are the two ends; an estimate is made for both and
// for the middle.
#pragma once

#include "ir/Format/Format.h"

#include <array>
#include <cstdint>
#include <vector>

namespace gcompile {

// Read bandwidth of a working set that is read over and over.
struct BandwidthPoint {
  double bytes = 0, bytesPerSecond = 0;
};

// Rates of the generated kernels, measured on the machine.
struct WeightRates {
  double streamBytesPerSecond = 0;       // matrix times vector, weights from memory
  double cachedBytesPerSecond = 0;       // the same with weights in cache: arithmetic alone
  double matmulOperationsPerSecond = 0;  // matrix times chunk (2 for a multiply and add)
  std::vector<BandwidthPoint> sets = {}; // matrix times vector over sets in caches, by rising bytes
};
struct KvRates {
  double streamBytesPerSecond = 0;         // one token's attention, caches from memory
  double attentionOperationsPerSecond = 0; // the same, caches in cache
};

struct Uncertainty {
  double bandwidth = 1.15, arithmetic = 1.3, launches = 1.5, storage = 2;
};

constexpr size_t weightFormatCount = size_t(WeightFormat::NF4) + 1;
constexpr size_t kvFormatCount = size_t(KvFormat::Kv4) + 1;

struct MachineModel {
  double readBytesPerSecond = 0;    // sustained from memory
  double integerOpsPerSecond = 0;   // int8 multiply and add, peak
  double floatOpsPerSecond = 0;     // f32 fused multiply and add, peak
  double instructionsPerSecond = 0; // vector instructions
  bool hasDotProduct = false;       // VNNI, AVX-VNNI, sdot
  double barrierSeconds = 0.31e-6;  // one launch (a fork and join) while threads spin: kernels.md 4
  // One element in norms, gates, rounding, …, on one thread. Rows of a chunk are shared by
  // `threads`.
  double vectorSeconds = 0;
  double threads = 1;
  double storageRowSeconds = 150e-6; // one cold row of a table (devices.md 2.8, UFS 3.1)
  double warmPageSeconds = 1e-6;     // one page of a row that is in the page cache
  double storageBytesPerSecond = 0;  // sequential reads

  // Share of the arithmetic peak and of the bandwidth that is left after minutes (heat): 1 unless
  // a long run is meant.
  double sustainedCompute = 1, sustainedBandwidth = 1;

  std::array<WeightRates, weightFormatCount> weightRates{}; // by WeightFormat; zeros: not measured
  std::array<KvRates, kvFormatCount> kvRates{};
  std::vector<BandwidthPoint> readCurve; // by rising bytes; empty: readBytesPerSecond for all

  Uncertainty uncertainty;

  const WeightRates &rates(WeightFormat format) const { return weightRates[size_t(format)]; }
  const KvRates &rates(KvFormat format) const { return kvRates[size_t(format)]; }
};

// Every figure at the fast or at the slow end of what it may be.
MachineModel optimistic(const MachineModel &machine);
MachineModel pessimistic(const MachineModel &machine);

// With rates as they are after minutes at full load.
MachineModel sustained(const MachineModel &machine);

// The machine in an hour when a working set (0: memory) is read so fast: all rates of reading move
// with it, arithmetic stays. Neighbours of a virtual machine move it threefold. An unknown
// bandwidth stays unknown.
MachineModel atReadBandwidth(const MachineModel &machine, double bytesPerSecond,
                             double workingSetBytes = 0);

// Straight on logarithms between the points of a curve (not empty), flat beyond them.
double bandwidthAt(const std::vector<BandwidthPoint> &curve, double workingSetBytes);

// Read bandwidth of a working set: by the curve; without a curve that of memory.
double readBandwidth(const MachineModel &machine, double workingSetBytes);

// How much faster a working set is read than memory, because it stays in caches; 1 for 0, which is
// more than they hold.
double cacheGain(const MachineModel &machine, double workingSetBytes);

// Share of the read bandwidth that a matrix-vector kernel, or attention, reaches: measured, else
// what was measured elsewhere (kernels.md 7 and 1, an Emerald Rapids virtual machine).
double bandwidthShare(WeightFormat format);
double bandwidthShare(KvFormat format);
double bandwidthShare(const MachineModel &machine, WeightFormat format);
double bandwidthShare(const MachineModel &machine, KvFormat format);

// Vector instructions for one weight of a matrix-vector product (a_f of devices.md 5).
double instructionsPerWeight(WeightFormat format, bool dotProduct);

// Share of the arithmetic peak that products of a chunk reach (φ), and the rate that follows; 0:
// not known.
double matmulShare(WeightFormat format);
double matmulRate(const MachineModel &machine, WeightFormat format);

} // namespace gcompile
