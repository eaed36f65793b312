// From a checkpoint to packed bytes: read → quantize → pack → write, in parallel and in bounded
// memory. A task is a few panels of a matrix or a few rows of a table; what it writes depends on
// nothing but its own rows, so the result is the same for any number of threads. Where the
// checkpoint holds an item's one source on the grid of its format, codes and scales are taken
// over and nothing is rounded (docs/decisions/0009). The destination is a function, so that tests
// pack into memory and the driver into an artifact.
#pragma once

#include "compiler/Import/Checkpoint.h"
#include "ir/Format/Pack.h"

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/Support/Error.h"

#include <atomic>
#include <cstdint>
#include <vector>

namespace gcompile {

enum class PackKind : uint8_t {
  Matrix,   // a P64 blob
  Vector,   // f32 values as they are
  RowTable, // rows of `slices` pieces (docs/decisions/0001, "Row tables")
};

// Rows [firstRow, firstRow + rowCount) of a tensor; −1: all from firstRow on.
struct PackSource {
  const TensorInfo *tensor = nullptr;
  int64_t firstRow = 0;
  int64_t rowCount = -1;
};

struct PackItem {
  PackKind kind = PackKind::Matrix;
  WeightFormat format = WeightFormat::F32; // Vector: F32
  std::vector<PackSource> sources;         // stacked along rows; all with the same columns
  int64_t slices = 1;                      // RowTable only; divides the columns
  unsigned section = 0;                    // where the bytes go
  uint64_t offset = 0;
  uint64_t matrixStride = 0; // of a stack, bytes from one matrix to the next; 0: stackedStride
};

// Bytes of an item at its destination; an error names what is wrong with the item (no rows, columns
// that differ or that the slices do not divide, a format that its kind does not know).
llvm::Expected<uint64_t> packedItemBytes(const PackItem &item);

using PackSink =
    llvm::function_ref<llvm::Error(unsigned section, uint64_t offset, llvm::ArrayRef<uint8_t>)>;

struct PackOptions {
  unsigned jobs = 0;                         // threads; 0: as many as the machine has
  uint64_t memoryBytes = uint64_t(64) << 20; // of all tasks in flight; one task always runs
  const std::atomic<bool> *cancel = nullptr;
  // Receives the digests of everything that is read, each piece shortly before it is packed, so
  // that it is fetched from the disk once. Null: nothing is hashed.
  PieceHashes *hashes = nullptr;
  // Source values done and in all, as bytes of f32. Never called by two threads at once.
  llvm::function_ref<void(uint64_t, uint64_t)> progress = nullptr;
};

// One result per item, in order. On an error nothing more is written; of several, that of the first
// task in order is returned. `sink` is called by many threads at once, every byte of an item once.
llvm::Expected<std::vector<PackError>> packWeights(const Checkpoint &checkpoint,
                                                   llvm::ArrayRef<PackItem> items, PackSink sink,
                                                   const PackOptions &options = {});

} // namespace gcompile
