// Both readers of .gpk files on one input: neither may misbehave, and they must agree on whether
// the file is good. Real files are mostly padding, so an input is the interesting parts only:
//
//   byte 0: bit 0 = make the checksums right again (so that lies get past them)
//   byte 1: file size in units of 4 KiB
//   then the file header, the section table (8 entries), the manifest
//
// laid out as a file whose manifest lies at 64 KiB; all else is zero.
#include "compiler/Artifact/ArtifactReader.h"
#include "runtime/abi/gc_checksum.h"
#include "runtime/core/ArtifactReader.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include <sys/mman.h>
#include <unistd.h>

namespace {

constexpr size_t tableBytes = 8 * sizeof(gc_section);

std::vector<uint64_t> expand(const uint8_t *input, size_t size, size_t &fileBytes) {
  bool resign = size > 0 && (input[0] & 1);
  fileBytes = size > 1 ? size_t(input[1]) * 4096 : 0;
  input += std::min<size_t>(size, 2);
  size -= std::min<size_t>(size, 2);
  // 64-bit words, for the alignment that a mapping has.
  std::vector<uint64_t> file((fileBytes + 7) / 8);
  uint8_t *bytes = reinterpret_cast<uint8_t *>(file.data());
  auto place = [&](size_t offset, size_t count) {
    count = std::min(count, size);
    if (offset < fileBytes)
      memcpy(bytes + offset, input, std::min(count, fileBytes - offset));
    input += count;
    size -= count;
  };
  place(0, sizeof(gc_file_header) + tableBytes);
  place(GC_SECTION_ALIGNMENT, sizeof(gc_manifest));
  if (!resign || fileBytes < sizeof(gc_file_header) + tableBytes)
    return file;
  gc_file_header &header = *reinterpret_cast<gc_file_header *>(bytes);
  gc_section *sections = reinterpret_cast<gc_section *>(bytes + sizeof(header));
  uint32_t count = std::min<uint32_t>(header.section_count, 8);
  for (uint32_t i = 0; i < count; ++i) {
    uint64_t end = i + 1 < count ? sections[i + 1].offset : fileBytes;
    if (sections[i].offset <= end && end <= fileBytes)
      sections[i].checksum = gc_checksum(bytes + sections[i].offset, end - sections[i].offset);
  }
  header.header_checksum = 0;
  if (count && sections[0].offset <= fileBytes)
    header.header_checksum = gc_checksum(bytes, sections[0].offset);
  return file;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size) {
  size_t fileBytes = 0;
  std::vector<uint64_t> file = expand(input, size, fileBytes);
  const uint8_t *bytes = reinterpret_cast<const uint8_t *>(file.data());

  gcompile::runtime::Artifact artifact;
  gcompile::runtime::Message message;
  bool runtimeAccepts =
      gcompile::runtime::readArtifact(bytes, fileBytes, gcompile::runtime::Checksums::Everything,
                                      artifact, message) == GC_OK;

  static int memory = memfd_create("artifact", 0);
  if (memory < 0 || ftruncate(memory, 0) != 0 ||
      pwrite(memory, bytes, fileBytes, 0) != static_cast<ssize_t>(fileBytes))
    abort();
  auto opened = gcompile::ArtifactFile::open("/proc/self/fd/" + std::to_string(memory));
  bool compilerAccepts = bool(opened);
  std::string complaint;
  if (opened) {
    llvm::Error damaged = (*opened)->verify();
    compilerAccepts = !damaged;
    complaint = llvm::toString(std::move(damaged));
    (void)(*opened)->describeSections();
  } else {
    complaint = llvm::toString(opened.takeError());
  }
  if (runtimeAccepts != compilerAccepts) {
    fprintf(stderr, "the readers disagree: runtime \"%s\", compiler \"%s\"\n", message.c_str(),
            complaint.c_str());
    abort();
  }
  return 0;
}
