// A regular file opened for reading: its size is known first, reads are positioned (threads may
// share it), and a file that shrinks while in use is an error instead of a bus error. Links to
// regular files are followed.
#pragma once

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <cstdint>
#include <memory>
#include <string>

namespace gcompile {

class BlockReader;

class InputFile {
public:
  // `name` stands for the file in messages.
  static llvm::Expected<InputFile> open(llvm::StringRef path, llvm::StringRef name);
  InputFile(InputFile &&other) noexcept;
  InputFile &operator=(InputFile &&other) noexcept;
  ~InputFile();

  uint64_t size() const { return bytes; }
  llvm::Error read(uint64_t offset, llvm::MutableArrayRef<uint8_t> out) const;
  // Reads these bytes ahead, where that pays; from any thread.
  void willRead(uint64_t offset, uint64_t count) const;

private:
  InputFile(int descriptor, uint64_t bytes, std::string name)
      : descriptor(descriptor), bytes(bytes), name(std::move(name)) {}
  int descriptor = -1;
  int directDescriptor = -1; // past the page cache; −1: the file system has no such reads
  uint64_t bytes = 0;
  std::string name;
  std::shared_ptr<BlockReader> blocks; // of large files
};

// A whole small file as text; larger than `limit` bytes is an error.
llvm::Expected<std::string> readTextFile(llvm::StringRef path, llvm::StringRef name,
                                         uint64_t limit);

} // namespace gcompile
