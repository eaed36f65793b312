#include "compiler/Import/InputFile.h"

#include "compiler/Import/BlockReader.h"
#include "compiler/Import/HostileJson.h"

#include "llvm/ADT/Twine.h"
#include "llvm/Support/Errno.h"

#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

using llvm::Error;
using llvm::Expected;
using llvm::StringRef;
using llvm::Twine;

namespace gcompile {

// Smaller files are read by whoever needs them.
static constexpr uint64_t fewestBytesAhead = uint64_t(16) << 20;

Expected<InputFile> InputFile::open(StringRef path, StringRef name) {
  // Without O_NONBLOCK, opening a named pipe would wait for a writer.
  int descriptor = ::open(path.str().c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0)
    return importError("cannot open " + inQuotes(name) + ": " + llvm::sys::StrError(errno));
  struct stat status;
  if (::fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode)) {
    ::close(descriptor);
    return importError(inQuotes(name) + " is not a regular file");
  }
  InputFile file(descriptor, static_cast<uint64_t>(status.st_size), name.str());
  if (file.bytes >= fewestBytesAhead) {
    file.blocks = BlockReader::shared();
#ifdef O_DIRECT
    // By its descriptor: the name may stand for another file by now.
    std::string link = "/proc/self/fd/" + std::to_string(descriptor);
    file.directDescriptor = ::open(link.c_str(), O_RDONLY | O_CLOEXEC | O_DIRECT);
#endif
  }
  return std::move(file);
}

InputFile::InputFile(InputFile &&other) noexcept
    : descriptor(std::exchange(other.descriptor, -1)),
      directDescriptor(std::exchange(other.directDescriptor, -1)), bytes(other.bytes),
      name(std::move(other.name)), blocks(std::move(other.blocks)) {}

InputFile &InputFile::operator=(InputFile &&other) noexcept {
  std::swap(descriptor, other.descriptor);
  std::swap(directDescriptor, other.directDescriptor);
  bytes = other.bytes;
  name = std::move(other.name);
  std::swap(blocks, other.blocks);
  return *this;
}

InputFile::~InputFile() {
  if (descriptor < 0)
    return;
  if (blocks)
    blocks->forget({descriptor, directDescriptor});
  ::close(descriptor);
  if (directDescriptor >= 0)
    ::close(directDescriptor);
}

Error InputFile::read(uint64_t offset, llvm::MutableArrayRef<uint8_t> out) const {
  if (offset > bytes || out.size() > bytes - offset)
    return importError(inQuotes(name) + " has " + Twine(bytes) + " bytes, asked for " +
                       Twine(out.size()) + " at " + Twine(offset));
  while (!out.empty()) {
    ssize_t count = 0;
    if (blocks)
      count = static_cast<ssize_t>(blocks->copy({descriptor, directDescriptor}, offset, out));
    if (count == 0)
      count = ::pread(descriptor, out.data(), out.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR)
      continue;
    if (count < 0)
      return importError("cannot read " + inQuotes(name) + ": " + llvm::sys::StrError(errno));
    if (count == 0)
      return importError(inQuotes(name) +
                         " became shorter while it was read: it ends before byte " +
                         Twine(offset + 1) + ", had " + Twine(bytes));
    out = out.drop_front(static_cast<size_t>(count));
    offset += static_cast<uint64_t>(count);
  }
  return Error::success();
}

void InputFile::willRead(uint64_t offset, uint64_t count) const {
  if (blocks)
    blocks->fetch({descriptor, directDescriptor}, offset, count);
}

Expected<std::string> readTextFile(StringRef path, StringRef name, uint64_t limit) {
  Expected<InputFile> file = InputFile::open(path, name);
  if (!file)
    return file.takeError();
  if (file->size() > limit)
    return importError(inQuotes(name) + " has " + Twine(file->size()) + " bytes, more than the " +
                       Twine(limit) + " that such a file may have");
  std::string text(file->size(), '\0');
  if (Error error = file->read(0, {reinterpret_cast<uint8_t *>(text.data()), text.size()}))
    return std::move(error);
  return text;
}

} // namespace gcompile
