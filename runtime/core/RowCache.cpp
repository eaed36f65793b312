#include "runtime/core/RowCache.h"

namespace gcompile::runtime {

uint32_t RowCache::tableEntries(uint32_t slots) {
  uint32_t entries = 2;
  while (entries < 2 * uint64_t(slots))
    entries *= 2;
  return entries;
}

uint64_t RowCache::memoryBytes(uint32_t slots) {
  return uint64_t(slots) * sizeof(Slot) + uint64_t(tableEntries(slots)) * sizeof(uint32_t);
}

void RowCache::initialise(void *memory, uint32_t count) {
  slots = static_cast<Slot *>(memory);
  index = reinterpret_cast<uint32_t *>(slots + count);
  slotCount = count;
  entries = tableEntries(count);
  forget();
}

void RowCache::forget() {
  for (uint32_t i = 0; i < slotCount; ++i)
    slots[i] = {empty, 0, 0};
  for (uint32_t i = 0; i < entries; ++i)
    index[i] = empty;
  hand = 0;
  chunk = 1;
}

uint32_t RowCache::find(uint32_t row) const {
  uint32_t at = hash(row);
  while (index[at] != empty && slots[index[at]].row != row)
    at = (at + 1) & (entries - 1);
  return at;
}

// Closes the gap that a removed entry leaves in its probe chain (Knuth, volume 3, algorithm 6.4R).
void RowCache::remove(uint32_t row) {
  uint32_t gap = find(row);
  for (uint32_t at = (gap + 1) & (entries - 1); index[at] != empty; at = (at + 1) & (entries - 1)) {
    uint32_t home = hash(slots[index[at]].row);
    bool staysReachable = ((at - home) & (entries - 1)) < ((at - gap) & (entries - 1));
    if (staysReachable)
      continue;
    index[gap] = index[at];
    gap = at;
  }
  index[gap] = empty;
}

int32_t RowCache::use(uint32_t row, bool &isNew) {
  uint32_t at = find(row);
  if (index[at] != empty) {
    Slot &slot = slots[index[at]];
    slot.chunk = chunk;
    slot.referenced = 1;
    isNew = false;
    return int32_t(index[at]);
  }
  // Two turns clear every mark; a third finds nothing only when the whole cache belongs to this
  // chunk.
  for (uint64_t steps = 0; steps < 3 * uint64_t(slotCount); ++steps) {
    uint32_t candidate = hand;
    hand = hand + 1 < slotCount ? hand + 1 : 0;
    Slot &slot = slots[candidate];
    if (slot.row != empty) {
      if (slot.chunk == chunk)
        continue;
      if (slot.referenced) {
        slot.referenced = 0;
        continue;
      }
      remove(slot.row);
    }
    slot = {row, chunk, 0}; // a row that comes once shall not push out those that come again
    index[find(row)] = candidate;
    isNew = true;
    return int32_t(candidate);
  }
  return -1;
}

} // namespace gcompile::runtime
