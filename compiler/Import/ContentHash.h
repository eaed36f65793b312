// Hashes of tensors in pieces, so that whoever reads all of a model anyway hashes it on the way,
// from any number of threads, instead of reading it once more for its hash
// (Checkpoint::contentHash).
#pragma once

#include "llvm/ADT/DenseMap.h"
#include "llvm/Support/Error.h"

#include <array>
#include <cstdint>
#include <mutex>
#include <optional>
#include <utility>

namespace gcompile {

class Checkpoint;
struct TensorInfo;

// A range of bytes of a tensor. The checkpoint that holds it may be one that another is made from.
struct HashPiece {
  const Checkpoint *checkpoint = nullptr;
  const TensorInfo *tensor = nullptr;
  uint64_t offset = 0, bytes = 0;
};

using PieceDigest = std::array<uint8_t, 16>;

// Reads a piece, in small parts, and hashes it.
llvm::Expected<PieceDigest> digestOf(const HashPiece &piece);

// Digests that are known already. Safe from any number of threads.
class PieceHashes {
public:
  void put(const HashPiece &piece, const PieceDigest &digest);
  std::optional<PieceDigest> find(const HashPiece &piece) const;

private:
  mutable std::mutex mutex;
  llvm::DenseMap<std::pair<const TensorInfo *, uint64_t>, PieceDigest> digests;
};

} // namespace gcompile
