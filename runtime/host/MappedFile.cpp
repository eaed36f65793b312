#include "runtime/host/MappedFile.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace gcompile::runtime {
namespace {

Status failed(Message &message, const char *what) {
  message.clear() << what << ": " << strerror(errno);
  return errno == ENOMEM ? GC_NO_MEMORY : GC_CANNOT_READ;
}

} // namespace

Status MappedFile::open(const char *path, Message &message) {
  close();
  // Non-blocking: a named pipe must not hang the caller; regular files do not notice.
  file = ::open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0)
    return failed(message, "cannot open");
  struct stat info;
  if (fstat(file, &info) != 0)
    return failed(message, "cannot read");
  if (!S_ISREG(info.st_mode)) {
    message.clear() << "not a regular file";
    return GC_CANNOT_READ;
  }
  if (info.st_size == 0) {
    message.clear() << "not a .gpk file: it is empty";
    return GC_BAD_FILE;
  }
  void *mapped = mmap(nullptr, size_t(info.st_size), PROT_READ, MAP_SHARED, file, 0);
  if (mapped == MAP_FAILED)
    return failed(message, "cannot map");
  mapping = static_cast<const uint8_t *>(mapped);
  length = uint64_t(info.st_size);
  return GC_OK;
}

void MappedFile::close() {
  if (codeMapping)
    munmap(codeMapping, codeBytes);
  if (mapping)
    munmap(const_cast<uint8_t *>(mapping), length);
  if (file >= 0)
    ::close(file);
  file = -1;
  mapping = nullptr;
  codeMapping = nullptr;
  length = codeBytes = 0;
}

Status MappedFile::mapCode(uint64_t offset, uint64_t bytes, const uint8_t *&code,
                           Message &message) {
  void *mapped = mmap(nullptr, bytes, PROT_READ | PROT_EXEC, MAP_PRIVATE, file, off_t(offset));
  if (mapped == MAP_FAILED) {
    Status status = failed(message, "cannot map code");
    if (errno == EPERM || errno == EACCES)
      message << " (is the file on a file system mounted noexec?)";
    return status;
  }
  codeMapping = mapped;
  codeBytes = bytes;
  code = static_cast<const uint8_t *>(mapped);
  return GC_OK;
}

} // namespace gcompile::runtime
