#include "runtime/host/TableReader.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

namespace gcompile::runtime {

Status TableReader::open(const Artifact &artifact, int descriptor, Message &message) {
  const gc_manifest &manifest = *artifact.manifest;
  placement = manifest.table_placement;
  if (placement == GC_TABLE_NONE)
    return GC_OK;
  rows = manifest.table_rows;
  rowBytes = manifest.table_row_bytes;
  tableBytes = rows * rowBytes;
  fileOffset = artifact.table->offset;
  padRow = manifest.pad_token < rows ? manifest.pad_token : 0;
  file = descriptor;
  table = artifact.data + fileOffset;
  if (placement == GC_TABLE_MEMORY)
    return GC_OK;
  Status status = cache.allocate(manifest.table_cache_rows * rowBytes,
                                 "the row cache of the per-layer table", message);
  if (status == GC_OK)
    status = indexMemory.allocate(RowCache::memoryBytes(manifest.table_cache_rows),
                                  "the index of the row cache", message);
  if (status != GC_OK)
    return status;
  index.initialise(indexMemory.data(), manifest.table_cache_rows);
  // Rows are asked for one by one: reading around them would only push weights out of the page
  // cache.
  (void)posix_fadvise(file, 0, 0, POSIX_FADV_RANDOM);
  table = cache.data();
  return GC_OK;
}

void TableReader::commit() {
  cache.commit();
  if (placement == GC_TABLE_MEMORY)
    populate(table, tableBytes);
}

void TableReader::askFor(uint32_t row) const {
  (void)posix_fadvise(file, off_t(fileOffset + row * rowBytes), off_t(rowBytes),
                      POSIX_FADV_WILLNEED); // advice: failing costs time only
}

Status TableReader::prepare(const int32_t *tokens, uint64_t count, const int32_t *next,
                            uint64_t nextCount, int32_t *slots, Message &message) {
  for (uint64_t i = 0; i < count; ++i)
    slots[i] = int32_t(rowOf(tokens[i]));
  if (placement != GC_TABLE_STORAGE)
    return GC_OK;
  if (count > 1)
    for (uint64_t i = 0; i < count; ++i)
      if (!index.has(uint32_t(slots[i])))
        askFor(uint32_t(slots[i]));
  for (uint64_t i = 0; i < nextCount; ++i)
    if (!index.has(rowOf(next[i])))
      askFor(rowOf(next[i]));
  index.beginChunk();
  for (uint64_t i = 0; i < count; ++i) {
    uint32_t row = uint32_t(slots[i]);
    bool isNew = false;
    int32_t slot = index.use(row, isNew);
    if (slot < 0) {
      index.forget();
      message.clear() << "a chunk of " << count << " tokens has more rows than the row cache";
      return GC_BAD_FILE;
    }
    slots[i] = slot;
    for (uint64_t done = 0; isNew && done < rowBytes;) {
      ssize_t got = pread(file, cache.data() + uint64_t(slot) * rowBytes + done, rowBytes - done,
                          off_t(fileOffset + row * rowBytes + done));
      if (got > 0) {
        done += uint64_t(got);
        continue;
      }
      if (got < 0 && errno == EINTR)
        continue;
      message.clear() << "cannot read row " << row << " of the per-layer table: "
                      << (got < 0 ? strerror(errno) : "the file was cut short");
      index.forget();
      return GC_CANNOT_READ;
    }
  }
  return GC_OK;
}

uint64_t TableReader::resident() const {
  if (placement == GC_TABLE_STORAGE)
    return residentBytes(cache.data(), cache.bytes()) +
           residentBytes(indexMemory.data(), indexMemory.bytes());
  return placement == GC_TABLE_MEMORY ? residentBytes(table, tableBytes) : 0;
}

} // namespace gcompile::runtime
