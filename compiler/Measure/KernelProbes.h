// The kernels that calibration runs, as probes: one sample of a probe is one call of a kernel on a
// piece of memory, and an amount of bytes or operations.
#pragma once

#include "compiler/Measure/HostKernel.h"
#include "compiler/Measure/ProbeRegion.h"
#include "compiler/Measure/ProbeTeam.h"
#include "ir/Format/Format.h"

#include <functional>
#include <vector>

namespace gcompile {

struct Probe {
  std::string name;
  double amount = 0;               // of one sample
  std::function<double()> seconds; // runs one sample
  std::vector<double> rates;       // amount ÷ seconds of each
  std::vector<double> disturbed;   // of samples during which the system took a processor away
  // Rates are kept as shares of plain reads right before and after: memory itself changes from one
  // moment to the next.
  bool isShareOfRead = false;
  // Bytes that a sample reads from memory besides computing: the time of a plain read of them is
  // taken off.
  double readBytes = 0;
};

// Shapes of Gemma 4 E2B's feed-forward part; rates do not depend on the shape (kernels.md 1).
constexpr int64_t probeOutputs = 6144, probeInputs = 1536, probeChunk = 128, setOutputs = 512,
                  setInputs = 256;

class KernelProbes {
public:
  // `weights` and `caches`: memory that products and attention read.
  KernelProbes(ProbeTeam &team, ProbeRegion &weights, ProbeRegion &caches, std::string variant);

  // Matrix times vector from memory, and from cache; matrix times a chunk, weights from memory.
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
  // Matrix times vector over sets of weights that are met again and again, one probe for each size:
  // small matrices, as models that fit into caches have, unless `inputs` says otherwise.
  llvm::Expected<std::vector<Probe>> matvecSets(WeightFormat format,
                                                llvm::ArrayRef<int64_t> workingSetBytes,
                                                int64_t inputs = setInputs);
  static int64_t setPieceBytes(WeightFormat format, int64_t inputs = setInputs);
  // One launch of many tasks on all threads that do nothing: what sharing them costs is part of it.
  Probe launch();

private:
  uint8_t *scratch(int64_t bytes); // lives as long as this object; filled
  llvm::Expected<Probe> product(WeightFormat format, int64_t rows, int64_t outputs, int64_t inputs,
                                bool cached);
  // Both in turns, as layers have them.
  llvm::Expected<Probe> upAndDown(WeightFormat format, int64_t rows);
  llvm::Expected<Probe> attention(KvFormat format, int64_t headDim, int64_t rows, int64_t positions,
                                  bool cached);

  ProbeTeam &team;
  ProbeRegion &region, &caches;
  std::string variant;
  std::vector<std::unique_ptr<HostKernel>> kernels;
  std::vector<std::vector<uint8_t>> buffers;
};

} // namespace gcompile
