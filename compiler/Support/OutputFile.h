// A file that appears under its name only when it is complete: until then it has no name at all, or
// a ".part" name where the file system knows no unnamed files. Its size is known at the start and
// allocated at once, so a full disk shows early; it is filled in any order from any number of
// threads. Errors name the file and the way out; after any error, and when the object is destroyed
// early, nothing is left behind.
#pragma once

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

namespace gcompile {

// What holds the bytes before the file is complete. Any: unnamed where the file system can.
enum class TemporaryFile : uint8_t { Any, Named };

struct OutputFileOptions {
  // Checked by every read, write and commit: once true, they fail with "interrupted".
  const std::atomic<bool> *cancel = nullptr;
  TemporaryFile temporaryFile = TemporaryFile::Any;
};

class OutputFile {
public:
  static llvm::Expected<std::unique_ptr<OutputFile>> create(llvm::StringRef path, uint64_t bytes,
                                                            OutputFileOptions options = {});
  ~OutputFile();
  OutputFile(const OutputFile &) = delete;
  OutputFile &operator=(const OutputFile &) = delete;

  uint64_t bytes() const { return fileBytes; }

  // Safe from any number of threads. Bytes never written are zero.
  llvm::Error writeAt(uint64_t offset, llvm::ArrayRef<uint8_t> bytes);
  // What was written.
  llvm::Error readAt(uint64_t offset, llvm::MutableArrayRef<uint8_t> bytes) const;

  // Makes all durable and gives the file its name, replacing a file of that name.
  llvm::Error commit();

private:
  OutputFile() = default;
  llvm::Error open();
  llvm::Error allocate();
  int takeUnusedName(llvm::function_ref<bool(const std::string &unique)> take);
  llvm::Error fail(int error, const char *action) const;
  llvm::Error checkCancelled() const;
  void startWriting(uint64_t bytes);

  std::string path;     // the final name
  std::string partPath; // the file's name until then; empty while it has none
  int partSlot = -1;    // in the table that removePartialOutputs reads
  int file = -1;
  uint64_t fileBytes = 0;
  std::atomic<uint64_t> writtenBytes{0};
  OutputFileOptions options;
};

// Removes unfinished outputs of this process. Async-signal-safe: for a handler of SIGINT and
// SIGTERM that ends the process.
void removePartialOutputs();

} // namespace gcompile
