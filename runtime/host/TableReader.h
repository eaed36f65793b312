// Rows of the per-layer table for compiled code: the mapped table itself, or a fixed cache of rows
// that is filled from the file.
//
// In memory a row's slot is the row. On storage the rows of a chunk are asked for all at once (so
// the device sees a queue, not one request at a time), those of the next chunk too, then read into
// their slots.
#pragma once

#include "runtime/core/ArtifactReader.h"
#include "runtime/core/RowCache.h"
#include "runtime/host/Memory.h"

namespace gcompile::runtime {

class TableReader {
public:
  Status open(const Artifact &artifact, int file, Message &message);
  void commit();

  // What gc_call.per_layer_table is.
  const uint8_t *base() const { return table; }
  // Sets slots[i] for tokens[i]. `next` are the tokens of the chunk after this one, asked for
  // ahead. On failure the cache is empty.
  Status prepare(const int32_t *tokens, uint64_t count, const int32_t *next, uint64_t nextCount,
                 int32_t *slots, Message &message);

  // Resident bytes that are the plan's `tables`.
  uint64_t resident() const;

private:
  uint32_t rowOf(int32_t token) const { return uint64_t(token) < rows ? uint32_t(token) : padRow; }
  void askFor(uint32_t row) const;

  const uint8_t *table = nullptr;
  uint64_t rows = 0, rowBytes = 0, fileOffset = 0, tableBytes = 0;
  uint32_t padRow = 0;
  uint32_t placement = GC_TABLE_NONE;
  int file = -1;
  Buffer cache, indexMemory;
  RowCache index;
};

} // namespace gcompile::runtime
