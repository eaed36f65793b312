// The kernels that calibration runs, as probes: one sample of a probe is one call of a kernel on a
// piece of memory, and an amount of bytes or operations.
#pragma once

#include "compiler/Measure/HostKernel.h"
#include "compiler/Measure/ProbeTeam.h"
#include "ir/Format/Format.h"

#include <functional>
#include <vector>

namespace gcompile {

// Large memory that is walked through, so that no piece is met again soon.
class ProbeRegion {
public:
  static llvm::Expected<std::unique_ptr<ProbeRegion>> create(int64_t bytes);
  ~ProbeRegion();
  ProbeRegion(const ProbeRegion &) = delete;
  ProbeRegion &operator=(const ProbeRegion &) = delete;

  // Bytes that are ordinary numbers in every format, so that no sample meets denormals.
  void fill(int64_t begin, int64_t end);
  int64_t size() const { return bytes; }
  uint8_t *data() const { return memory; }
  uint8_t *next(int64_t pieceBytes); // aligned to 4096
  void rewind() { position = 0; }

private:
  ProbeRegion() = default;
  uint8_t *memory = nullptr;
  int64_t bytes = 0, position = 0;
};

struct Probe {
  std::string name;
  double amount = 0;               // of one sample
  std::function<double()> seconds; // runs one sample
  std::vector<double> rates;       // amount ÷ seconds of each
  std::vector<double> disturbed;   // of samples during which the system took a processor away
};

// Shapes of Gemma 4 E2B's feed-forward part; rates do not depend on the shape (kernels.md 1).
constexpr int64_t probeOutputs = 6144, probeInputs = 1536, probeChunk = 64;

class KernelProbes {
public:
  KernelProbes(ProbeTeam &team, ProbeRegion &region, std::string variant);

  // Matrix times vector from memory, and from cache; matrix times a chunk.
  llvm::Expected<Probe> matvec(WeightFormat format, bool cached);
  llvm::Expected<Probe> matmul(WeightFormat format);
  // Attention of one token over caches in memory (bytes), and of a chunk over a cache in cache
  // (operations). `headDim` as in E2B: 256 or 512.
  llvm::Expected<Probe> attentionStream(KvFormat format, int64_t headDim);
  llvm::Expected<Probe> attentionChunk(KvFormat format, int64_t headDim);
  // Norm and gate on one thread (elements as vectorElements of the cost model counts them).
  llvm::Expected<Probe> vectorOperations();
  // Plain reads of memory.
  Probe read(int threads);
  // Matrix times vector over a set of weights that is met again and again.
  llvm::Expected<Probe> matvecSet(WeightFormat format, int64_t workingSetBytes);
  // One launch on all threads that does nothing.
  Probe launch();

private:
  uint8_t *scratch(int64_t bytes); // lives as long as this object; filled
  llvm::Expected<Probe> product(WeightFormat format, int64_t rows, int64_t outputs, int64_t inputs,
                                bool cached);
  llvm::Expected<Probe> attention(KvFormat format, int64_t headDim, int64_t rows, int64_t positions,
                                  bool cached);

  ProbeTeam &team;
  ProbeRegion &region;
  std::string variant;
  std::vector<std::unique_ptr<HostKernel>> kernels;
  std::vector<std::vector<uint8_t>> buffers;
};

} // namespace gcompile
