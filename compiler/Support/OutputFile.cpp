// See the header. The order at the end is: content, fsync, name given, folder synced; so that a
// name never stands for a file that a power failure could empty.
#include "compiler/Support/OutputFile.h"

#include "llvm/ADT/Twine.h"
#include "llvm/Support/Path.h"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

using namespace llvm;

namespace gcompile {
namespace {

Error errorf(const Twine &message) { return createStringError(inconvertibleErrorCode(), message); }

std::string decimalBytes(uint64_t bytes) {
  if (bytes < 1000)
    return std::to_string(bytes) + " bytes";
  const char *unit = "kB";
  double amount = bytes / 1e3;
  if (bytes >= 1000000000)
    amount = bytes / 1e9, unit = "GB";
  else if (bytes >= 1000000)
    amount = bytes / 1e6, unit = "MB";
  char text[48];
  snprintf(text, sizeof(text), "%.1f %s", amount, unit);
  return text;
}

// Names of unfinished files, for signal handlers: fixed storage, published by an atomic flag.
struct PartSlot {
  enum State : int { Free, Claimed, InUse };
  std::atomic<int> state{Free};
  char path[PATH_MAX];
};
PartSlot partSlots[16];

int claimPartSlot(const std::string &path) {
  if (path.size() >= sizeof(PartSlot::path))
    return -1;
  for (size_t i = 0; i < std::size(partSlots); ++i) {
    int expected = PartSlot::Free;
    if (!partSlots[i].state.compare_exchange_strong(expected, PartSlot::Claimed))
      continue;
    memcpy(partSlots[i].path, path.c_str(), path.size() + 1);
    partSlots[i].state.store(PartSlot::InUse);
    return static_cast<int>(i);
  }
  return -1; // more writers at once than slots: this one is cleaned up by its destructor only
}

void releasePartSlot(int slot) {
  if (slot >= 0)
    partSlots[slot].state.store(PartSlot::Free);
}

std::string folderOf(StringRef path) {
  StringRef folder = sys::path::parent_path(path);
  return folder.empty() ? "." : folder.str();
}

} // namespace

void removePartialOutputs() {
  for (PartSlot &slot : partSlots)
    if (slot.state.load() == PartSlot::InUse)
      unlink(slot.path);
}

Error OutputFile::fail(int error, const char *action) const {
  std::string message = std::string("cannot ") + action + " '" + path + "': ";
  std::string needed = decimalBytes(fileBytes);
  switch (error) {
  case ENOSPC:
  case EDQUOT: {
    message += error == ENOSPC ? "the disk is full" : "the disk quota is used up";
    message += ", " + needed + " are needed";
    struct statvfs facts;
    if (error == ENOSPC && statvfs(folderOf(path).c_str(), &facts) == 0)
      message += " and " + decimalBytes(uint64_t(facts.f_bavail) * facts.f_frsize) + " are free";
    message += "; free space or choose another folder with -o";
    break;
  }
  case EFBIG:
    message += "files here may not be as large as the " + needed +
               " that are needed; raise the limit (ulimit -f) or choose another folder with -o";
    break;
  case EACCES:
  case EPERM:
  case EROFS:
    message += "the folder '" + folderOf(path) + "' is not writable (" + strerror(error) +
               "); choose another with -o";
    break;
  case ENOENT:
  case ENOTDIR:
    message += "there is no folder '" + folderOf(path) + "'; make it or choose another with -o";
    break;
  default:
    message += strerror(error);
  }
  return errorf(message);
}

Error OutputFile::checkCancelled() const {
  if (options.cancel && options.cancel->load(std::memory_order_relaxed))
    return errorf("interrupted; '" + path + "' was not written");
  return Error::success();
}

Expected<std::unique_ptr<OutputFile>> OutputFile::create(StringRef path, uint64_t bytes,
                                                         OutputFileOptions options) {
  std::unique_ptr<OutputFile> output(new OutputFile);
  output->path = path.str();
  output->fileBytes = bytes;
  output->options = options;
  if (Error error = output->open())
    return std::move(error);
  if (Error error = output->allocate())
    return std::move(error);
  return std::move(output);
}

Error OutputFile::open() {
  struct stat facts;
  if (stat(path.c_str(), &facts) == 0 && !S_ISREG(facts.st_mode))
    return errorf("cannot write '" + path + "': it exists and is no regular file; name another " +
                  "output with -o");
  // Follow a link to the file that it names, as an ordinary write would.
  if (char *real = realpath(path.c_str(), nullptr)) {
    path = real;
    free(real);
  }
  std::string folder = folderOf(path);
#ifdef O_TMPFILE
  if (options.temporaryFile == TemporaryFile::Any)
    file = ::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0666);
  if (file >= 0) {
    // Without /proc the file could never get its name.
    std::string link = "/proc/self/fd/" + std::to_string(file);
    struct stat linked;
    if (stat(link.c_str(), &linked) == 0)
      return Error::success();
    ::close(file);
    file = -1;
  }
#endif
  int error = takeUnusedName([&](const std::string &unique) {
    partPath = path + "." + unique + ".part";
    if (sys::path::filename(partPath).size() > NAME_MAX)
      partPath = folder + "/.gcompile-" + unique + ".part";
    partSlot = claimPartSlot(partPath);
    file = ::open(partPath.c_str(), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0666);
    return file >= 0;
  });
  return error ? fail(error, "create") : Error::success();
}

