// Experts that stay on storage, for compiled code: a fixed cache of blocks, one expert each, filled
// from the file as programs ask (docs/decisions/0012).
//
// The missing experts of a layer are read at once, in pieces, by all threads of the session. Reads
// go past the page cache where the file system lets them; otherwise what they leave there is given
// back, so that streaming experts does not push out the mapped weights.
#pragma once

#include "runtime/core/ArtifactReader.h"
#include "runtime/core/RowCache.h"
#include "runtime/host/Memory.h"
#include "runtime/host/ThreadPool.h"

namespace gcompile::runtime {

class ExpertReader {
public:
  ExpertReader() = default;
  ExpertReader(const ExpertReader &) = delete;
  ExpertReader &operator=(const ExpertReader &) = delete;
  ~ExpertReader();

  // Without such experts does nothing. `file` and `pool` outlive the reader.
  Status open(const Artifact &artifact, int file, ThreadPool &pool, Message &message);
  void commit();

  // What gc_call.expert_slots is.
  uint8_t *base() const { return cache.data(); }

  // gc_env.fetch_experts with experts = the reader.
  static void entry(void *self, int64_t layer, int64_t groups, const int32_t *starts,
                    const int32_t *chosen, int32_t *slots);
  // What went wrong since the last call of this; the cache is empty after a failure.
  Status takeFailure(Message &message);

  // Resident bytes that are part of the plan's `tables`.
  uint64_t resident() const;

  struct Counts {
    uint64_t asked = 0, missed = 0; // experts
    double readSeconds = 0;
  };
  const Counts &counts() const { return done; }
  uint64_t slots() const { return slotCount; }
  uint64_t experts() const { return uint64_t(layers) * perLayer; }
  uint64_t blockBytes() const { return bytesOfBlock; }

private:
  struct Miss {
    uint32_t block; // in the section
    int32_t slot;
  };
  struct ReadJob;

  void fetch(int64_t layer, int64_t groups, const int32_t *starts, const int32_t *chosen,
             int32_t *slots);
  void readMisses(uint32_t count);
  static void readPieces(const void *job, int64_t begin, int64_t end);
  // 0, or errno; −1: the file was cut short.
  int readPiece(uint8_t *to, uint64_t bytes, uint64_t offset) const;
  void openDirect();

  uint32_t slotCount = 0, layers = 0, perLayer = 0;
  uint64_t bytesOfBlock = 0, fileOffset = 0;
  int file = -1, direct = -1; // direct: the same file, past the page cache; −1: not possible
  ThreadPool *pool = nullptr;
  Buffer cache, indexMemory, missMemory;
  RowCache index;
  Counts done;

  bool failed = false, tooMany = false;
  int failure = 0; // as readPiece gives it
  uint32_t failedBlock = 0;
};

} // namespace gcompile::runtime
