#include "runtime/host/Memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22 // Linux 5.14
#define MADV_POPULATE_WRITE 23
#endif

namespace gcompile::runtime {
namespace {

struct PageRange {
  uintptr_t begin, end;
};

uint64_t pageBytes() { return uint64_t(sysconf(_SC_PAGESIZE)); }

// Pages that lie in the range, the two at its ends included.
PageRange pagesAround(const void *data, uint64_t bytes) {
  uintptr_t page = pageBytes(), begin = reinterpret_cast<uintptr_t>(data);
  return {begin / page * page, (begin + bytes + page - 1) / page * page};
}

// Pages that belong to the range alone.
PageRange pagesInside(const void *data, uint64_t bytes) {
  uintptr_t page = pageBytes(), begin = reinterpret_cast<uintptr_t>(data);
  PageRange range = {(begin + page - 1) / page * page, (begin + bytes) / page * page};
  if (range.end < range.begin)
    range.end = range.begin;
  return range;
}

bool advise(PageRange range, int advice) {
  return range.end > range.begin &&
         madvise(reinterpret_cast<void *>(range.begin), range.end - range.begin, advice) == 0;
}

uint64_t readField(const char *path, const char *field) {
  FILE *file = fopen(path, "re");
  if (!file)
    return 0;
  char line[256];
  unsigned long long value = 0;
  size_t length = strlen(field);
  while (fgets(line, sizeof line, file))
    if (strncmp(line, field, length) == 0) {
      sscanf(line + length, "%llu", &value);
      break;
    }
  fclose(file);
  return value * 1024;
}

uint64_t residentByMincore(PageRange range) {
  uint64_t page = pageBytes(), resident = 0;
  unsigned char states[4096];
  for (uintptr_t at = range.begin; at < range.end;) {
    uintptr_t length =
        range.end - at < sizeof states * page ? range.end - at : sizeof states * page;
    if (mincore(reinterpret_cast<void *>(at), length, states) != 0)
      return resident;
    for (uint64_t i = 0; i < length / page; ++i)
      resident += states[i] & 1;
    at += length;
  }
  return resident * page;
}

} // namespace

Status Buffer::allocate(uint64_t bytes, const char *what, Message &message) {
  release();
  if (!bytes)
    return GC_OK;
  void *mapped = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) {
    message.clear() << "no memory for " << what << ": " << bytes << " bytes (" << strerror(errno)
                    << ")";
    return GC_NO_MEMORY;
  }
  memory = static_cast<uint8_t *>(mapped);
  length = bytes;
  return GC_OK;
}

void Buffer::release() {
  if (memory)
    munmap(memory, length);
  memory = nullptr;
  length = 0;
}

void Buffer::commit() {
  // Attention reads caches two to three times as fast from large pages (docs/performance.md). All
  // of it is taken now, so they take no more memory.
  adviseLargePages(memory, length);
  if (!memory || advise(pagesAround(memory, length), MADV_POPULATE_WRITE))
    return;
  for (uint64_t at = 0, page = pageBytes(); at < length; at += page) {
    volatile uint8_t *byte = memory + at;
    *byte = *byte;
  }
}

void populate(const void *data, uint64_t bytes) {
  if (!bytes || advise(pagesAround(data, bytes), MADV_POPULATE_READ))
    return;
  auto *first = static_cast<const volatile uint8_t *>(data);
  for (uint64_t at = 0, page = pageBytes(); at < bytes; at += page)
    (void)first[at];
}

void readAhead(const void *data, uint64_t bytes) {
  advise(pagesAround(data, bytes), MADV_WILLNEED);
}
void adviseLargePages(const void *data, uint64_t bytes) {
  advise(pagesInside(data, bytes), MADV_HUGEPAGE);
}
void adviseRandom(const void *data, uint64_t bytes) {
  advise(pagesInside(data, bytes), MADV_RANDOM);
}
void dropPages(const void *data, uint64_t bytes) {
  advise(pagesInside(data, bytes), MADV_DONTNEED);
}

uint64_t residentBytes(const void *data, uint64_t bytes) {
  if (!data || !bytes)
    return 0;
  PageRange range = pagesAround(data, bytes);
  int file = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  if (file < 0)
    return residentByMincore(range);
  uint64_t page = pageBytes(), resident = 0, entries[4096];
  for (uintptr_t at = range.begin; at < range.end;) {
    uint64_t count = (range.end - at) / page < 4096 ? (range.end - at) / page : 4096;
    ssize_t got = pread(file, entries, count * 8, off_t(at / page * 8));
    if (got != ssize_t(count * 8)) {
      close(file);
      return residentByMincore(range);
    }
    for (uint64_t i = 0; i < count; ++i)
      resident +=
          entries[i] >> 63; // Linux, Documentation/admin-guide/mm/pagemap.rst: bit 63, page present
    at += count * page;
  }
  close(file);
  return resident * page;
}

ProcessMemory processMemory() {
  ProcessMemory memory = {readField("/proc/self/smaps_rollup", "Rss:"),
                          readField("/proc/self/status", "VmHWM:"),
                          readField("/proc/self/status", "VmPTE:")};
  if (!memory.resident)
    memory.resident = readField("/proc/self/status", "VmRSS:");
  return memory;
}

} // namespace gcompile::runtime
