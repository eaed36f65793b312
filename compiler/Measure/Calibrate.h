// Measures this machine: the constants that the cost model uses, never the speed of a model. All
// kernels are the generated ones. Everything is sampled in turns until the time is up, so that what
// disturbs the machine disturbs all figures alike; a figure is the median of its samples, and its
// spread is the distance of the quartiles over the median. What reads from memory is measured as a
// share of plain reads right before and after it, since memory shared with others changes within
// milliseconds. Bytes and operations per second, seconds.
#pragma once

#include "ir/Format/Format.h"

#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <atomic>
#include <optional>
#include <string>
#include <vector>

namespace gcompile {

// Median and spread of some samples; no samples: not measured.
struct MeasuredFigure {
  double median = 0, spread = 0;
  int samples = 0;
  bool known() const { return samples > 0; }
};
MeasuredFigure figureOf(std::vector<double> samples);

struct ReadFigure {
  int threads = 0;
  int64_t workingSetBytes = 0;
  MeasuredFigure rate;
};
struct FormatFigures {
  WeightFormat format = WeightFormat::F32;
  MeasuredFigure stream;        // matrix times vector, weights from memory: bytes per second
  MeasuredFigure cached;        // the same, weights in cache
  MeasuredFigure matmul;        // matrix times a chunk: operations per second
  std::vector<ReadFigure> sets; // matrix times vector over small sets, launches taken off
};
struct KvFigures {
  KvFormat format = KvFormat::F32;
  MeasuredFigure stream;    // attention of one token, caches from memory: bytes per second
  MeasuredFigure attention; // of a chunk, caches in cache: operations per second
};

struct CalibrationResult {
  std::string variant; // of the code
  int threads = 0;
  std::vector<ReadFigure> reads; // one thread and all, from memory; all, smaller sets
  std::vector<FormatFigures> weights;
  std::vector<KvFigures> caches;
  MeasuredFigure launch;           // one launch on all threads: seconds
  MeasuredFigure vector;           // one element of small operations on one thread: seconds
  MeasuredFigure coldRow, warmRow; // one row of 4.5 KiB at random from a file: seconds
  MeasuredFigure storage;          // sequential cold reads: bytes per second
  double load = 0; // processes that wanted to run beside us, of all cores: 1 is all busy
  std::vector<std::string> doubts; // why the figures should not be trusted; empty: they may
};

struct CalibrationOptions {
  double seconds = 15;                    // of sampling; set-up takes some more
  int threads = 0;                        // 0: as many as this process may use
  int64_t memoryBytes = int64_t(1) << 30; // of the region that stands for memory
  int64_t storageBytes = 256 << 20;       // of the file that rows are read from
  std::string folder;                     // of the file that stands for weights; "": $TMPDIR
  const std::atomic<bool> *cancel = nullptr;
  llvm::function_ref<void(llvm::StringRef step, uint64_t done, uint64_t total)> progress = nullptr;
};

// Errors: no code of ours runs here, no memory, cancelled ("interrupted").
llvm::Expected<CalibrationResult> calibrate(const CalibrationOptions &options = {});

// 1 GiB, or a quarter of what this process may have.
int64_t calibrationRegion(double budgetBytes);

} // namespace gcompile
