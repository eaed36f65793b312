#include "compiler/Import/ContentHash.h"

#include "compiler/Import/Checkpoint.h"

#include "llvm/Support/BLAKE3.h"

#include <algorithm>
#include <vector>

namespace gcompile {

llvm::Expected<PieceDigest> digestOf(const HashPiece &piece) {
  constexpr uint64_t partBytes = uint64_t{1} << 18; // hashed while it is in the core's cache
  std::vector<uint8_t> part(std::min(piece.bytes, partBytes));
  llvm::BLAKE3 hasher;
  for (uint64_t done = 0; done < piece.bytes; done += part.size()) {
    llvm::MutableArrayRef<uint8_t> bytes(part.data(),
                                         std::min<uint64_t>(part.size(), piece.bytes - done));
    if (llvm::Error error = piece.checkpoint->read(*piece.tensor, piece.offset + done, bytes))
      return std::move(error);
    hasher.update(bytes);
  }
  return hasher.final<16>();
}

void PieceHashes::put(const HashPiece &piece, const PieceDigest &digest) {
  std::lock_guard lock(mutex);
  digests[{piece.tensor, piece.offset}] = digest;
}

std::optional<PieceDigest> PieceHashes::find(const HashPiece &piece) const {
  std::lock_guard lock(mutex);
  auto found = digests.find({piece.tensor, piece.offset});
  return found == digests.end() ? std::nullopt : std::optional(found->second);
}

} // namespace gcompile
