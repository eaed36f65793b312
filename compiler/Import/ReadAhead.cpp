#include "compiler/Import/ReadAhead.h"

#include <unistd.h>

namespace gcompile {

static uint64_t mostBytes() {
  long pages = sysconf(_SC_PHYS_PAGES), pageBytes = sysconf(_SC_PAGESIZE);
  return pages > 0 && pageBytes > 0 ? uint64_t(pages) * uint64_t(pageBytes) / 4 : 0;
}

ReadAhead::ReadAhead(const Checkpoint &checkpoint, std::vector<const TensorInfo *> tensors)
    : thread([this, &checkpoint, tensors = std::move(tensors)] {
        std::vector<HashPiece> pieces; // what packing reads first
        for (const TensorInfo *tensor : tensors)
          checkpoint.listHashPieces(*tensor, pieces);
        uint64_t left = mostBytes();
        for (const HashPiece &piece : pieces) {
          if (stop || piece.bytes > left)
            return;
          piece.checkpoint->willRead(*piece.tensor, piece.offset, piece.bytes);
          left -= piece.bytes;
        }
      }) {}

ReadAhead::~ReadAhead() {
  stop = true;
  thread.join();
}

} // namespace gcompile
