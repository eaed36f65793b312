#include "passes/Cost/Machine.h"

#include <algorithm>
#include <cmath>

namespace gcompile {

// Every rate of reading and of computing times a factor.
static MachineModel scaled(const MachineModel &machine, double bandwidth, double arithmetic) {
  MachineModel m = machine;
  m.readBytesPerSecond *= bandwidth;
  for (BandwidthPoint &point : m.readCurve)
    point.bytesPerSecond *= bandwidth;
  for (WeightRates &rates : m.weightRates) {
    rates.streamBytesPerSecond *= bandwidth;
    rates.cachedBytesPerSecond *= arithmetic;
    rates.matmulOperationsPerSecond *= arithmetic;
    for (BandwidthPoint &point : rates.sets) // in caches
      point.bytesPerSecond *= arithmetic;
  }
  for (KvRates &rates : m.kvRates) {
    rates.streamBytesPerSecond *= bandwidth;
    rates.attentionOperationsPerSecond *= arithmetic;
  }
  m.integerOpsPerSecond *= arithmetic;
  m.floatOpsPerSecond *= arithmetic;
  m.instructionsPerSecond *= arithmetic;
  m.vectorSeconds /= arithmetic;
  return m;
}

// All figures moved by their uncertainty; `direction` 1 makes the machine faster, −1 slower.
static MachineModel moved(const MachineModel &machine, int direction) {
  auto factor = [&](double f) { return direction > 0 ? f : 1 / f; };
  double bandwidth = factor(machine.uncertainty.bandwidth),
         arithmetic = factor(machine.uncertainty.arithmetic),
         launches = factor(machine.uncertainty.launches),
         storage = factor(machine.uncertainty.storage);
  MachineModel m = scaled(machine, bandwidth, arithmetic);
  m.barrierSeconds /= launches;
  m.storageRowSeconds /= storage;
  m.warmPageSeconds /= launches;
  m.storageBytesPerSecond *= storage;
  return m;
}

MachineModel optimistic(const MachineModel &machine) { return moved(machine, 1); }
MachineModel pessimistic(const MachineModel &machine) { return moved(machine, -1); }

MachineModel sustained(const MachineModel &machine) {
  MachineModel m = scaled(machine, machine.sustainedBandwidth, machine.sustainedCompute);
  m.sustainedCompute = m.sustainedBandwidth = 1;
  return m;
}

MachineModel atReadBandwidth(const MachineModel &machine, double bytesPerSecond,
                             double workingSetBytes) {
  if (machine.readBytesPerSecond <= 0)
    return machine;
  double expected = machine.readBytesPerSecond * cacheGain(machine, workingSetBytes);
  return scaled(machine, bytesPerSecond / expected, 1);
}

double bandwidthAt(const std::vector<BandwidthPoint> &curve, double workingSetBytes) {
  if (workingSetBytes <= curve.front().bytes)
    return curve.front().bytesPerSecond;
  for (size_t i = 1; i < curve.size(); ++i) {
    const BandwidthPoint &a = curve[i - 1], &b = curve[i];
    if (workingSetBytes > b.bytes)
      continue;
    double t = std::log(workingSetBytes / a.bytes) / std::log(b.bytes / a.bytes);
    return std::exp((1 - t) * std::log(a.bytesPerSecond) + t * std::log(b.bytesPerSecond));
  }
  return curve.back().bytesPerSecond;
}

double readBandwidth(const MachineModel &machine, double workingSetBytes) {
  return machine.readCurve.empty() ? machine.readBytesPerSecond
                                   : bandwidthAt(machine.readCurve, workingSetBytes);
}

double cacheGain(const MachineModel &machine, double workingSetBytes) {
  if (workingSetBytes <= 0 || machine.readBytesPerSecond <= 0)
    return 1;
  return std::max(1.0, readBandwidth(machine, workingSetBytes) / machine.readBytesPerSecond);
}

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
  case WeightFormat::W4G128:
    return 0.95;
  // docs/performance.md, "Kept grids".
  case WeightFormat::Q4K:
    return 0.9;
  case WeightFormat::Q6K:
    return 0.86;
  case WeightFormat::NF4:
    return 0.56;
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

static double measuredShare(const MachineModel &machine, double streamBytesPerSecond,
                            double otherwise) {
  if (streamBytesPerSecond <= 0 || machine.readBytesPerSecond <= 0)
    return otherwise;
  return streamBytesPerSecond / machine.readBytesPerSecond;
}

double bandwidthShare(const MachineModel &machine, WeightFormat format) {
  return measuredShare(machine, machine.rates(format).streamBytesPerSecond, bandwidthShare(format));
}

double bandwidthShare(const MachineModel &machine, KvFormat format) {
  return measuredShare(machine, machine.rates(format).streamBytesPerSecond, bandwidthShare(format));
}

// With a dot product: kernels.md 1 (512-bit); without: devices.md 5, AVX2 column, per 32 weights.
double instructionsPerWeight(WeightFormat format, bool dotProduct) {
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
  // Estimates from the inner loops.
  case WeightFormat::W4G128:
    return dotProduct ? 0.047 : 10.0 / 32;
  case WeightFormat::Q4K:
    return dotProduct ? 0.060 : 12.0 / 32;
  case WeightFormat::Q6K:
    return dotProduct ? 0.080 : 20.0 / 32;
  case WeightFormat::NF4:
    return 3.0 / 16;
  }
  return 0.3;
}

// docs/performance.md, matrix products on one core with VNNI: channel-wise formats 0.96 of the
// peak, group formats 0.73 to 0.84, floats 0.98 of theirs. A whole machine keeps less.
double matmulShare(WeightFormat format) {
  switch (format) {
  case WeightFormat::F32:
  case WeightFormat::BF16:
  case WeightFormat::F16:
    return 0.75;
  case WeightFormat::W8:
  case WeightFormat::W4:
  case WeightFormat::W2:
    return 0.75;
  case WeightFormat::W8G32:
  case WeightFormat::W4G32:
  case WeightFormat::W2G64:
  case WeightFormat::W4G128:
    return 0.6;
  case WeightFormat::Q4K:
    return 0.5;
  case WeightFormat::Q6K:
    return 0.23;
  case WeightFormat::NF4:
    return 0.5;
  }
  return 0.5;
}

double matmulRate(const MachineModel &machine, WeightFormat format) {
  if (double rate = machine.rates(format).matmulOperationsPerSecond; rate > 0)
    return rate;
  double peak = info(format).isInteger ? machine.integerOpsPerSecond : machine.floatOpsPerSecond;
  return peak * matmulShare(format);
}

} // namespace gcompile
