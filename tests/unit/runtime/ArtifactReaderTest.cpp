// The reader against damage, and against files that lie under true checksums. Every file lies in
// memory of its exact size, so that a sanitizer sees each read past the end.
#include "runtime/core/ArtifactReader.h"

#include "tests/unit/runtime/TestArtifact.h"

#include <gmock/gmock.h>

#include <functional>
#include <random>

using testing::HasSubstr;

namespace gcompile::runtime {
namespace {

using test::fixChecksums;
using test::TestArtifact;

struct Outcome {
  Status status;
  std::string message;
  Artifact artifact;
};

Outcome read(const std::vector<uint8_t> &file, Checksums checksums = Checksums::Structure) {
  Outcome outcome = {};
  Message message;
  outcome.status = readArtifact(file.data(), file.size(), checksums, outcome.artifact, message);
  outcome.message = message.c_str();
  return outcome;
}

// What the rest of the runtime relies on.
void expectSound(const Artifact &a) {
  const gc_manifest &m = *a.manifest;
  auto inside = [&](const gc_section &s) {
    return s.offset <= a.bytes && s.bytes <= a.bytes - s.offset &&
           s.offset % GC_SECTION_ALIGNMENT == 0;
  };
  for (uint32_t i = 0; i < a.sectionCount; ++i)
    ASSERT_TRUE(inside(a.sections[i]));
  ASSERT_EQ(a.weights->bytes, m.weights_bytes);
  if (a.table) {
    ASSERT_LE(m.table_rows, a.table->bytes);
    ASSERT_LE(m.table_rows * m.table_row_bytes, a.table->bytes);
  }
  ASSERT_GE(m.variant_count, 1u);
  ASSERT_LE(m.variant_count, uint32_t(GC_MAX_VARIANTS));
  for (uint32_t i = 0; i < m.variant_count; ++i)
    for (const gc_program *p :
         {&m.variants[i].prefill, &m.variants[i].decode, &m.variants[i].score}) {
      ASSERT_LT(p->offset, a.sections[m.variants[i].section].bytes);
      ASSERT_GE(p->max_rows, 1u);
      if (m.table_placement == GC_TABLE_STORAGE && p != &m.variants[i].decode)
        ASSERT_LE(p->max_rows, m.table_cache_rows);
    }
  ASSERT_LE(m.stop_token_count, uint32_t(GC_MAX_STOP_TOKENS));
  ASSERT_LE(m.suppressed_token_count, uint32_t(GC_MAX_SUPPRESSED_TOKENS));
  ASSERT_NE(memchr(m.model, 0, sizeof m.model), nullptr);
  ASSERT_NE(memchr(m.turns.generation_prompt, 0, sizeof m.turns.generation_prompt), nullptr);
}

class ArtifactReaderTest : public testing::Test {
protected:
  TestArtifact model = test::fakeModel({.tablePlacement = GC_TABLE_STORAGE});
  std::vector<uint8_t> file = model.build();

