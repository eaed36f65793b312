#include "tests/unit/runtime/TestArtifact.h"

#include "compiler/Artifact/TokenizerSection.h"
#include "runtime/abi/gc_checksum.h"
#include "tests/unit/runtime/FakeImage.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>

namespace gcompile::test {
namespace {

constexpr uint64_t alignment = GC_SECTION_ALIGNMENT;

uint64_t alignUp(uint64_t value) { return (value + alignment - 1) / alignment * alignment; }

template <typename T>
std::vector<uint8_t> bytesOf(const T &value) {
  auto *at = reinterpret_cast<const uint8_t *>(&value);
  return {at, at + sizeof value};
}

struct TemporaryFolder {
  TemporaryFolder() {
    char name[] = "/tmp/gcompile-runtime-test-XXXXXX";
    if (!mkdtemp(name))
      abort();
    path = name;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  std::string path;
};

void addVariant(TestArtifact &artifact, uint32_t isa, const std::string &image) {
  artifact.sections.push_back({GC_SECTION_CODE, readFile(image)});
  gc_code_variant &variant = artifact.manifest.variants[artifact.manifest.variant_count++];
  variant.isa = isa;
  variant.section = uint32_t(artifact.sections.size());
  variant.prefill = {FAKE_PREFILL_OFFSET, FAKE_ARENA_BYTES, FAKE_PREFILL_ROWS};
  variant.decode = {FAKE_DECODE_OFFSET, FAKE_ARENA_BYTES, 1};
  variant.score = {FAKE_SCORE_OFFSET, FAKE_ARENA_BYTES, FAKE_SCORE_ROWS};
}

} // namespace

std::vector<uint8_t> TestArtifact::build() const {
  auto all = sections;
  all.insert(all.begin(), {GC_SECTION_MANIFEST, bytesOf(manifest)});
  std::vector<uint8_t> file(alignUp(sizeof(gc_file_header) + all.size() * sizeof(gc_section)));
  std::vector<gc_section> table;
  for (const auto &[kind, bytes] : all) {
    table.push_back({uint32_t(kind), 0, file.size(), bytes.size(), 0});
    file.insert(file.end(), bytes.begin(), bytes.end());
    file.resize(alignUp(file.size()));
  }
  gc_file_header header = {};
  memcpy(header.magic, GC_FILE_MAGIC, 8);
  bool experts = manifest.expert_cache_slots | manifest.expert_layers | manifest.experts_per_layer;
  header.version = experts ? GC_FILE_VERSION_EXPERTS : 1;
  header.endianness = 0x01020304;
  header.file_bytes = file.size();
  header.section_count = uint32_t(table.size());
  memcpy(file.data(), &header, sizeof header);
  memcpy(file.data() + sizeof header, table.data(), table.size() * sizeof(gc_section));
  fixChecksums(file);
  return file;
}

void fixChecksums(std::vector<uint8_t> &file) {
  auto *header = reinterpret_cast<gc_file_header *>(file.data());
  auto *table = reinterpret_cast<gc_section *>(file.data() + sizeof *header);
  for (uint32_t i = 0; i < header->section_count; ++i) {
    uint64_t next = i + 1 < header->section_count ? table[i + 1].offset : file.size();
    if (table[i].offset <= next && next <= file.size())
      table[i].checksum = gc_checksum(file.data() + table[i].offset, next - table[i].offset);
  }
  header->header_checksum = 0;
  header->header_checksum =
      gc_checksum(file.data(), std::min<uint64_t>(table[0].offset, file.size()));
}

std::vector<uint8_t> tinyTokenizerSection() {
  std::vector<uint8_t> json = readFile(GC_TEST_DATA_DIR "/gemma4-tiny/tokenizer.json");
  auto data =
      parseTokenizerJson(llvm::StringRef(reinterpret_cast<char *>(json.data()), json.size()));
  if (!data) {
    fprintf(stderr, "%s\n", toString(data.takeError()).c_str());
    abort();
  }
  return cantFail(serializeTokenizer(*data));
}

TestArtifact fakeModel(const FakeModelOptions &options) {
  TestArtifact artifact;
  gc_manifest &m = artifact.manifest;
  memset(&m, 0, sizeof m);
  strcpy(m.model, "fake");
  strcpy(m.target, "test");
  m.vocabulary = FAKE_VOCABULARY;
  m.context = options.context;
  m.kv_bytes = options.context * sizeof(int32_t);
  m.bos_token = 2;
  m.stop_token_count = 2;
  m.stop_tokens[0] = 1;
  m.stop_tokens[1] = 6;
  m.suppressed_token_count = 2;
  m.suppressed_tokens[0] = 17;
  m.suppressed_tokens[1] = 18;
  m.top_p = 1;
  m.planned_weights = 4096;
  m.planned_peak = 1 << 20;
  m.predicted_decode_tokens_per_second = 12.5;

  std::vector<uint8_t> weights(200'000, 1);
  uint32_t magic = FAKE_WEIGHTS_MAGIC;
  memcpy(weights.data(), &magic, sizeof magic);
  m.weights_bytes = weights.size();
  artifact.sections.push_back({GC_SECTION_PLAN, std::vector<uint8_t>(100, 'p')});
  if (options.tokenizer) {
    m.has_tokenizer = 1;
    artifact.sections.push_back({GC_SECTION_TOKENIZER, tinyTokenizerSection()});
    m.turns.present = 1;
    m.turns.flags = GC_TURN_TRIMS;
    strcpy(m.turns.start, "<bos>");
    strcpy(m.turns.role_prefix, "<|turn>");
    strcpy(m.turns.role_suffix, "\n");
    strcpy(m.turns.turn_suffix, "<turn|>\n");
    strcpy(m.turns.generation_prompt, "<|turn>model\n");
    strcpy(m.turns.user_role, "user");
    strcpy(m.turns.model_role, "model");
    strcpy(m.turns.system_role, "system");
  }
  addVariant(artifact, GC_ISA_X86_64_V3, GC_FAKE_IMAGE_X86_64);
#ifdef GC_FAKE_IMAGE_AARCH64
  addVariant(artifact, GC_ISA_AARCH64_NEON, GC_FAKE_IMAGE_AARCH64);
#endif
  artifact.sections.push_back({GC_SECTION_WEIGHTS, weights});
  if (options.expertSlots) {
    m.expert_cache_slots = options.expertSlots;
    m.expert_layers = fakeExpertLayers;
    m.experts_per_layer = fakeExperts;
    std::vector<uint8_t> blocks(size_t(fakeExpertLayers) * fakeExperts * fakeBlockBytes);
    for (size_t at = 0; at < blocks.size(); at += 4) {
      uint32_t block = uint32_t(at / fakeBlockBytes);
      memcpy(blocks.data() + at, &block, 4);
    }
    artifact.sections.push_back({GC_SECTION_EXPERTS, std::move(blocks)});
  }
  if (options.tablePlacement != GC_TABLE_NONE) {
    m.table_placement = options.tablePlacement;
    m.table_rows = FAKE_VOCABULARY;
    m.table_row_bytes = FAKE_TABLE_ROW_BYTES;
    m.table_cache_rows = options.tablePlacement == GC_TABLE_STORAGE ? options.cacheRows : 0;
    std::vector<uint8_t> table(m.table_rows * m.table_row_bytes);
    for (int32_t row = 0; row < FAKE_VOCABULARY; ++row)
      for (int i = 0; i < FAKE_TABLE_ROW_BYTES; i += 4)
        memcpy(table.data() + row * FAKE_TABLE_ROW_BYTES + i, &row, 4);
    artifact.sections.push_back({GC_SECTION_TABLE, table});
  }
  return artifact;
}

std::vector<uint8_t> readFile(const std::string &path) {
  std::vector<uint8_t> bytes;
  FILE *file = fopen(path.c_str(), "rb");
  if (!file) {
    perror(path.c_str());
    abort();
  }
  uint8_t block[65536];
  while (size_t got = fread(block, 1, sizeof block, file))
    bytes.insert(bytes.end(), block, block + got);
  fclose(file);
  return bytes;
}

void writeFile(const std::string &path, const std::vector<uint8_t> &bytes) {
  FILE *file = fopen(path.c_str(), "wb");
  if (!file || fwrite(bytes.data(), 1, bytes.size(), file) != bytes.size() || fclose(file) != 0) {
    perror(path.c_str());
    abort();
  }
}

std::string temporaryPath(const std::string &name) {
  static TemporaryFolder folder;
  return folder.path + "/" + name;
}

} // namespace gcompile::test
