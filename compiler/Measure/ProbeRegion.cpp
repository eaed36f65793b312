#include "compiler/Measure/ProbeRegion.h"

#include "compiler/Measure/TemporaryFile.h"

#include "llvm/ADT/SmallString.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/LineIterator.h"
#include "llvm/Support/MemoryBuffer.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <vector>

namespace gcompile {

constexpr int64_t blockBytes = 32 << 20;

void fillWithNumbers(void *memory, int64_t bytes, uint64_t &state) {
  auto *to = static_cast<uint8_t *>(memory);
  for (int64_t i = 0; i < bytes; i += 8) {
    state = state * 6364136223846793005ull + 1442695040888963407ull; // Knuth, MMIX
    uint64_t word = 0x3030303030303030ull | (state >> 4 & 0x0f0f0f0f0f0f0f0full);
    std::memcpy(to + i, &word, size_t(std::min<int64_t>(8, bytes - i)));
  }
}

llvm::Expected<std::unique_ptr<ProbeRegion>> ProbeRegion::anonymous(int64_t bytes, Step step) {
  void *memory =
      mmap(nullptr, size_t(bytes), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED)
    return llvm::createStringError("no memory for a region of " + llvm::Twine(bytes) + " bytes");
  std::unique_ptr<ProbeRegion> region(new ProbeRegion(memory, bytes));
  madvise(memory, size_t(bytes), MADV_HUGEPAGE); // as Buffer::commit of the runtime does
  uint64_t state = 1;
  for (int64_t at = 0; at < bytes; at += blockBytes) {
    fillWithNumbers(region->memory + at, std::min(blockBytes, bytes - at), state);
    if (llvm::Error error = step(at))
      return std::move(error);
  }
  return region;
}

static llvm::Error writeNumbers(int file, int64_t bytes, ProbeRegion::Step step) {
  std::vector<uint8_t> block(blockBytes);
  uint64_t state = 1;
  for (int64_t at = 0; at < bytes; at += blockBytes) {
    size_t length = size_t(std::min(blockBytes, bytes - at));
    fillWithNumbers(block.data(), int64_t(length), state);
    for (size_t done = 0; done < length;) {
      ssize_t written = ::pwrite(file, block.data() + done, length - done, at + int64_t(done));
      if (written <= 0)
        return llvm::createStringError("cannot be written: " + llvm::Twine(strerror(errno)));
      done += size_t(written);
    }
    if (llvm::Error error = step(at))
      return error;
  }
  if (::fdatasync(file) != 0)
    return llvm::createStringError("cannot be written: " + llvm::Twine(strerror(errno)));
  return llvm::Error::success();
}

llvm::Expected<std::unique_ptr<ProbeRegion>> ProbeRegion::map(int file, int64_t offset,
                                                              int64_t bytes, Step step) {
  void *memory = mmap(nullptr, size_t(bytes), PROT_READ, MAP_SHARED, file, off_t(offset));
  if (memory == MAP_FAILED)
    return llvm::createStringError("cannot be mapped: " + llvm::Twine(strerror(errno)));
  std::unique_ptr<ProbeRegion> region(new ProbeRegion(memory, bytes));
  madvise(memory, size_t(bytes), MADV_HUGEPAGE); // as runtime/host/Model.cpp does
  for (int64_t at = 0; at < bytes; at += 4096) {
    (void)static_cast<const volatile uint8_t *>(region->memory)[at];
    if (at % blockBytes == 0)
      if (llvm::Error error = step(at))
        return std::move(error);
  }
  return region;
}

namespace {
struct OpenFile {
  explicit OpenFile(llvm::StringRef path, int flags)
      : descriptor(::open(path.str().c_str(), flags | O_CLOEXEC)) {}
  ~OpenFile() {
    if (descriptor >= 0)
      ::close(descriptor);
  }
  OpenFile(const OpenFile &) = delete;
  OpenFile &operator=(const OpenFile &) = delete;
  const int descriptor;
};
} // namespace

llvm::Expected<std::unique_ptr<ProbeRegion>>
ProbeRegion::mapped(int64_t bytes, llvm::StringRef folder, Step step) {
  llvm::Expected<TemporaryFile> temporary = TemporaryFile::create("region", folder);
  if (!temporary)
    return temporary.takeError();
  OpenFile file(temporary->path(), O_RDWR);
  temporary->remove(); // the mapping keeps what is in it
  if (file.descriptor < 0)
    return llvm::createStringError("cannot be opened: " + llvm::Twine(strerror(errno)));
  if (llvm::Error error = writeNumbers(file.descriptor, bytes, step))
    return std::move(error);
  ::posix_fadvise(file.descriptor, 0, 0, POSIX_FADV_DONTNEED);
  return map(file.descriptor, 0, bytes, step);
}

// proc(5): "address-address perms offset dev inode pathname".
llvm::Expected<std::unique_ptr<ProbeRegion>> ProbeRegion::existing(llvm::StringRef path,
                                                                   int64_t offset, int64_t bytes) {
  int64_t first = (offset + 4095) / 4096 * 4096, end = (offset + bytes) / 4096 * 4096;
  llvm::SmallString<128> real;
  if (std::error_code error = llvm::sys::fs::real_path(path, real))
    return llvm::createStringError("'" + path + "' cannot be opened: " + error.message());
  auto maps = llvm::MemoryBuffer::getFileAsStream("/proc/self/maps");
  if (!maps)
    return llvm::createStringError("/proc/self/maps cannot be read: " + maps.getError().message());
  for (llvm::line_iterator line(**maps); !line.is_at_end(); ++line) {
    uint64_t low = 0, high = 0, fileOffset = 0;
    auto [addresses, rest] = line->split(' ');
    auto [from, to] = addresses.split('-');
    if (!line->ends_with((" " + real).str()) || from.getAsInteger(16, low) ||
        to.getAsInteger(16, high) ||
        rest.split(' ').second.split(' ').first.getAsInteger(16, fileOffset))
      continue;
    if (int64_t(fileOffset) <= first && first < end && end <= int64_t(fileOffset + high - low))
      return std::unique_ptr<ProbeRegion>(new ProbeRegion(
          reinterpret_cast<void *>(low + uint64_t(first) - fileOffset), end - first, false));
  }
  return llvm::createStringError("this process has not mapped bytes " + llvm::Twine(first) +
                                 " to " + llvm::Twine(end) + " of '" + path + "'");
}

ProbeRegion::~ProbeRegion() {
  if (isOwner)
    munmap(memory, size_t(bytes));
}

const uint8_t *ProbeRegion::next(int64_t pieceBytes) {
  int64_t rounded = (pieceBytes + 4095) / 4096 * 4096;
  // Kernels fetch up to 16 KiB ahead.
  if (position + rounded + 16384 > bytes)
    position = 0;
  const uint8_t *piece = memory + position;
  position += rounded;
  return piece;
}

} // namespace gcompile
