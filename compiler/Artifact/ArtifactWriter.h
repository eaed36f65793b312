// Writes .gpk files (runtime/abi/gc_artifact.h). All section sizes are known before the first byte:
// the file is allocated at once, so a full disk shows early, and filled in any order from any
// number of threads. The result appears under its name only when it is complete; until then it has
// no name at all, or a ".part" name where the file system knows no unnamed files.
//
// Equal sections give equal bytes, whatever the order of the writes. Errors name the file and the
// way out; after any error, and when the writer is destroyed early, nothing is left behind.
#pragma once

#include "runtime/abi/gc_artifact.h"

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace gcompile {

struct SectionSpec {
  gc_section_kind kind;
  uint64_t bytes;
};

// What holds the bytes before the file is complete. Any: unnamed where the file system can.
enum class ArtifactTemporaryFile : uint8_t { Any, Named };

struct ArtifactWriterOptions {
  // Checked by every write and while checksums are formed: once true, they fail with "interrupted".
  const std::atomic<bool> *cancel = nullptr;
  ArtifactTemporaryFile temporaryFile = ArtifactTemporaryFile::Any;
};

// Where everything goes; a function of the sizes alone.
struct ArtifactLayout {
  std::vector<gc_section> sections; // checksums 0
  uint64_t fileBytes = 0;
};
// Refuses more than GC_MAX_SECTIONS, none, and sizes whose sum overflows.
llvm::Expected<ArtifactLayout> layOutArtifact(llvm::ArrayRef<SectionSpec> sections);

class ArtifactWriter {
public:
  // Sections lie in the file in the order given.
  static llvm::Expected<std::unique_ptr<ArtifactWriter>>
  create(llvm::StringRef path, llvm::ArrayRef<SectionSpec> sections,
         ArtifactWriterOptions options = {});
  ~ArtifactWriter();
  ArtifactWriter(const ArtifactWriter &) = delete;
  ArtifactWriter &operator=(const ArtifactWriter &) = delete;

  // `offset` counts from the section's start. Safe from any number of threads. Bytes never written
  // are zero.
  llvm::Error writeAt(unsigned section, uint64_t offset, llvm::ArrayRef<uint8_t> bytes);

  // Forms the checksums, makes all durable, and gives the file its name.
  llvm::Error commit();

  const ArtifactLayout &layout() const { return artifactLayout; }

private:
  ArtifactWriter() = default;
  llvm::Error open();
  llvm::Error allocate();
  llvm::Error writeRaw(uint64_t offset, llvm::ArrayRef<uint8_t> bytes);
  llvm::Expected<uint64_t> checksum(uint64_t begin, uint64_t end);
  llvm::Error publish();
  llvm::Error fail(int error, const char *action) const;
  llvm::Error checkCancelled() const;

  std::string path;     // the final name
  std::string partPath; // the file's name until then; empty while it has none
  int partSlot = -1;    // in the table that removePartialOutputs reads
  int file = -1;
  ArtifactLayout artifactLayout;
  ArtifactWriterOptions options;
};

// Removes unfinished outputs of all writers of this process. Async-signal-safe: for a handler of
// SIGINT and SIGTERM that ends the process.
void removePartialOutputs();

} // namespace gcompile
