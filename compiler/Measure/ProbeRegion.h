// Large memory that calibration walks through, so that no piece is met again soon: either pages of
// a mapped file, as the runtime has weights, or anonymous pages, as it has caches. The difference
// matters: pages of a file are large or small as the file system and the system please, and reading
// small ones waits for address translation.
#pragma once

#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <cstdint>
#include <memory>

namespace gcompile {

// All bytes are ordinary numbers in every format, so that no sample meets denormals.
class ProbeRegion {
public:
  // Called now and then with the bytes that are done; an error ends the work.
  using Step = llvm::function_ref<llvm::Error(int64_t bytes)>;

  static llvm::Expected<std::unique_ptr<ProbeRegion>> anonymous(int64_t bytes, Step step);
  // A file without a name in `folder` ("": $TMPDIR, else /tmp), gone with the region or the
  // process; written, dropped from the page cache, mapped with the runtime's advice and read in
  // again, as a stored artifact is.
  static llvm::Expected<std::unique_ptr<ProbeRegion>> mapped(int64_t bytes, llvm::StringRef folder,
                                                             Step step);
  // Whole pages of [offset, offset + bytes) of a file, where this process has mapped them already:
  // the same pages, large or small, that it computes with. Ends with the mapping.
  static llvm::Expected<std::unique_ptr<ProbeRegion>> existing(llvm::StringRef path, int64_t offset,
                                                               int64_t bytes);
  ~ProbeRegion();
  ProbeRegion(const ProbeRegion &) = delete;
  ProbeRegion &operator=(const ProbeRegion &) = delete;

  int64_t size() const { return bytes; }
  // The next piece, aligned to 4096; it starts over where the region ends.
  const uint8_t *next(int64_t pieceBytes);
  void rewind() { position = 0; }

private:
  static llvm::Expected<std::unique_ptr<ProbeRegion>> map(int file, int64_t offset, int64_t bytes,
                                                          Step step);
  ProbeRegion(void *memory, int64_t bytes, bool isOwner = true)
      : memory(static_cast<uint8_t *>(memory)), isOwner(isOwner), bytes(bytes) {}
  uint8_t *memory;
  const bool isOwner;
  int64_t bytes, position = 0;
};

// Bytes as a region has them; `state` goes from call to call, so that blocks differ.
void fillWithNumbers(void *memory, int64_t bytes, uint64_t &state);

} // namespace gcompile
