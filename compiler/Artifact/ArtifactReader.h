// The compile side's reader of .gpk files, for `gcompile inspect` and `gcompile verify`. It shares
// no code with the runtime's and accepts the same files. Every field is treated as hostile; nothing
// larger than a section that the caller asks for is held in memory, and weights are only streamed.
#pragma once

#include "runtime/abi/gc_artifact.h"

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace gcompile {

llvm::StringRef sectionKindName(uint32_t kind); // "weights"; "unknown" for kinds of newer writers

class ArtifactFile {
public:
  // Checks structure, the manifest, and the checksums of all but weights and table.
  static llvm::Expected<std::unique_ptr<ArtifactFile>> open(llvm::StringRef path);
  ~ArtifactFile();
  ArtifactFile(const ArtifactFile &) = delete;
  ArtifactFile &operator=(const ArtifactFile &) = delete;

  uint64_t fileBytes() const { return header.file_bytes; }
  llvm::ArrayRef<gc_section> sections() const { return sectionTable; }
  const gc_manifest &manifest() const { return manifestValue; }
  const gc_section *find(gc_section_kind kind) const; // the first; null: none

  // A whole section; refuses weights and table, which may not fit memory.
  llvm::Expected<std::vector<uint8_t>> read(const gc_section &section) const;
  llvm::Expected<std::string> readText(gc_section_kind kind) const; // "" when there is none
  // Any part of any section.
  llvm::Error readAt(const gc_section &section, uint64_t offset,
                     llvm::MutableArrayRef<uint8_t> out) const;

  // All checksums. `progress` is told the bytes done so far and in all.
  llvm::Error verify(llvm::function_ref<void(uint64_t, uint64_t)> progress = nullptr) const;

  // One line a section: number, kind, offset, bytes, checksum.
  std::string describeSections() const;

private:
  ArtifactFile() = default;
  llvm::Error readRaw(uint64_t offset, llvm::MutableArrayRef<uint8_t> out) const;
  llvm::Error readHeader();
  llvm::Error checkSections() const;
  llvm::Error checkHeaderSum() const;
  llvm::Error checkSum(size_t section, llvm::function_ref<void(uint64_t)> progress) const;
  llvm::Error readManifest();
  llvm::Error checkManifest() const;
  llvm::Error checkExperts() const;
  llvm::Error checkVariant(uint32_t index) const;
  llvm::Error bad(const llvm::Twine &message) const;
  uint64_t sectionEnd(size_t section) const; // padding included

  std::string path;
  int file = -1;
  gc_file_header header = {};
  std::vector<gc_section> sectionTable;
  gc_manifest manifestValue = {};
};

} // namespace gcompile
