// See the header.
#include "compiler/Artifact/ArtifactWriter.h"
#include "runtime/abi/gc_checksum.h"

#include "llvm/ADT/Twine.h"

#include <oneapi/tbb/parallel_for.h>

#include <algorithm>
#include <cstring>
#include <mutex>

using namespace llvm;

namespace gcompile {
namespace {

Error errorf(const Twine &message) { return createStringError(inconvertibleErrorCode(), message); }

uint64_t alignSection(uint64_t offset) {
  return (offset + GC_SECTION_ALIGNMENT - 1) / GC_SECTION_ALIGNMENT * GC_SECTION_ALIGNMENT;
}

} // namespace

Expected<ArtifactLayout> layOutArtifact(ArrayRef<SectionSpec> sections) {
  if (sections.empty() || sections.size() > GC_MAX_SECTIONS)
    return errorf("an artifact has 1 to " + Twine(int(GC_MAX_SECTIONS)) + " sections, not " +
                  Twine(sections.size()));
  // Far above any model and far below what overflows.
  constexpr uint64_t largest = uint64_t(1) << 46;
  ArtifactLayout layout;
  uint64_t end = sizeof(gc_file_header) + sections.size() * sizeof(gc_section);
  for (const SectionSpec &spec : sections) {
    gc_section section = {};
    section.kind = spec.kind;
    section.offset = alignSection(end);
    section.bytes = spec.bytes;
    if (spec.bytes > largest || section.offset + spec.bytes > largest)
      return errorf("an artifact section of " + Twine(spec.bytes) +
                    " bytes makes the file larger than 2^46 bytes");
    end = section.offset + spec.bytes;
    layout.sections.push_back(section);
  }
  layout.fileBytes = (end + GC_TENSOR_ALIGNMENT - 1) / GC_TENSOR_ALIGNMENT * GC_TENSOR_ALIGNMENT;
  return layout;
}

Expected<std::unique_ptr<ArtifactWriter>>
ArtifactWriter::create(StringRef path, ArrayRef<SectionSpec> sections, OutputFileOptions options) {
  Expected<ArtifactLayout> layout = layOutArtifact(sections);
  if (!layout)
    return layout.takeError();
  Expected<std::unique_ptr<OutputFile>> output =
      OutputFile::create(path, layout->fileBytes, options);
  if (!output)
    return output.takeError();
  std::unique_ptr<ArtifactWriter> writer(new ArtifactWriter);
  writer->artifactLayout = std::move(*layout);
  writer->output = std::move(*output);
  return std::move(writer);
}

Error ArtifactWriter::writeAt(unsigned section, uint64_t offset, ArrayRef<uint8_t> bytes) {
  if (section >= artifactLayout.sections.size())
    return errorf("internal: artifact section " + Twine(section) + " does not exist");
  const gc_section &target = artifactLayout.sections[section];
  if (offset > target.bytes || bytes.size() > target.bytes - offset)
    return errorf("internal: " + Twine(bytes.size()) + " bytes at " + Twine(offset) +
                  " do not fit artifact section " + Twine(section) + " of " + Twine(target.bytes) +
                  " bytes");
  return output->writeAt(target.offset + offset, bytes);
}

Expected<uint64_t> ArtifactWriter::checksum(uint64_t begin, uint64_t end) {
  std::vector<uint8_t> buffer(size_t(1) << 20);
  gc_checksum_state state;
  gc_checksum_begin(&state);
  while (begin < end) {
    size_t count = std::min<uint64_t>(buffer.size(), end - begin);
    if (Error error = output->readAt(begin, MutableArrayRef(buffer.data(), count)))
      return std::move(error);
    gc_checksum_update(&state, buffer.data(), count);
    begin += count;
  }
  return gc_checksum_finish(&state);
}

Error ArtifactWriter::commit() {
  std::vector<gc_section> &sections = artifactLayout.sections;
  std::mutex mutex;
  Error failure = Error::success();
  tbb::parallel_for(size_t(0), sections.size(), [&](size_t i) {
    uint64_t end = i + 1 < sections.size() ? sections[i + 1].offset : artifactLayout.fileBytes;
    Expected<uint64_t> sum = checksum(sections[i].offset, end);
    if (sum) {
      sections[i].checksum = *sum;
      return;
    }
    std::lock_guard lock(mutex);
    failure = joinErrors(std::move(failure), sum.takeError());
  });
  if (failure)
    return failure;

  gc_file_header header = {};
  memcpy(header.magic, GC_FILE_MAGIC, sizeof(header.magic));
  // The oldest that knows what is in the file, so that older runtimes read what they can.
  bool experts = llvm::any_of(artifactLayout.sections, [](const gc_section &section) {
    return section.kind == GC_SECTION_EXPERTS;
  });
  header.version = experts ? GC_FILE_VERSION_EXPERTS : 1;
  header.endianness = 0x01020304;
  header.file_bytes = artifactLayout.fileBytes;
  header.section_count = static_cast<uint32_t>(sections.size());
  std::vector<uint8_t> start(sections.front().offset, 0);
  memcpy(start.data() + sizeof(header), sections.data(), sections.size() * sizeof(gc_section));
  memcpy(start.data(), &header, sizeof(header));
  header.header_checksum = gc_checksum(start.data(), start.size());
  memcpy(start.data(), &header, sizeof(header));
  if (Error error = output->writeAt(0, start))
    return error;
  return output->commit();
}

} // namespace gcompile
