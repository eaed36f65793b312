// Builds .gpk files by hand from the format's description, with true checksums, for the tests of
// what reads and runs them.
#pragma once

#include "runtime/abi/gc_artifact.h"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace gcompile::test {

struct TestArtifact {
  gc_manifest manifest; // sensible; change it before build()
  std::vector<std::pair<gc_section_kind, std::vector<uint8_t>>>
      sections; // the manifest is put in front by build()

  // The file. Index of a section in the file = index in `sections` + 1.
  std::vector<uint8_t> build() const;
};

struct FakeModelOptions {
  uint32_t tablePlacement = GC_TABLE_NONE;
  uint32_t cacheRows = 20;
  uint32_t expertSlots = 0; // of a cache for fakeExpertLayers · fakeExperts blocks; 0: none
  uint32_t context = 64;
  bool tokenizer = true;
};

// Experts on storage of the fake model. Every int32 of a block is its number, layer · fakeExperts +
// expert.
inline constexpr uint32_t fakeExpertLayers = 3, fakeExperts = 8, fakeBlockBytes = 3 << 19;

// The model of FakeImage.c for x86-64 and, where it could be built, AArch64, with the tokenizer and
// the turn form of gemma4-tiny.
TestArtifact fakeModel(const FakeModelOptions &options = {});

std::vector<uint8_t> tinyTokenizerSection(); // of tests/data/gemma4-tiny

// Recomputes every checksum in place; for files that lie under true checksums.
void fixChecksums(std::vector<uint8_t> &file);

std::vector<uint8_t> readFile(const std::string &path);
void writeFile(const std::string &path, const std::vector<uint8_t> &bytes);
std::string temporaryPath(const std::string &name); // in a folder of this process, removed at exit

} // namespace gcompile::test
