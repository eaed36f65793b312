// Blocks of large files read ahead of their use into a bounded pool: of what the page cache does
// not hold, past it (O_DIRECT). Checkpoints are read once and are often larger than the memory that
// is free; through the page cache, their pages push out everybody else's, and making those pages
// costs more than the read itself (docs/performance.md). What the page cache holds is taken from
// there.
#pragma once

#include "llvm/ADT/ArrayRef.h"

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace gcompile {

class BlockReader {
public:
  static constexpr uint64_t blockBytes = uint64_t(2) << 20;
  static constexpr unsigned blockCount = 48;

  // A file by its descriptors: one for reads through the page cache, which names the file, and one
  // past it (−1 where the file system has no such reads).
  struct File {
    int cached = -1, direct = -1;
  };

  // The pool that all open files share; it lives as long as somebody holds it.
  static std::shared_ptr<BlockReader> shared();
  ~BlockReader();

  // Starts to read these bytes, as far as the pool has room for them.
  void fetch(File file, uint64_t offset, uint64_t bytes);
  // Waits for bytes that were asked for and copies them: how many from `offset` on are here, at
  // most to the end of a block. 0: the caller reads them itself, and meets the error if there is
  // one.
  uint64_t copy(File file, uint64_t offset, llvm::MutableArrayRef<uint8_t> out);
  // Forgets a file that is about to be closed.
  void forget(File file);

private:
  struct Block {
    enum State : uint8_t { Empty, Waiting, Reading, Ready };
    State state = Empty;
    unsigned readers = 0; // that copy from it now
    File file;
    uint64_t start = 0, bytes = 0; // bytes: of a block that is ready
    uint64_t lastUse = 0;
    uint8_t *memory = nullptr;
  };

  BlockReader() = default;
  Block *find(int file, uint64_t start);
  Block *oldestUnused();
  void work();

  std::mutex mutex;
  std::condition_variable asked, arrived;
  std::vector<Block> blocks;
  std::deque<Block *> queue;
  std::vector<std::thread> threads; // started with the first fetch
  uint8_t *pool = nullptr;
  uint64_t uses = 0;
  bool stopping = false;
};

} // namespace gcompile
