#include "compiler/Measure/StorageProbe.h"

#include "compiler/Measure/TemporaryFile.h"

#include <cerrno>
#include <chrono>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

namespace gcompile {
namespace {

using Clock = std::chrono::steady_clock;
double since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

class OpenFile {
public:
  explicit OpenFile(int descriptor) : descriptor(descriptor) {}
  ~OpenFile() {
    if (descriptor >= 0)
      ::close(descriptor);
  }
  OpenFile(const OpenFile &) = delete;
  OpenFile &operator=(const OpenFile &) = delete;
  const int descriptor;
};

bool stopped(const std::atomic<bool> *cancel) { return cancel && cancel->load(); }

// Share of the file's pages that are in memory.
double residentShare(int file, int64_t bytes) {
  void *mapped = mmap(nullptr, size_t(bytes), PROT_READ, MAP_SHARED, file, 0);
  if (mapped == MAP_FAILED)
    return 1;
  size_t page = size_t(sysconf(_SC_PAGESIZE)), pages = (size_t(bytes) + page - 1) / page;
  std::vector<unsigned char> resident(pages);
  double share = 1;
  if (mincore(mapped, size_t(bytes), resident.data()) == 0) {
    size_t count = 0;
    for (unsigned char flag : resident)
      count += flag & 1;
    share = double(count) / double(pages);
  }
  munmap(mapped, size_t(bytes));
  return share;
}

} // namespace

llvm::Expected<StorageFigures> measureStorage(int64_t fileBytes, double seconds,
                                              const std::atomic<bool> *cancel) {
  llvm::Expected<TemporaryFile> temporary = TemporaryFile::create("probe");
  if (!temporary)
    return temporary.takeError();
  OpenFile file(::open(temporary->path().c_str(), O_RDWR | O_CLOEXEC));
  temporary->remove();
  auto failed = [](const char *what) {
    return llvm::createStringError(
        "the temporary file for measuring storage: " + llvm::Twine(what) + ": " + strerror(errno) +
        "; set TMPDIR to a folder with room");
  };
  if (file.descriptor < 0)
    return failed("cannot be opened");
  // Blocks that differ, so that no file system stores them as one.
  std::vector<uint64_t> block((4 << 20) / 8);
  uint64_t state = 0x9e3779b97f4a7c15ull;
  for (int64_t at = 0; at < fileBytes; at += 4 << 20) {
    if (stopped(cancel))
      return llvm::createStringError("interrupted");
    for (uint64_t &word : block)
      word = state = state * 6364136223846793005ull + 1442695040888963407ull;
    if (::pwrite(file.descriptor, block.data(), 4 << 20, at) != 4 << 20)
      return failed("cannot be written");
  }
  if (::fdatasync(file.descriptor) != 0)
    return failed("cannot be written");

  StorageFigures figures;
  auto drop = [&] { return ::posix_fadvise(file.descriptor, 0, 0, POSIX_FADV_DONTNEED) == 0; };
  figures.pagesWereDropped = drop() && residentShare(file.descriptor, fileBytes) < 0.1;
  std::vector<char> row(storageProbeRowBytes);
  auto readRow = [&] {
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    int64_t rows = fileBytes / storageProbeRowBytes;
    int64_t at = int64_t(state >> 20) % rows * storageProbeRowBytes;
    Clock::time_point start = Clock::now();
    if (::pread(file.descriptor, row.data(), row.size(), at) != ssize_t(row.size()))
      return -1.0;
    return since(start);
  };
  if (figures.pagesWereDropped) {
    ::posix_fadvise(file.descriptor, 0, 0, POSIX_FADV_RANDOM);
    std::vector<double> cold;
    for (Clock::time_point start = Clock::now();
         since(start) < seconds * 0.4 && cold.size() < 4000;)
      cold.push_back(readRow());
    figures.coldRow = figureOf(cold);
    ::posix_fadvise(file.descriptor, 0, 0, POSIX_FADV_NORMAL);
    drop();
    std::vector<double> sequential;
    Clock::time_point start = Clock::now();
    for (int64_t at = 0; at < fileBytes && since(start) < seconds * 0.4 && !stopped(cancel);
         at += 4 << 20) {
      Clock::time_point begin = Clock::now();
      if (::pread(file.descriptor, block.data(), 4 << 20, at) != 4 << 20)
        return failed("cannot be read");
      sequential.push_back((4 << 20) / since(begin));
    }
    figures.sequential = figureOf(sequential);
  }
  if (stopped(cancel))
    return llvm::createStringError("interrupted");
  for (int64_t at = 0; at < fileBytes; at += 4 << 20)
    if (::pread(file.descriptor, block.data(), 4 << 20, at) != 4 << 20)
      return failed("cannot be read");
  std::vector<double> warm;
  for (Clock::time_point start = Clock::now(); since(start) < seconds * 0.1 && warm.size() < 4000;)
    warm.push_back(readRow());
  figures.warmRow = figureOf(warm);
  return figures;
}

} // namespace gcompile