  // Reads the file with a changed manifest.
  Outcome readWith(const std::function<void(gc_manifest &)> &change) {
    TestArtifact changed = model;
    change(changed.manifest);
    return read(changed.build());
  }
  gc_file_header &header() { return *reinterpret_cast<gc_file_header *>(file.data()); }
  gc_section *table() {
    return reinterpret_cast<gc_section *>(file.data() + sizeof(gc_file_header));
  }
};

TEST_F(ArtifactReaderTest, ReadsAGoodFile) {
  Outcome outcome = read(file, Checksums::Everything);
  ASSERT_EQ(outcome.status, GC_OK) << outcome.message;
  EXPECT_STREQ(outcome.artifact.manifest->model, "fake");
  EXPECT_NE(outcome.artifact.table, nullptr);
  expectSound(outcome.artifact);
}

TEST_F(ArtifactReaderTest, RefusesEveryCutFile) {
  for (size_t bytes = 0; bytes < file.size(); bytes += bytes < 4096 ? 61 : 30011) {
    std::vector<uint8_t> cut(file.begin(), file.begin() + long(bytes));
    EXPECT_EQ(read(cut).status, GC_BAD_FILE) << bytes;
    if (cut.size() >= sizeof(gc_file_header)) { // and when the header goes along with it
      reinterpret_cast<gc_file_header *>(cut.data())->file_bytes = cut.size();
      EXPECT_EQ(read(cut, Checksums::Everything).status, GC_BAD_FILE) << bytes;
    }
  }
}

TEST_F(ArtifactReaderTest, FindsAnyChangedByteWhenAskedTo) {
  std::mt19937 random(2);
  for (int round = 0; round < 1500; ++round) {
    size_t where = round < 500 ? size_t(round) : random() % file.size();
    uint8_t bit = uint8_t(1u << random() % 8);
    file[where] ^= bit;
    Outcome outcome = read(file, Checksums::Everything);
    EXPECT_NE(outcome.status, GC_OK) << "byte " << where << " bit " << int(bit);
    EXPECT_FALSE(outcome.message.empty());
    file[where] ^= bit;
  }
}

TEST_F(ArtifactReaderTest, LeavesWeightsAndTablesUnreadAtOpening) {
  Outcome good = read(file);
  for (const gc_section *section : {good.artifact.weights, good.artifact.table}) {
    file[section->offset + 5] ^= 1;
    EXPECT_EQ(read(file).status, GC_OK);
    Outcome outcome = read(file, Checksums::Everything);
    EXPECT_EQ(outcome.status, GC_BAD_FILE);
    EXPECT_THAT(outcome.message, HasSubstr(sectionName(section->kind)));
    file[section->offset + 5] ^= 1;
  }
}

TEST_F(ArtifactReaderTest, CoversPaddingToo) {
  Outcome good = read(file);
  const gc_section &manifest = good.artifact.sections[0];
  file[manifest.offset + manifest.bytes + 100] = 1;
  EXPECT_EQ(read(file).status, GC_BAD_FILE);
  file[manifest.offset + manifest.bytes + 100] = 0;
  file[sizeof(gc_file_header) + good.artifact.sectionCount * sizeof(gc_section) + 7] = 1;
  EXPECT_EQ(read(file).status, GC_BAD_FILE);
}

TEST_F(ArtifactReaderTest, SaysWhatIsWrong) {
  EXPECT_THAT(read(std::vector<uint8_t>(100, 'x')).message, HasSubstr("not a .gpk file"));
  EXPECT_THAT(read({}).message, HasSubstr("not a .gpk file"));
  header().version = 7;
  Outcome newer = read(file);
  EXPECT_EQ(newer.status, GC_NEWER_VERSION);
  EXPECT_THAT(newer.message, HasSubstr("version 7"));
  EXPECT_THAT(newer.message, HasSubstr("newer runtime"));
  header().version = GC_FILE_VERSION;
  file.pop_back();
  EXPECT_THAT(read(file).message, HasSubstr("cut short"));
  file.push_back(0);
  file.push_back(0);
  EXPECT_THAT(read(file).message, HasSubstr("added"));
  file.pop_back();
  file[4] = '\n'; // \r\n became \n
  EXPECT_THAT(read(file).message, HasSubstr("text mode"));
  file[4] = '\r';
  header().endianness = 0x04030201;
  EXPECT_THAT(read(file).message, HasSubstr("byte order"));
}

TEST_F(ArtifactReaderTest, RefusesSectionsThatLie) {
  uint32_t last = header().section_count - 1;
  auto expectBad = [&](const std::function<void()> &change) {
    std::vector<uint8_t> before = file;
    change();
    fixChecksums(file);
    EXPECT_EQ(read(file).status, GC_BAD_FILE);
    file = before;
  };
  expectBad([&] { header().section_count = 0; });
  expectBad([&] { header().section_count = 65; });
  expectBad([&] { table()[0].offset = 0; });
  expectBad([&] { table()[1].offset += 64; });
  expectBad([&] { table()[last].bytes = UINT64_MAX; });
  expectBad([&] { table()[last].bytes = file.size(); });
  expectBad([&] { table()[last].offset = uint64_t(1) << 60; });
  expectBad([&] { table()[last].offset = 0 - uint64_t(65536); });
  expectBad([&] { std::swap(table()[1], table()[2]); });
  expectBad([&] { table()[1].bytes = table()[2].offset - table()[1].offset + 1; });
  expectBad([&] { table()[1].kind = GC_SECTION_MANIFEST; });
  expectBad([&] { table()[0].kind = GC_SECTION_PLAN; });
  expectBad([&] { table()[0].bytes -= 8; });
  expectBad(
      [&] { table()[last].kind = GC_SECTION_PLAN; }); // the table that the manifest names is gone
}

TEST_F(ArtifactReaderTest, RefusesManifestsThatLie) {
  auto expectBad = [&](const char *part, const std::function<void(gc_manifest &)> &change) {
    Outcome outcome = readWith(change);
    EXPECT_EQ(outcome.status, GC_BAD_FILE) << part;
    EXPECT_THAT(outcome.message, HasSubstr(part));
  };
  expectBad("name", [](gc_manifest &m) { memset(m.model, 'x', sizeof m.model); });
  expectBad("turn form", [](gc_manifest &m) { memset(m.turns.start, 'x', sizeof m.turns.start); });
  expectBad("vocabulary", [](gc_manifest &m) { m.vocabulary = 0; });
  expectBad("vocabulary", [](gc_manifest &m) { m.vocabulary = UINT32_MAX; });
  expectBad("context", [](gc_manifest &m) { m.context = 0; });
  expectBad("context", [](gc_manifest &m) { m.context = UINT32_MAX; });
  expectBad("caches", [](gc_manifest &m) { m.kv_bytes = UINT64_MAX; });
  expectBad("weights", [](gc_manifest &m) { m.weights_bytes += 1; });
  expectBad("table", [](gc_manifest &m) { m.table_rows = uint64_t(1) << 62; });
  expectBad("table", [](gc_manifest &m) { m.table_row_bytes = uint64_t(1) << 60; });
  expectBad("table", [](gc_manifest &m) { m.table_rows += 10000; });
  expectBad("placement", [](gc_manifest &m) { m.table_placement = 3; });
  expectBad("disagree", [](gc_manifest &m) { m.table_placement = GC_TABLE_NONE; });
  expectBad("row cache", [](gc_manifest &m) { m.table_cache_rows = 3; });
  expectBad("variants", [](gc_manifest &m) { m.variant_count = 0; });
  expectBad("variants", [](gc_manifest &m) { m.variant_count = 9; });
  expectBad("no code", [](gc_manifest &m) { m.variants[0].section = 0; });
  expectBad("no code", [](gc_manifest &m) { m.variants[0].section = 1000; });
  expectBad("program decode",
            [](gc_manifest &m) { m.variants[0].decode.offset = uint64_t(1) << 40; });
  expectBad("program score", [](gc_manifest &m) { m.variants[0].score.max_rows = 0; });
  expectBad("program prefill",
            [](gc_manifest &m) { m.variants[0].prefill.arena_bytes = UINT64_MAX; });
  expectBad("stop", [](gc_manifest &m) { m.stop_token_count = 17; });
  expectBad("stop token", [](gc_manifest &m) { m.stop_tokens[0] = m.vocabulary; });
  expectBad("suppressed token", [](gc_manifest &m) { m.suppressed_tokens[1] = m.vocabulary; });
  expectBad("<bos>", [](gc_manifest &m) { m.bos_token = int32_t(m.vocabulary); });
  expectBad("<bos>", [](gc_manifest &m) { m.bos_token = -2; });
  expectBad("sampling", [](gc_manifest &m) { m.temperature = -1; });
  expectBad("sampling", [](gc_manifest &m) { m.top_p = __builtin_nanf(""); });
  expectBad("predictions",
            [](gc_manifest &m) { m.predicted_decode_tokens_per_second = __builtin_inf(); });
}

TEST_F(ArtifactReaderTest, RefusesExpertsThatLie) {
  model = test::fakeModel({.expertSlots = 9});
  file = model.build();
  Outcome good = read(file, Checksums::Everything);
  ASSERT_EQ(good.status, GC_OK) << good.message;
  ASSERT_NE(good.artifact.experts, nullptr);
  file[good.artifact.experts->offset + 5] ^= 1; // unread at opening, as weights are
  EXPECT_EQ(read(file).status, GC_OK);
  EXPECT_THAT(read(file, Checksums::Everything).message, HasSubstr("experts"));
  file = model.build();
  header().version = 1;
  fixChecksums(file);
  EXPECT_THAT(read(file).message, HasSubstr("version 1 cannot have"));

  auto expectBad = [&](const char *part, const std::function<void(gc_manifest &)> &change) {
    Outcome outcome = readWith(change);
    EXPECT_EQ(outcome.status, GC_BAD_FILE) << part;
    EXPECT_THAT(outcome.message, HasSubstr(part));
  };
  expectBad("disagree", [](gc_manifest &m) {
    m.expert_cache_slots = m.expert_layers = m.experts_per_layer = 0;
  });
  expectBad("0 layers of 8", [](gc_manifest &m) { m.expert_layers = 0; });
  expectBad("3 layers of 0", [](gc_manifest &m) { m.experts_per_layer = 0; });
  expectBad("4097 layers", [](gc_manifest &m) { m.expert_layers = 4097; });
  expectBad("of 4294967295 experts", [](gc_manifest &m) { m.experts_per_layer = UINT32_MAX; });
  expectBad("blocks of a multiple of 4096", [](gc_manifest &m) { m.experts_per_layer = 7; });
  expectBad("blocks of a multiple of 4096", [](gc_manifest &m) { m.experts_per_layer = 65536; });
  expectBad("cache of experts has 0 slots", [](gc_manifest &m) { m.expert_cache_slots = 0; });
  expectBad("cache of experts has 25 slots", [](gc_manifest &m) { m.expert_cache_slots = 25; });
}

TEST_F(ArtifactReaderTest, WhatItAcceptsIsSound) {
  std::mt19937_64 random(13);
  const uint64_t values[] = {0,
                             1,
                             2,
                             63,
                             64,
                             65535,
                             65536,
                             uint64_t(1) << 31,
                             uint64_t(1) << 32,
                             uint64_t(1) << 60,
                             UINT64_MAX,
                             UINT64_MAX - 65535};
  // Small: the sections that matter, so that thousands of files can be read.
  model.sections.erase(model.sections.begin() + 1); // the tokenizer
  model.manifest.has_tokenizer = 0;
  for (uint32_t i = 0; i < model.manifest.variant_count; ++i)
    --model.manifest.variants[i].section;
  file = model.build();
  ASSERT_EQ(read(file).status, GC_OK) << read(file).message;
  int accepted = 0;
  for (int round = 0; round < 4000; ++round) {
    std::vector<uint8_t> changed = file;
    for (int change = 0, n = 1 + int(random() % 3); change < n; ++change) {
      bool inManifest = random() % 2;
      size_t base = inManifest ? table()[0].offset : 16,
             range = inManifest ? sizeof(gc_manifest) : 48 + 32 * header().section_count;
      size_t where = base + random() % range / 4 * 4;
      uint64_t value = random() % 3 ? values[random() % std::size(values)] : random();
      memcpy(changed.data() + where, &value, random() % 2 ? 4 : 8);
    }
    auto *h = reinterpret_cast<gc_file_header *>(changed.data());
    if (h->section_count >= 1 && h->section_count <= 64)
      fixChecksums(changed);
    Outcome outcome = read(changed);
    if (outcome.status != GC_OK)
      continue;
    ++accepted;
    expectSound(outcome.artifact);
  }
  EXPECT_GT(accepted, 20); // or the test would show nothing
}

} // namespace
} // namespace gcompile::runtime
