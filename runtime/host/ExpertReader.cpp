#include "runtime/host/ExpertReader.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

namespace gcompile::runtime {
namespace {

// Of one read: several threads share an expert's megabytes, and devices see a queue.
constexpr uint64_t pieceBytes = 1 << 20;
// What direct reads are aligned to, in the file and in memory; blocks are multiples of it.
constexpr uint64_t directAlignment = 4096;

double seconds() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return double(now.tv_sec) + double(now.tv_nsec) * 1e-9;
}

} // namespace

struct ExpertReader::ReadJob {
  ExpertReader *reader;
  const Miss *misses;
  int64_t pieces; // of a block
  // The first failure, by any thread; −2: none yet.
  int failure;
  uint32_t block;
};

ExpertReader::~ExpertReader() {
  if (direct >= 0)
    close(direct);
}

Status ExpertReader::open(const Artifact &artifact, int descriptor, ThreadPool &threads,
                          Message &message) {
  const gc_manifest &manifest = *artifact.manifest;
  slotCount = manifest.expert_cache_slots;
  if (slotCount == 0)
    return GC_OK;
  layers = manifest.expert_layers;
  perLayer = manifest.experts_per_layer;
  bytesOfBlock = artifact.experts->bytes / experts();
  fileOffset = artifact.experts->offset;
  file = descriptor;
  pool = &threads;
  Status status =
      cache.allocate(slotCount * bytesOfBlock, "the cache of experts on storage", message);
  if (status == GC_OK)
    status = indexMemory.allocate(RowCache::memoryBytes(slotCount),
                                  "the index of the cache of experts", message);
  if (status == GC_OK)
    status = missMemory.allocate(perLayer * sizeof(Miss), "missing experts", message);
  if (status != GC_OK)
    return status;
  index.initialise(indexMemory.data(), slotCount);
  openDirect();
  return GC_OK;
}

// A second description of the same file: the first one is mapped, and others read bytes of it.
void ExpertReader::openDirect() {
#ifdef O_DIRECT
  Message path;
  path.clear() << "/proc/self/fd/" << file;
  direct = ::open(path.c_str(), O_RDONLY | O_DIRECT | O_CLOEXEC);
  // Some file systems open so and then refuse to read.
  if (direct >= 0 &&
      pread(direct, cache.data(), directAlignment, off_t(fileOffset)) != ssize_t(directAlignment)) {
    close(direct);
    direct = -1;
  }
#endif
}

void ExpertReader::commit() { cache.commit(); }

void ExpertReader::entry(void *self, int64_t layer, int64_t groups, const int32_t *starts,
                         const int32_t *chosen, int32_t *slots) {
  static_cast<ExpertReader *>(self)->fetch(layer, groups, starts, chosen, slots);
}

void ExpertReader::fetch(int64_t layer, int64_t groups, const int32_t *starts,
                         const int32_t *chosen, int32_t *slots) {
  auto *misses = missMemory.as<Miss>();
  uint32_t missing = 0;
  auto blockOf = [&](int64_t group) {
    return uint32_t(uint64_t(layer) * perLayer + uint64_t(chosen[group]));
  };
  index.beginChunk();
  // Those that are there first, so that none of them gives way to one that is not.
  for (int64_t group = 0; group < groups; ++group) {
    slots[group] = 0;
    if (failed || starts[group] >= starts[group + 1])
      continue;
    ++done.asked;
    bool isNew = false;
    slots[group] = index.has(blockOf(group)) ? index.use(blockOf(group), isNew) : -1;
  }
  for (int64_t group = 0; group < groups; ++group) {
    if (slots[group] >= 0)
      continue;
    bool isNew = false;
    int32_t slot = failed || missing == perLayer ? -1 : index.use(blockOf(group), isNew);
    slots[group] = slot < 0 ? 0 : slot;
    if (slot >= 0)
      misses[missing++] = {blockOf(group), slot};
    else
      failed = tooMany = true;
  }
  if (!failed && missing)
    readMisses(missing);
  if (failed)
    index.forget(); // slots whose reads did not end hold anything
}

void ExpertReader::readMisses(uint32_t count) {
  double begin = seconds();
  ReadJob job = {this, missMemory.as<Miss>(), int64_t((bytesOfBlock + pieceBytes - 1) / pieceBytes),
                 -2, 0};
  pool->parallelFor(readPieces, &job, int64_t(count) * job.pieces);
  done.missed += count;
  done.readSeconds += seconds() - begin;
  if (job.failure == -2)
    return;
  failed = true;
  failure = job.failure;
  failedBlock = job.block;
}

void ExpertReader::readPieces(const void *arguments, int64_t begin, int64_t end) {
  auto &job = *static_cast<ReadJob *>(const_cast<void *>(arguments));
  const ExpertReader &reader = *job.reader;
  for (int64_t task = begin; task < end; ++task) {
    const Miss &miss = job.misses[task / job.pieces];
    uint64_t first = uint64_t(task % job.pieces) * pieceBytes;
    uint64_t bytes = reader.bytesOfBlock - first;
    int result =
        reader.readPiece(reader.cache.data() + uint64_t(miss.slot) * reader.bytesOfBlock + first,
                         bytes < pieceBytes ? bytes : pieceBytes,
                         reader.fileOffset + miss.block * reader.bytesOfBlock + first);
    int none = -2;
    if (result != 0 && __atomic_compare_exchange_n(&job.failure, &none, result, false,
                                                   __ATOMIC_RELAXED, __ATOMIC_RELAXED))
      job.block = miss.block; // read after the join
  }
}

int ExpertReader::readPiece(uint8_t *to, uint64_t bytes, uint64_t offset) const {
  int from = direct >= 0 ? direct : file;
  for (uint64_t had = 0; had < bytes;) {
    ssize_t got = pread(from, to + had, bytes - had, off_t(offset + had));
    if (got > 0)
      had += uint64_t(got);
    else if (got == 0)
      return -1;
    else if (errno != EINTR)
      return errno;
    // A direct read that ended inside of an alignment cannot go on as one.
    if (had % directAlignment)
      from = file;
  }
  if (from == file)
    (void)posix_fadvise(file, off_t(offset), off_t(bytes), POSIX_FADV_DONTNEED);
  return 0;
}

Status ExpertReader::takeFailure(Message &message) {
  if (!failed)
    return GC_OK;
  bool many = tooMany;
  failed = tooMany = false;
  if (many) {
    message.clear() << "a chunk has more experts of a layer than the cache of " << slotCount
                    << " slots";
    return GC_BAD_FILE;
  }
  message.clear() << "cannot read expert " << failedBlock % perLayer << " of layer "
                  << failedBlock / perLayer << ": "
                  << (failure < 0 ? "the file was cut short" : strerror(failure));
  return GC_CANNOT_READ;
}

uint64_t ExpertReader::resident() const {
  return residentBytes(cache.data(), cache.bytes()) +
         residentBytes(indexMemory.data(), indexMemory.bytes());
}

} // namespace gcompile::runtime
