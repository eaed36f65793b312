// A regular file opened for reading: its size is known first, reads are positioned (threads may
// share it), and a file that shrinks while in use is an error instead of a bus error. Links to
// regular files are followed.
#pragma once

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <cstdint>
#include <string>

namespace gcompile {

class InputFile {
public:
  // `name` stands for the file in messages.
  static llvm::Expected<InputFile> open(llvm::StringRef path, llvm::StringRef name);
  InputFile(InputFile &&other) noexcept;
  InputFile &operator=(InputFile &&other) noexcept;
  ~InputFile();

  uint64_t size() const { return bytes; }
  llvm::Error read(uint64_t offset, llvm::MutableArrayRef<uint8_t> out) const;
  // Lets the system start to fetch these bytes.
  void willRead(uint64_t offset, uint64_t count) const;

private:
  InputFile(int descriptor, uint64_t bytes, std::string name)
      : descriptor(descriptor), bytes(bytes), name(std::move(name)) {}
  int descriptor = -1;
  uint64_t bytes = 0;
  std::string name;
};

// A whole small file as text; larger than `limit` bytes is an error.
llvm::Expected<std::string> readTextFile(llvm::StringRef path, llvm::StringRef name,
                                         uint64_t limit);

} // namespace gcompile
