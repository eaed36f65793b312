// Order of checks: sizes before they are used, the header's checksum before the meaning of fields,
// so that damage is called damage.
#include "compiler/Artifact/ArtifactReader.h"
#include "runtime/abi/gc_checksum.h"

#include "llvm/ADT/Twine.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/raw_ostream.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace llvm;

namespace gcompile {
namespace {

constexpr uint64_t bufferBytes = uint64_t(1) << 20;

template <size_t Bytes>
bool isTerminated(const char (&text)[Bytes]) {
  return memchr(text, 0, Bytes) != nullptr;
}

// Larger than any machine this is for; the runtime's limits are the same.
constexpr uint64_t largestBytes = uint64_t(1) << 46;
constexpr uint32_t largestCount = 1u << 30;

bool isLarge(uint32_t kind) {
  return kind == GC_SECTION_WEIGHTS || kind == GC_SECTION_TABLE || kind == GC_SECTION_EXPERTS;
}

} // namespace

StringRef sectionKindName(uint32_t kind) {
  switch (kind) {
  case GC_SECTION_MANIFEST:
    return "manifest";
  case GC_SECTION_PLAN:
    return "plan";
  case GC_SECTION_PROFILE:
    return "profile";
  case GC_SECTION_PROVENANCE:
    return "provenance";
  case GC_SECTION_TOKENIZER:
    return "tokenizer";
  case GC_SECTION_TEMPLATE:
    return "template";
  case GC_SECTION_CODE:
    return "code";
  case GC_SECTION_WEIGHTS:
    return "weights";
  case GC_SECTION_TABLE:
    return "table";
  case GC_SECTION_EXPERTS:
    return "experts";
  default:
    return "unknown";
  }
}

Error ArtifactFile::bad(const Twine &message) const {
  return createStringError(inconvertibleErrorCode(), "'" + path + "': " + message);
}

ArtifactFile::~ArtifactFile() {
  if (file >= 0)
    ::close(file);
}

Expected<std::unique_ptr<ArtifactFile>> ArtifactFile::open(StringRef path) {
  std::unique_ptr<ArtifactFile> artifact(new ArtifactFile);
  artifact->path = path.str();
  artifact->file = ::open(artifact->path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (artifact->file < 0)
    return artifact->bad(Twine("cannot be opened: ") + strerror(errno));
  if (Error error = artifact->readHeader())
    return std::move(error);
  if (Error error = artifact->checkSections())
    return std::move(error);
  if (Error error = artifact->checkHeaderSum())
    return std::move(error);
  for (size_t i = 0; i < artifact->sectionTable.size(); ++i)
    if (!isLarge(artifact->sectionTable[i].kind))
      if (Error error = artifact->checkSum(i, nullptr))
        return std::move(error);
  if (Error error = artifact->readManifest())
    return std::move(error);
  return std::move(artifact);
}

Error ArtifactFile::readRaw(uint64_t offset, MutableArrayRef<uint8_t> out) const {
  while (!out.empty()) {
    ssize_t got =
        pread(file, out.data(), std::min(out.size(), size_t(1) << 30), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      return bad(Twine("cannot be read: ") + strerror(errno));
    if (got == 0)
      return bad("ended while it was read: something changes it");
    out = out.drop_front(static_cast<size_t>(got));
    offset += static_cast<uint64_t>(got);
  }
  return Error::success();
}

Error ArtifactFile::readHeader() {
  struct stat facts;
  if (fstat(file, &facts) != 0)
    return bad(Twine("cannot be read: ") + strerror(errno));
  if (!S_ISREG(facts.st_mode))
    return bad("is no regular file");
  uint64_t bytes = static_cast<uint64_t>(facts.st_size);
  if (bytes < sizeof(header))
    return bad("is no .gpk file: it has " + Twine(bytes) + " bytes, a header has " +
               Twine(sizeof(header)));
  if (Error error = readRaw(0, {reinterpret_cast<uint8_t *>(&header), sizeof(header)}))
    return error;
  if (memcmp(header.magic, GC_FILE_MAGIC, sizeof(header.magic)) != 0) {
    if (memcmp(header.magic, GC_FILE_MAGIC, 4) == 0)
      return bad("was changed by a transfer in text mode; copy it again as binary");
    return bad("is no .gpk file: it does not begin with GCPK");
  }
  if (header.endianness != 0x01020304)
    return bad("has a wrong byte order mark: it is damaged or from a big-endian writer");
  if (header.version > GC_FILE_VERSION)
    return bad("has format version " + Twine(header.version) + ", this gcompile knows up to " +
               Twine(int(GC_FILE_VERSION)) + "; use a newer one");
  if (header.version == 0)
    return bad("has format version 0, which never was: it is damaged");
  if (header.file_bytes != bytes)
    return bad("has " + Twine(bytes) + " bytes, its header says " + Twine(header.file_bytes) +
               (header.file_bytes > bytes ? ": it was cut short" : ": something was added to it"));
  if (header.section_count == 0 || header.section_count > GC_MAX_SECTIONS)
    return bad("has " + Twine(header.section_count) + " sections, expected 1 to " +
               Twine(int(GC_MAX_SECTIONS)));
  uint64_t tableBytes = header.section_count * sizeof(gc_section);
  if (sizeof(header) + tableBytes > bytes)
    return bad("ends inside its section table");
  sectionTable.resize(header.section_count);
  return readRaw(sizeof(header), {reinterpret_cast<uint8_t *>(sectionTable.data()), tableBytes});
}

uint64_t ArtifactFile::sectionEnd(size_t section) const {
  return section + 1 < sectionTable.size() ? sectionTable[section + 1].offset : header.file_bytes;
}

Error ArtifactFile::checkSections() const {
  uint64_t begin = sizeof(header) + sectionTable.size() * sizeof(gc_section);
  for (size_t i = 0; i < sectionTable.size(); ++i) {
    const gc_section &section = sectionTable[i];
    std::string label = ("section " + Twine(i) + " (" + sectionKindName(section.kind) + ")").str();
    if (section.offset % GC_SECTION_ALIGNMENT != 0)
      return bad(label + " starts at " + Twine(section.offset) + ", which is no multiple of " +
                 Twine(int(GC_SECTION_ALIGNMENT)));
    uint64_t end = sectionEnd(i);
    if (section.offset < begin || end < section.offset || end > header.file_bytes ||
        section.bytes > end - section.offset)
      return bad(label + " claims " + Twine(section.bytes) + " bytes at " + Twine(section.offset) +
                 ", which do not lie between its neighbours in a file of " +
                 Twine(header.file_bytes) + " bytes");
    begin = section.offset + section.bytes;
  }
  return Error::success();
}

Error ArtifactFile::checkHeaderSum() const {
  gc_file_header blank = header;
  blank.header_checksum = 0;
  gc_checksum_state state;
  gc_checksum_begin(&state);
  gc_checksum_update(&state, &blank, sizeof(blank));
  std::vector<uint8_t> buffer(std::min<uint64_t>(bufferBytes, sectionTable.front().offset));
  for (uint64_t at = sizeof(header), end = sectionTable.front().offset; at < end;) {
    size_t count = std::min<uint64_t>(buffer.size(), end - at);
    if (Error error = readRaw(at, {buffer.data(), count}))
      return error;
    gc_checksum_update(&state, buffer.data(), count);
    at += count;
  }
  if (gc_checksum_finish(&state) != header.header_checksum)
    return bad("has a damaged header: its checksum does not match");
  return Error::success();
}

Error ArtifactFile::checkSum(size_t index, function_ref<void(uint64_t)> progress) const {
  const gc_section &section = sectionTable[index];
  gc_checksum_state state;
  gc_checksum_begin(&state);
  std::vector<uint8_t> buffer(std::min<uint64_t>(bufferBytes, sectionEnd(index) - section.offset));
  for (uint64_t at = section.offset, end = sectionEnd(index); at < end;) {
    size_t count = std::min<uint64_t>(buffer.size(), end - at);
    if (Error error = readRaw(at, {buffer.data(), count}))
      return error;
    gc_checksum_update(&state, buffer.data(), count);
    at += count;
    if (progress)
      progress(count);
  }
  if (gc_checksum_finish(&state) != section.checksum)
    return bad("section " + Twine(index) + " (" + sectionKindName(section.kind) +
               ") is damaged: its checksum does not match; fetch or compile the file again");
  return Error::success();
}

Error ArtifactFile::verify(function_ref<void(uint64_t, uint64_t)> progress) const {
  if (Error error = checkHeaderSum())
    return error;
  uint64_t done = sectionTable.front().offset;
  for (size_t i = 0; i < sectionTable.size(); ++i)
    if (Error error = checkSum(i, [&](uint64_t count) {
          done += count;
          if (progress)
            progress(done, header.file_bytes);
        }))
      return error;
  return Error::success();
}

const gc_section *ArtifactFile::find(gc_section_kind kind) const {
  for (const gc_section &section : sectionTable)
    if (section.kind == static_cast<uint32_t>(kind))
      return &section;
  return nullptr;
}

Error ArtifactFile::readAt(const gc_section &section, uint64_t offset,
                           MutableArrayRef<uint8_t> out) const {
  if (offset > section.bytes || out.size() > section.bytes - offset)
    return bad(Twine(out.size()) + " bytes at " + Twine(offset) + " are not inside section " +
               sectionKindName(section.kind) + " of " + Twine(section.bytes) + " bytes");
  return readRaw(section.offset + offset, out);
}

Expected<std::vector<uint8_t>> ArtifactFile::read(const gc_section &section) const {
  // Sections are inside the file, so this is bounded by bytes that really exist.
  if (isLarge(section.kind))
    return bad("section " + sectionKindName(section.kind) + " is only read in parts");
  std::vector<uint8_t> bytes(section.bytes);
  if (Error error = readRaw(section.offset, bytes))
    return std::move(error);
  return bytes;
}

Expected<std::string> ArtifactFile::readText(gc_section_kind kind) const {
  const gc_section *section = find(kind);
  if (!section)
    return std::string();
  Expected<std::vector<uint8_t>> bytes = read(*section);
  if (!bytes)
    return bytes.takeError();
  return std::string(bytes->begin(), bytes->end());
}

Error ArtifactFile::readManifest() {
  for (gc_section_kind kind : {GC_SECTION_MANIFEST, GC_SECTION_TOKENIZER, GC_SECTION_WEIGHTS,
                               GC_SECTION_TABLE, GC_SECTION_EXPERTS})
    if (count_if(sectionTable, [kind](const gc_section &section) {
          return section.kind == static_cast<uint32_t>(kind);
        }) > 1)
      return bad("has two sections of kind " + sectionKindName(kind));
  const gc_section *section = find(GC_SECTION_MANIFEST);
  if (!section || section->bytes != sizeof(gc_manifest))
    return bad("has a manifest of " + Twine(section ? section->bytes : 0) + " bytes, expected " +
               Twine(sizeof(gc_manifest)));
  if (Error error = readRaw(section->offset,
                            {reinterpret_cast<uint8_t *>(&manifestValue), sizeof(manifestValue)}))
    return error;
  return checkManifest();
}

Error ArtifactFile::checkManifest() const {
  const gc_manifest &m = manifestValue;
  const gc_turn_form &t = m.turns;
  if (!isTerminated(m.model) || !isTerminated(m.target) || !isTerminated(t.start) ||
      !isTerminated(t.role_prefix) || !isTerminated(t.role_suffix) ||
      !isTerminated(t.turn_suffix) || !isTerminated(t.generation_prompt) ||
      !isTerminated(t.user_role) || !isTerminated(t.model_role) || !isTerminated(t.system_role))
    return bad("has a string without an end in its manifest");
  if (m.vocabulary == 0 || m.vocabulary > (1u << 24) || m.context == 0 || m.context > largestCount)
    return bad("names a vocabulary of " + Twine(m.vocabulary) + " and a context of " +
               Twine(m.context) + ", which no model has");
  if (m.kv_bytes > largestBytes)
    return bad("wants " + Twine(m.kv_bytes) + " bytes for caches");
  const gc_section *weights = find(GC_SECTION_WEIGHTS);
  if (!weights || weights->bytes != m.weights_bytes)
    return bad("names " + Twine(m.weights_bytes) + " bytes of weights, it has " +
               Twine(weights ? weights->bytes : 0));
  const gc_section *table = find(GC_SECTION_TABLE);
  if (m.table_placement > GC_TABLE_STORAGE ||
      (m.table_placement == GC_TABLE_NONE) != (table == nullptr))
    return bad("manifest and sections disagree about a per-layer table");
  uint64_t tableBytes = 0;
  if (table && (m.table_rows == 0 || m.table_row_bytes == 0 || m.table_rows > largestCount ||
                __builtin_mul_overflow(m.table_rows, m.table_row_bytes, &tableBytes) ||
                tableBytes > table->bytes))
    return bad("names a table of " + Twine(m.table_rows) + " rows of " + Twine(m.table_row_bytes) +
               " bytes, the section has " + Twine(table->bytes));
  if (Error error = checkExperts())
    return error;
  if (m.has_tokenizer && !find(GC_SECTION_TOKENIZER))
    return bad("names a tokenizer and has none");
  if (m.stop_token_count > GC_MAX_STOP_TOKENS ||
      m.suppressed_token_count > GC_MAX_SUPPRESSED_TOKENS)
    return bad("names too many stop or suppressed tokens");
  for (uint32_t token : ArrayRef(m.stop_tokens, m.stop_token_count))
    if (token >= m.vocabulary)
      return bad("stop token " + Twine(token) + " is not in the vocabulary of " +
                 Twine(m.vocabulary));
  for (uint32_t token : ArrayRef(m.suppressed_tokens, m.suppressed_token_count))
    if (token >= m.vocabulary)
      return bad("suppressed token " + Twine(token) + " is not in the vocabulary of " +
                 Twine(m.vocabulary));
  if (m.bos_token < -1 || (m.bos_token >= 0 && uint32_t(m.bos_token) >= m.vocabulary) ||
      m.pad_token >= m.vocabulary)
    return bad("names a <bos> or <pad> that is not in the vocabulary of " + Twine(m.vocabulary));
  if (!(m.temperature >= 0) || !std::isfinite(m.temperature) || !(m.top_p >= 0 && m.top_p <= 1) ||
      m.top_k > largestCount)
    return bad("has sampling defaults that are out of range");
  if (!std::isfinite(m.predicted_decode_tokens_per_second) ||
      !std::isfinite(m.predicted_prefill_tokens_per_second))
    return bad("has predictions that are no numbers");
  if (m.variant_count == 0 || m.variant_count > GC_MAX_VARIANTS)
    return bad("names " + Twine(m.variant_count) + " code variants, expected 1 to " +
               Twine(int(GC_MAX_VARIANTS)));
  for (uint32_t i = 0; i < m.variant_count; ++i)
    if (Error error = checkVariant(i))
      return error;
  return Error::success();
}

// The same rules as the runtime's: docs/decisions/0012.
Error ArtifactFile::checkExperts() const {
  const gc_manifest &m = manifestValue;
  const gc_section *experts = find(GC_SECTION_EXPERTS);
  bool named = m.expert_cache_slots || m.expert_layers || m.experts_per_layer;
  if (named != (experts != nullptr))
    return bad("manifest and sections disagree about experts on storage");
  if (!named)
    return Error::success();
  if (header.version < GC_FILE_VERSION_EXPERTS)
    return bad("has experts on storage, which files of version " + Twine(header.version) +
               " cannot have");
  uint64_t blocks = uint64_t(m.expert_layers) * m.experts_per_layer;
  if (m.expert_layers > (1u << 12) || m.experts_per_layer > (1u << 16) || blocks == 0)
    return bad("names " + Twine(m.expert_layers) + " layers of " + Twine(m.experts_per_layer) +
               " experts");
  uint64_t blockBytes = experts->bytes / blocks, cacheBytes = 0;
  if (blockBytes == 0 || blockBytes % 4096 || experts->bytes % blocks)
    return bad("has a section of experts of " + Twine(experts->bytes) + " bytes, expected " +
               Twine(blocks) + " blocks of a multiple of 4096");
  if (m.expert_cache_slots == 0 || m.expert_cache_slots > blocks ||
      __builtin_mul_overflow(uint64_t(m.expert_cache_slots), blockBytes, &cacheBytes) ||
      cacheBytes > largestBytes)
    return bad("has a cache of " + Twine(m.expert_cache_slots) + " slots for " + Twine(blocks) +
               " experts of " + Twine(blockBytes) + " bytes");
  return Error::success();
}

Error ArtifactFile::checkVariant(uint32_t index) const {
  const gc_code_variant &variant = manifestValue.variants[index];
  if (variant.section >= sectionTable.size() ||
      sectionTable[variant.section].kind != GC_SECTION_CODE)
    return bad("code variant " + Twine(index) + " names section " + Twine(variant.section) +
               ", which is no code");
  uint64_t codeBytes = sectionTable[variant.section].bytes;
  for (const gc_program *program : {&variant.prefill, &variant.decode, &variant.score})
    if (program->offset >= codeBytes || program->max_rows == 0 ||
        program->max_rows > largestCount || program->arena_bytes > largestBytes)
      return bad("code variant " + Twine(index) + " has a program at " + Twine(program->offset) +
                 " for " + Twine(program->max_rows) + " rows and " + Twine(program->arena_bytes) +
                 " bytes of scratch in an image of " + Twine(codeBytes) + " bytes");
  const gc_manifest &m = manifestValue;
  uint64_t chunk = std::max(variant.prefill.max_rows, variant.score.max_rows), cacheBytes = 0;
  if (m.table_placement == GC_TABLE_STORAGE &&
      (m.table_cache_rows < chunk || m.table_cache_rows > largestCount ||
       __builtin_mul_overflow(uint64_t(m.table_cache_rows), m.table_row_bytes, &cacheBytes) ||
       cacheBytes > largestBytes))
    return bad("has a row cache of " + Twine(m.table_cache_rows) + " rows for chunks of up to " +
               Twine(chunk) + " rows");
  return Error::success();
}

std::string ArtifactFile::describeSections() const {
  std::string text;
  raw_string_ostream out(text);
  out << format("%3s  %-11s %15s %15s  %s\n", "#", "section", "offset", "bytes", "xxh64");
  for (size_t i = 0; i < sectionTable.size(); ++i) {
    const gc_section &section = sectionTable[i];
    out << format("%3zu  %-11s %15llu %15llu  %016llx\n", i,
                  sectionKindName(section.kind).str().c_str(),
                  static_cast<unsigned long long>(section.offset),
                  static_cast<unsigned long long>(section.bytes),
                  static_cast<unsigned long long>(section.checksum));
  }
  return text;
}

} // namespace gcompile
