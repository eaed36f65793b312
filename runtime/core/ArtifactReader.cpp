#include "runtime/core/ArtifactReader.h"

#include "runtime/abi/gc_checksum.h"

namespace gcompile::runtime {
namespace {

// Larger than any machine this is for; keeps sums of a few of them from overflowing.
constexpr uint64_t maxBytes = uint64_t(1) << 46;
constexpr uint32_t maxContext = 1u << 30;

template <typename... Parts>
Status bad(Message &message, const Parts &...parts) {
  message.clear();
  (message << ... << parts);
  return GC_BAD_FILE;
}

bool terminated(const char *string, uint32_t bytes) {
  for (uint32_t i = 0; i < bytes; ++i)
    if (!string[i])
      return true;
  return false;
}

bool isFinite(double value) { return __builtin_isfinite(value); }

Status checkHeader(const uint8_t *data, uint64_t bytes, Message &message) {
  if (bytes < sizeof(gc_file_header))
    return bad(message, "not a .gpk file: it has ", bytes, " bytes, a header has ",
               uint64_t(sizeof(gc_file_header)));
  gc_file_header header;
  __builtin_memcpy(&header, data, sizeof header);
  if (__builtin_memcmp(header.magic, GC_FILE_MAGIC, 8) != 0) {
    if (__builtin_memcmp(header.magic, "GCPK", 4) == 0)
      return bad(message,
                 "the file was changed by a transfer in text mode: copy it again as binary");
    return bad(message, "not a .gpk file: it does not begin with GCPK");
  }
  if (header.endianness != 0x01020304)
    return bad(message,
               "the file's byte order mark is wrong: it is damaged or from a big-endian writer");
  if (header.version > GC_FILE_VERSION) {
    message.clear() << "the file has format version " << header.version
                    << ", this runtime knows up to " << uint32_t(GC_FILE_VERSION)
                    << ": use a newer runtime";
    return GC_NEWER_VERSION;
  }
  if (header.version == 0)
    return bad(message, "the file has format version 0, which never was: it is damaged");
  if (header.file_bytes != bytes)
    return bad(message, "the file has ", bytes, " bytes, its header says ", header.file_bytes,
               header.file_bytes > bytes ? ": it was cut short" : ": something was added to it");
  if (header.section_count == 0 || header.section_count > GC_MAX_SECTIONS)
    return bad(message, "the file has ", header.section_count, " sections, expected 1 to ",
               uint32_t(GC_MAX_SECTIONS));
  if (sizeof header + uint64_t(header.section_count) * sizeof(gc_section) > bytes)
    return bad(message, "the file ends inside its section table");
  return GC_OK;
}

Status checkSections(Artifact &a, Message &message) {
  uint64_t tableEnd = sizeof(gc_file_header) + uint64_t(a.sectionCount) * sizeof(gc_section);
  for (uint32_t i = 0; i < a.sectionCount; ++i) {
    const gc_section &s = a.sections[i];
    uint64_t next = i + 1 < a.sectionCount ? a.sections[i + 1].offset : a.bytes;
    if (s.offset % GC_SECTION_ALIGNMENT != 0)
      return bad(message, "section ", i, " (", sectionName(s.kind), ") starts at ", s.offset,
                 ", which is no multiple of ", uint32_t(GC_SECTION_ALIGNMENT));
    if (s.offset < tableEnd || s.offset > a.bytes || next < s.offset || next > a.bytes ||
        s.bytes > next - s.offset)
      return bad(message, "section ", i, " (", sectionName(s.kind), ") claims ", s.bytes,
                 " bytes at ", s.offset, ", which do not lie between its neighbours in a file of ",
                 a.bytes, " bytes");
  }
  return GC_OK;
}

Status checkChecksums(const Artifact &a, Checksums checksums, Message &message) {
  gc_file_header header;
  __builtin_memcpy(&header, a.data, sizeof header);
  uint64_t stored = header.header_checksum;
  header.header_checksum = 0;
  gc_checksum_state sum;
  gc_checksum_begin(&sum);
  gc_checksum_update(&sum, &header, sizeof header);
  gc_checksum_update(&sum, a.data + sizeof header, a.sections[0].offset - sizeof header);
  if (gc_checksum_finish(&sum) != stored)
    return bad(message, "the file's header is damaged: its checksum does not match");
  for (uint32_t i = 0; i < a.sectionCount; ++i) {
    const gc_section &s = a.sections[i];
    if (checksums == Checksums::Structure &&
        (s.kind == GC_SECTION_WEIGHTS || s.kind == GC_SECTION_TABLE ||
         s.kind == GC_SECTION_EXPERTS))
      continue;
    if (gc_checksum(a.data + s.offset, coveredBytes(a, i)) != s.checksum)
      return bad(message, "section ", i, " (", sectionName(s.kind),
                 ") is damaged: its checksum does not match; fetch or compile the file again");
  }
  return GC_OK;
}

Status findOnce(const Artifact &a, uint32_t kind, const gc_section *&found, Message &message) {
  found = nullptr;
  for (uint32_t i = 0; i < a.sectionCount; ++i) {
    if (a.sections[i].kind != kind)
      continue;
    if (found)
      return bad(message, "the file has two sections of kind ", sectionName(kind));
    found = &a.sections[i];
  }
  return GC_OK;
}

Status checkProgram(const gc_program &program, const char *name, const gc_section &code,
                    Message &message) {
  if (program.offset >= code.bytes)
    return bad(message, "program ", name, " starts at ", program.offset, " in an image of ",
               code.bytes, " bytes");
  if (program.arena_bytes > maxBytes)
    return bad(message, "program ", name, " wants ", program.arena_bytes, " bytes of scratch");
  if (program.max_rows == 0 || program.max_rows > maxContext)
    return bad(message, "program ", name, " takes ", program.max_rows, " rows at once");
  return GC_OK;
}

Status checkTurns(const gc_turn_form &t, Message &message) {
  if (!terminated(t.start, sizeof t.start) || !terminated(t.role_prefix, sizeof t.role_prefix) ||
      !terminated(t.role_suffix, sizeof t.role_suffix) ||
      !terminated(t.turn_suffix, sizeof t.turn_suffix) ||
      !terminated(t.generation_prompt, sizeof t.generation_prompt) ||
      !terminated(t.user_role, sizeof t.user_role) ||
      !terminated(t.model_role, sizeof t.model_role) ||
      !terminated(t.system_role, sizeof t.system_role))
    return bad(message, "the manifest's turn form has a string without an end");
  return GC_OK;
}

// The blocks of experts on storage, and that their cache can be had.
Status checkExperts(const Artifact &a, Message &message) {
  const gc_manifest &m = *a.manifest;
  bool named = m.expert_cache_slots || m.expert_layers || m.experts_per_layer;
  if (named != (a.experts != nullptr))
    return bad(message, "the manifest and the sections disagree about experts on storage");
  if (!named)
    return GC_OK;
  gc_file_header header;
  __builtin_memcpy(&header, a.data, sizeof header);
  if (header.version < GC_FILE_VERSION_EXPERTS)
    return bad(message, "the file has experts on storage, which files of version ", header.version,
               " cannot have");
  uint64_t blocks = uint64_t(m.expert_layers) * m.experts_per_layer;
  if (m.expert_layers > (1u << 12) || m.experts_per_layer > (1u << 16) || blocks == 0)
    return bad(message, "the manifest names ", m.expert_layers, " layers of ", m.experts_per_layer,
               " experts");
  uint64_t blockBytes = a.experts->bytes / blocks;
  if (blockBytes == 0 || blockBytes % 4096 != 0 || a.experts->bytes % blocks != 0)
    return bad(message, "the section of experts has ", a.experts->bytes, " bytes, expected ",
               blocks, " blocks of a multiple of 4096");
  uint64_t cacheBytes;
  if (m.expert_cache_slots == 0 || m.expert_cache_slots > blocks ||
      __builtin_mul_overflow(uint64_t(m.expert_cache_slots), blockBytes, &cacheBytes) ||
      cacheBytes > maxBytes)
    return bad(message, "the cache of experts has ", m.expert_cache_slots, " slots of ", blockBytes,
               " bytes, the file has ", blocks, " experts");
  return GC_OK;
}

Status checkManifest(const Artifact &a, Message &message) {
  const gc_manifest &m = *a.manifest;
  if (!terminated(m.model, sizeof m.model) || !terminated(m.target, sizeof m.target))
    return bad(message, "the manifest has a name without an end");
  if (m.vocabulary == 0 || m.vocabulary > (1u << 24))
    return bad(message, "the manifest names a vocabulary of ", m.vocabulary, ", expected 1 to ",
               1u << 24);
  if (m.context == 0 || m.context > maxContext)
    return bad(message, "the manifest names a context of ", m.context, ", expected 1 to ",
               maxContext);
  if (m.kv_bytes > maxBytes)
    return bad(message, "the manifest wants ", m.kv_bytes, " bytes for caches");
  if (!a.weights || a.weights->bytes != m.weights_bytes)
    return bad(message, "the manifest names ", m.weights_bytes, " bytes of weights, the file has ",
               a.weights ? a.weights->bytes : 0);
  if (m.table_placement > GC_TABLE_STORAGE)
    return bad(message, "the manifest names table placement ", m.table_placement,
               ", which is none");
  if ((m.table_placement == GC_TABLE_NONE) != (a.table == nullptr))
    return bad(message, "the manifest and the sections disagree about a per-layer table");
  if (a.table) {
    uint64_t tableBytes;
    if (m.table_rows == 0 || m.table_row_bytes == 0 ||
        __builtin_mul_overflow(m.table_rows, m.table_row_bytes, &tableBytes) ||
        tableBytes > a.table->bytes)
      return bad(message, "the manifest names a table of ", m.table_rows, " rows of ",
                 m.table_row_bytes, " bytes, the section has ", a.table->bytes, " bytes");
    if (m.table_rows > (1u << 30))
      return bad(message, "the table has ", m.table_rows, " rows, at most 2^30 are possible");
  }
  if (m.variant_count == 0 || m.variant_count > GC_MAX_VARIANTS)
    return bad(message, "the manifest names ", m.variant_count, " code variants, expected 1 to ",
               uint32_t(GC_MAX_VARIANTS));
  if (m.stop_token_count > GC_MAX_STOP_TOKENS ||
      m.suppressed_token_count > GC_MAX_SUPPRESSED_TOKENS)
    return bad(message, "the manifest names too many stop or suppressed tokens");
  for (uint32_t i = 0; i < m.stop_token_count; ++i)
    if (m.stop_tokens[i] >= m.vocabulary)
      return bad(message, "stop token ", m.stop_tokens[i], " is not in the vocabulary of ",
                 m.vocabulary);
  for (uint32_t i = 0; i < m.suppressed_token_count; ++i)
    if (m.suppressed_tokens[i] >= m.vocabulary)
      return bad(message, "suppressed token ", m.suppressed_tokens[i],
                 " is not in the vocabulary of ", m.vocabulary);
  if (m.bos_token < -1 || (m.bos_token >= 0 && uint32_t(m.bos_token) >= m.vocabulary) ||
      m.pad_token >= m.vocabulary)
    return bad(message, "the manifest's <bos> or <pad> is not in the vocabulary");
  if (!(m.temperature >= 0) || !isFinite(m.temperature) || !(m.top_p >= 0 && m.top_p <= 1) ||
      m.top_k > (1u << 30))
    return bad(message, "the manifest's sampling defaults are out of range");
  if (!isFinite(m.predicted_decode_tokens_per_second) ||
      !isFinite(m.predicted_prefill_tokens_per_second))
    return bad(message, "the manifest's predictions are no numbers");
  if (m.has_tokenizer && !a.tokenizer)
    return bad(message, "the manifest names a tokenizer, the file has none");
  Status status = checkExperts(a, message);
  return status == GC_OK ? checkTurns(m.turns, message) : status;
}

Status checkVariants(const Artifact &a, Message &message) {
  const gc_manifest &m = *a.manifest;
  for (uint32_t i = 0; i < m.variant_count; ++i) {
    const gc_code_variant &v = m.variants[i];
    if (v.section >= a.sectionCount || a.sections[v.section].kind != GC_SECTION_CODE)
      return bad(message, "code variant ", i, " names section ", v.section, ", which is no code");
    const gc_section &code = a.sections[v.section];
    Status status = checkProgram(v.prefill, "prefill", code, message);
    if (status == GC_OK)
      status = checkProgram(v.decode, "decode", code, message);
    if (status == GC_OK)
      status = checkProgram(v.score, "score", code, message);
    if (status != GC_OK)
      return status;
    if (m.table_placement == GC_TABLE_STORAGE &&
        (m.table_cache_rows < v.prefill.max_rows || m.table_cache_rows < v.score.max_rows ||
         m.table_cache_rows > (1u << 30) ||
         uint64_t(m.table_cache_rows) * m.table_row_bytes > maxBytes))
      return bad(message, "the row cache has ", m.table_cache_rows, " rows, the largest chunk has ",
                 v.prefill.max_rows > v.score.max_rows ? v.prefill.max_rows : v.score.max_rows);
  }
  return GC_OK;
}

} // namespace

const char *sectionName(uint32_t kind) {
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

uint64_t coveredBytes(const Artifact &artifact, uint32_t section) {
  uint64_t next =
      section + 1 < artifact.sectionCount ? artifact.sections[section + 1].offset : artifact.bytes;
  return next - artifact.sections[section].offset;
}

Status readArtifact(const uint8_t *data, uint64_t bytes, Checksums checksums, Artifact &artifact,
                    Message &message) {
  Artifact a;
  Status status = checkHeader(data, bytes, message);
  if (status != GC_OK)
    return status;
  a.data = data;
  a.bytes = bytes;
  a.sections = reinterpret_cast<const gc_section *>(data + sizeof(gc_file_header));
  a.sectionCount = reinterpret_cast<const gc_file_header *>(data)->section_count;
  status = checkSections(a, message);
  if (status == GC_OK)
    status = checkChecksums(a, checksums, message);
  const gc_section *manifest = nullptr;
  if (status == GC_OK)
    status = findOnce(a, GC_SECTION_MANIFEST, manifest, message);
  if (status == GC_OK)
    status = findOnce(a, GC_SECTION_WEIGHTS, a.weights, message);
  if (status == GC_OK)
    status = findOnce(a, GC_SECTION_TABLE, a.table, message);
  if (status == GC_OK)
    status = findOnce(a, GC_SECTION_EXPERTS, a.experts, message);
  if (status == GC_OK)
    status = findOnce(a, GC_SECTION_TOKENIZER, a.tokenizer, message);
  if (status != GC_OK)
    return status;
  if (!manifest || manifest->bytes != sizeof(gc_manifest))
    return bad(message, "the manifest has ", manifest ? manifest->bytes : 0, " bytes, expected ",
               uint64_t(sizeof(gc_manifest)));
  a.manifest = reinterpret_cast<const gc_manifest *>(data + manifest->offset);
  status = checkManifest(a, message);
  if (status == GC_OK)
    status = checkVariants(a, message);
  if (status == GC_OK)
    artifact = a;
  return status;
}

} // namespace gcompile::runtime