// Tries names until one is free: where process numbers come again, as in containers, a process that
// was killed may have left one. What is there is not ours to remove. 0, or errno.
int OutputFile::takeUnusedName(function_ref<bool(const std::string &unique)> take) {
  static std::atomic<unsigned> counter{0};
  for (;;) {
    if (take(std::to_string(getpid()) + "-" + std::to_string(counter++)))
      return 0;
    int error = errno;
    releasePartSlot(partSlot);
    partSlot = -1;
    partPath.clear();
    if (error != EEXIST)
      return error;
  }
}

Error OutputFile::allocate() {
  // Ask before allocating: a file system would use up all that is left before it refuses, and going
  // over the limit of the process is answered by a deadly signal.
  struct rlimit limit;
  if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
      limit.rlim_cur < fileBytes)
    return fail(EFBIG, "write");
  struct statvfs facts;
  if (fstatvfs(file, &facts) == 0 && facts.f_blocks != 0 &&
      uint64_t(facts.f_bavail) * facts.f_frsize < fileBytes)
    return fail(ENOSPC, "write");
  off_t bytes = static_cast<off_t>(fileBytes);
  int result;
  // Not posix_fallocate: where the file system cannot, it would write every block itself.
  do
    result = fallocate(file, 0, 0, bytes);
  while (result != 0 && errno == EINTR);
  if (result != 0 && (errno == EOPNOTSUPP || errno == ENOSYS))
    result = ftruncate(file, bytes);
  return result == 0 ? Error::success() : fail(errno, "write");
}

OutputFile::~OutputFile() {
  if (file >= 0)
    ::close(file);
  if (!partPath.empty())
    unlink(partPath.c_str());
  releasePartSlot(partSlot);
}

Error OutputFile::writeAt(uint64_t offset, ArrayRef<uint8_t> bytes) {
  if (Error error = checkCancelled())
    return error;
  if (offset > fileBytes || bytes.size() > fileBytes - offset)
    return errorf("internal: " + Twine(bytes.size()) + " bytes at " + Twine(offset) +
                  " do not fit '" + path + "' of " + Twine(fileBytes) + " bytes");
  while (!bytes.empty()) {
    size_t count = std::min<size_t>(bytes.size(), size_t(1) << 30);
    ssize_t written = pwrite(file, bytes.data(), count, static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR)
      continue;
    if (written <= 0)
      return fail(written < 0 ? errno : ENOSPC, "write");
    bytes = bytes.drop_front(static_cast<size_t>(written));
    offset += static_cast<uint64_t>(written);
    startWriting(static_cast<uint64_t>(written));
  }
  return Error::success();
}

// What is written is sent to the disk while the rest is computed: left to itself the system would
// begin after half a minute, and commit would wait for all of it.
void OutputFile::startWriting(uint64_t bytes) {
#ifdef SYNC_FILE_RANGE_WRITE
  constexpr uint64_t atOnce = uint64_t(32) << 20;
  uint64_t before = writtenBytes.fetch_add(bytes, std::memory_order_relaxed);
  if (before / atOnce != (before + bytes) / atOnce)
    (void)sync_file_range(file, 0, 0, SYNC_FILE_RANGE_WRITE);
#else
  (void)bytes;
#endif
}

Error OutputFile::readAt(uint64_t offset, MutableArrayRef<uint8_t> bytes) const {
  if (Error error = checkCancelled())
    return error;
  while (!bytes.empty()) {
    ssize_t got = pread(file, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR)
      continue;
    if (got <= 0)
      return fail(got < 0 ? errno : EIO, "read back");
    bytes = bytes.drop_front(static_cast<size_t>(got));
    offset += static_cast<uint64_t>(got);
  }
  return Error::success();
}

Error OutputFile::commit() {
  if (fsync(file) != 0)
    return fail(errno, "write");
  if (Error error = checkCancelled())
    return error;
  if (partPath.empty()) {
    // linkat cannot replace a file, so an unnamed file gets a temporary name first.
    std::string link = "/proc/self/fd/" + std::to_string(file);
    int error = takeUnusedName([&](const std::string &unique) {
      partPath = folderOf(path) + "/.gcompile-" + unique + ".link.part";
      partSlot = claimPartSlot(partPath);
      return linkat(AT_FDCWD, link.c_str(), AT_FDCWD, partPath.c_str(), AT_SYMLINK_FOLLOW) == 0;
    });
    if (error)
      return fail(error, "name");
  }
  if (rename(partPath.c_str(), path.c_str()) != 0)
    return fail(errno, "name");
  partPath.clear();
  releasePartSlot(partSlot);
  partSlot = -1;
  // The name itself: a failure here leaves a complete file, so it is none of the caller's business.
  int folder = ::open(folderOf(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder >= 0) {
    (void)fsync(folder);
    ::close(folder);
  }
  int closed = ::close(file);
  file = -1;
  if (closed != 0 && errno != EINTR)
    return fail(errno, "close");
  return Error::success();
}

} // namespace gcompile
