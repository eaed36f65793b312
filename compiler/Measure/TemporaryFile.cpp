#include "compiler/Measure/TemporaryFile.h"

#include "llvm/ADT/SmallString.h"
#include "llvm/ADT/Twine.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Signals.h"

namespace gcompile {

llvm::Expected<TemporaryFile> TemporaryFile::create(llvm::StringRef ending,
                                                    llvm::StringRef folder) {
  llvm::SmallString<128> path;
  int descriptor = -1;
  std::error_code error =
      folder.empty() ? llvm::sys::fs::createTemporaryFile("gcompile", ending, descriptor, path)
                     : llvm::sys::fs::createUniqueFile(folder + "/gcompile-%%%%%%." + ending,
                                                       descriptor, path);
  if (error && !folder.empty())
    return llvm::createStringError("a temporary file cannot be made in '" + folder +
                                   "': " + error.message());
  if (error)
    return llvm::createStringError("a temporary file cannot be made (" + error.message() +
                                   "); $TMPDIR says where");
  llvm::sys::RemoveFileOnSignal(path);
  llvm::sys::fs::file_t file = descriptor;
  (void)llvm::sys::fs::closeFile(file);
  return TemporaryFile(std::string(path));
}

TemporaryFile &TemporaryFile::operator=(TemporaryFile &&other) {
  if (this != &other) {
    remove();
    name = std::exchange(other.name, "");
  }
  return *this;
}

void TemporaryFile::remove() {
  if (name.empty())
    return;
  (void)llvm::sys::fs::remove(name);
  llvm::sys::DontRemoveFileOnSignal(name);
  name.clear();
}

} // namespace gcompile
