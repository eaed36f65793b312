// Which rows of a storage-resident table (or which experts of all layers) lie in which slot of a
// fixed cache: an index and clock replacement, no data and no reading.
//
// Freestanding; memory comes from the caller. Slots handed out since beginChunk() are never
// replaced in the same chunk, so a chunk of up to `slots` rows is resident as a whole.
#pragma once

#include <stdint.h>

namespace gcompile::runtime {

class RowCache {
public:
  static uint64_t memoryBytes(uint32_t slots);
  // `memory` has memoryBytes(slots) bytes, 8-byte aligned; slots is at least 1.
  void initialise(void *memory, uint32_t slots);

  void beginChunk() { ++chunk; }
  // Slot of a row; `isNew` says that its data must be read into it. -1: the chunk has more rows
  // than there are slots.
  int32_t use(uint32_t row, bool &isNew);
  bool has(uint32_t row) const { return index[find(row)] != empty; }
  void forget(); // everything: after a failed read

private:
  static constexpr uint32_t empty = UINT32_MAX;
  static uint32_t tableEntries(uint32_t slots);
  uint32_t hash(uint32_t row) const {
    return uint32_t(row * uint64_t(0x9E3779B97F4A7C15) >> 32) & (entries - 1);
  }
  uint32_t find(uint32_t row) const; // entry of the row, or the empty one where it would go
  void remove(uint32_t row);

  struct Slot {
    uint32_t row; // empty: none
    uint32_t chunk;
    uint32_t referenced;
  };
  Slot *slots = nullptr;
  uint32_t *index = nullptr; // slot numbers; linear probing, at most half full
  uint32_t slotCount = 0, entries = 0, hand = 0, chunk = 0;
};

} // namespace gcompile::runtime
