// Memory from the operating system for the runtime's large buffers, and what of it (and of mapped
// files) is resident.
//
// Buffers are private anonymous mappings: zero, page-aligned, returned whole. Residency is read
// from /proc/self/pagemap page by page, so parts of one mapping can be told apart; where that file
// is missing, mincore stands in (which also counts pages that only the page cache holds).
#pragma once

#include "runtime/core/Status.h"

namespace gcompile::runtime {

class Buffer {
public:
  Buffer() = default;
  Buffer(const Buffer &) = delete;
  Buffer &operator=(const Buffer &) = delete;
  ~Buffer() { release(); }

  // Zero bytes give no memory and no error. `what` names it in the message.
  Status allocate(uint64_t bytes, const char *what, Message &message);
  void release();
  void commit(); // makes every page resident

  uint8_t *data() const { return memory; }
  uint64_t bytes() const { return length; }
  template <typename T>
  T *as() const {
    return reinterpret_cast<T *>(memory);
  }

private:
  uint8_t *memory = nullptr;
  uint64_t length = 0;
};

// Makes mapped file pages resident; returns when they are.
void populate(const void *data, uint64_t bytes);
// Starts reading mapped file pages.
void readAhead(const void *data, uint64_t bytes);
// Large pages, where the file system and the system have them for files: reading pages of 4 KiB one
// after the other waits for address translation, in virtual machines twice. No effect elsewhere.
void adviseLargePages(const void *data, uint64_t bytes);
// Random access is coming: no reading around.
void adviseRandom(const void *data, uint64_t bytes);
// Takes pages out of the process; file pages stay in the page cache and come back when touched.
void dropPages(const void *data, uint64_t bytes);

uint64_t residentBytes(const void *data, uint64_t bytes);

struct ProcessMemory {
  uint64_t resident, peakResident;
  uint64_t
      pageTables; // that map it; control groups are charged for them, `resident` leaves them out
};
ProcessMemory processMemory();

} // namespace gcompile::runtime
