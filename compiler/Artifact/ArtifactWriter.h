// Writes .gpk files (runtime/abi/gc_artifact.h) of sections whose sizes are known before the first
// byte, as OutputFile writes: complete under their name, or not at all. Equal sections give equal
// bytes, whatever the order of the writes.
#pragma once

#include "compiler/Support/OutputFile.h"
#include "runtime/abi/gc_artifact.h"

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <cstdint>
#include <memory>
#include <vector>

namespace gcompile {

struct SectionSpec {
  gc_section_kind kind;
  uint64_t bytes;
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
         OutputFileOptions options = {});
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
  llvm::Expected<uint64_t> checksum(uint64_t begin, uint64_t end);

  ArtifactLayout artifactLayout;
  std::unique_ptr<OutputFile> output;
};

} // namespace gcompile
