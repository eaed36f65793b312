// The compile side's reader: complete files are accepted, every changed or missing byte is found,
// and lies in any field are refused even when the checksums are right.
#include "compiler/Artifact/ArtifactReader.h"
#include "compiler/Artifact/ArtifactWriter.h"
#include "runtime/abi/gc_checksum.h"

#include "TemporaryFolder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <functional>

using namespace gcompile;
using testing::HasSubstr;

namespace {

constexpr uint64_t sectionUnit = 65536;

gc_manifest validManifest() {
  gc_manifest manifest = {};
  strcpy(manifest.model, "tiny");
  strcpy(manifest.target, "host");
  manifest.vocabulary = 1000;
  manifest.context = 512;
  manifest.weights_bytes = 3000;
  manifest.table_placement = GC_TABLE_STORAGE;
  manifest.table_cache_rows = 64;
  manifest.table_rows = 10;
  manifest.table_row_bytes = 48;
  manifest.variant_count = 1;
  manifest.stop_token_count = 1;
  manifest.stop_tokens[0] = 106;
  manifest.bos_token = 2;
  manifest.temperature = 1;
  manifest.top_p = 0.95f;
  manifest.has_tokenizer = 1;
  gc_code_variant &variant = manifest.variants[0];
  variant.isa = GC_ISA_X86_64_V3;
  variant.section = 3;
  variant.prefill = variant.decode = variant.score = {16, 4096, 32};
  return manifest;
}

std::vector<uint8_t> bytesOf(const gc_manifest &manifest) {
  const uint8_t *at = reinterpret_cast<const uint8_t *>(&manifest);
  return {at, at + sizeof(manifest)};
}

// manifest, plan, tokenizer, code, weights, table
std::vector<uint8_t> validFile(const std::string &path) {
  std::vector<std::pair<gc_section_kind, std::vector<uint8_t>>> sections = {
      {GC_SECTION_MANIFEST, bytesOf(validManifest())},
      {GC_SECTION_PLAN, {'p', 'l', 'a', 'n'}},
      {GC_SECTION_TOKENIZER, std::vector<uint8_t>(200, 7)},
      {GC_SECTION_CODE, std::vector<uint8_t>(500, 0xc3)},
      {GC_SECTION_WEIGHTS, std::vector<uint8_t>(3000, 9)},
      {GC_SECTION_TABLE, std::vector<uint8_t>(480, 11)}};
  std::vector<SectionSpec> specs;
  for (const auto &[kind, bytes] : sections)
    specs.push_back({kind, bytes.size()});
  auto writer = ArtifactWriter::create(path, specs);
  if (!writer) {
    ADD_FAILURE() << llvm::toString(writer.takeError());
    return {};
  }
  for (unsigned i = 0; i < sections.size(); ++i)
    EXPECT_FALSE((*writer)->writeAt(i, 0, sections[i].second));
  EXPECT_FALSE((*writer)->commit());
  return readBytes(path);
}

std::string openMessage(const std::string &path) {
  auto artifact = ArtifactFile::open(path);
  return artifact ? "" : llvm::toString(artifact.takeError());
}

// The first complaint of opening and then verifying.
std::string verifyMessage(const std::string &path) {
  auto artifact = ArtifactFile::open(path);
  if (!artifact)
    return llvm::toString(artifact.takeError());
  llvm::Error error = (*artifact)->verify();
  return llvm::toString(std::move(error));
}

// Makes checksums right again after fields were changed, as an attacker would.
void resign(std::vector<uint8_t> &bytes) {
  gc_file_header header;
  memcpy(&header, bytes.data(), sizeof(header));
  uint32_t count = std::min<uint32_t>(header.section_count, GC_MAX_SECTIONS);
  std::vector<gc_section> sections(count);
  memcpy(sections.data(), bytes.data() + sizeof(header), count * sizeof(gc_section));
  for (uint32_t i = 0; i < count; ++i) {
    uint64_t end = i + 1 < count ? sections[i + 1].offset : bytes.size();
    if (sections[i].offset <= end && end <= bytes.size())
      sections[i].checksum =
          gc_checksum(bytes.data() + sections[i].offset, end - sections[i].offset);
  }
  memcpy(bytes.data() + sizeof(header), sections.data(), count * sizeof(gc_section));
  header.header_checksum = 0;
  memcpy(bytes.data(), &header, sizeof(header));
  uint64_t first = count ? sections[0].offset : 0;
  header.header_checksum = first <= bytes.size() ? gc_checksum(bytes.data(), first) : 0;
  memcpy(bytes.data(), &header, sizeof(header));
}

class ArtifactReader : public testing::Test {
protected:
  TemporaryFolder folder;
  std::string path = folder / "m.gpk";
  std::vector<uint8_t> good = validFile(path);

  std::string after(const std::function<void(std::vector<uint8_t> &)> &change) {
    std::vector<uint8_t> bytes = good;
    change(bytes);
    resign(bytes);
    writeBytes(path, bytes);
    return openMessage(path);
  }
  std::string afterHeader(const std::function<void(gc_file_header &)> &change) {
    return after([&](std::vector<uint8_t> &bytes) {
      gc_file_header header;
      memcpy(&header, bytes.data(), sizeof(header));
      change(header);
      memcpy(bytes.data(), &header, sizeof(header));
    });
  }
  std::string afterSection(unsigned index, const std::function<void(gc_section &)> &change) {
    return after([&](std::vector<uint8_t> &bytes) {
      gc_section section;
      uint8_t *at = bytes.data() + sizeof(gc_file_header) + index * sizeof(section);
      memcpy(&section, at, sizeof(section));
      change(section);
      memcpy(at, &section, sizeof(section));
    });
  }
  std::string afterManifest(const std::function<void(gc_manifest &)> &change) {
    return after([&](std::vector<uint8_t> &bytes) {
      gc_manifest manifest = validManifest();
      change(manifest);
      memcpy(bytes.data() + sectionUnit, &manifest, sizeof(manifest));
    });
  }
};

TEST_F(ArtifactReader, ReadsWhatWasWritten) {
  auto artifact = ArtifactFile::open(path);
  ASSERT_TRUE(bool(artifact)) << llvm::toString(artifact.takeError());
  EXPECT_EQ((*artifact)->sections().size(), 6u);
  EXPECT_STREQ((*artifact)->manifest().model, "tiny");
  EXPECT_EQ(llvm::cantFail((*artifact)->readText(GC_SECTION_PLAN)), "plan");
  EXPECT_EQ(llvm::cantFail((*artifact)->readText(GC_SECTION_PROVENANCE)), "");
  uint64_t last = 0, total = 0;
  EXPECT_FALSE((*artifact)->verify([&](uint64_t done, uint64_t all) { last = done, total = all; }));
  EXPECT_EQ(last, good.size());
  EXPECT_EQ(total, good.size());
  uint8_t two[2];
  const gc_section *weights = (*artifact)->find(GC_SECTION_WEIGHTS);
  ASSERT_TRUE(weights);
  EXPECT_FALSE((*artifact)->readAt(*weights, 2998, two));
  EXPECT_EQ(two[1], 9);
  EXPECT_THAT(llvm::toString((*artifact)->readAt(*weights, 2999, two)), HasSubstr("not inside"));
  EXPECT_THAT((*artifact)->describeSections(),
              HasSubstr("weights              327680            3000"));
}

TEST_F(ArtifactReader, FindsAnyChangedByte) {
  std::vector<uint64_t> positions;
  for (uint64_t at = 0; at < 300; ++at)
    positions.push_back(at);
  for (uint64_t at = 300; at < good.size(); at += 1009)
    positions.push_back(at);
  positions.push_back(good.size() - 1); // padding at the very end
  for (uint64_t at : positions) {
    std::vector<uint8_t> bytes = good;
    bytes[at] ^= 0x10;
    writeBytes(path, bytes);
    ASSERT_NE(verifyMessage(path), "") << "byte " << at;
  }
}

TEST_F(ArtifactReader, OpeningDoesNotReadWeights) {
  std::vector<uint8_t> bytes = good;
  bytes[5 * sectionUnit] ^= 1;
  writeBytes(path, bytes);
  EXPECT_EQ(openMessage(path), "");
  EXPECT_THAT(verifyMessage(path), HasSubstr("section 4 (weights) is damaged"));
}

TEST_F(ArtifactReader, FindsEveryTruncation) {
  for (uint64_t length :
       {0ul, 1ul, 63ul, 64ul, 100ul, 255ul, 65535ul, 65536ul, 70000ul, good.size() - 1}) {
    std::vector<uint8_t> bytes(good.begin(), good.begin() + static_cast<long>(length));
    writeBytes(path, bytes);
    ASSERT_NE(openMessage(path), "") << length;
  }
  good.push_back(0);
  writeBytes(path, good);
  EXPECT_THAT(openMessage(path), HasSubstr("something was added to it"));
}

TEST_F(ArtifactReader, RefusesOtherFiles) {
  writeBytes(path, std::vector<uint8_t>(1000, 'x'));
  EXPECT_THAT(openMessage(path), HasSubstr("does not begin with GCPK"));
  EXPECT_THAT(openMessage(folder.path()), HasSubstr("is no regular file"));
  EXPECT_THAT(openMessage(folder / "none"), HasSubstr("No such file"));
  EXPECT_THAT(after([](auto &bytes) { bytes[4] = '\n'; }), HasSubstr("text mode"));
}

TEST_F(ArtifactReader, RefusesLiesInTheHeader) {
  EXPECT_THAT(afterHeader([](gc_file_header &h) { h.version = GC_FILE_VERSION + 1; }),
              HasSubstr("use a newer one"));
  EXPECT_THAT(afterHeader([](gc_file_header &h) { h.version = 0; }), HasSubstr("version 0"));
  EXPECT_THAT(afterHeader([](gc_file_header &h) { h.endianness = 0x04030201; }),
              HasSubstr("byte order"));
  EXPECT_THAT(afterHeader([](gc_file_header &h) { h.section_count = 0; }), HasSubstr("0 sections"));
  EXPECT_THAT(afterHeader([](gc_file_header &h) { h.section_count = 65; }),
              HasSubstr("65 sections"));
  EXPECT_THAT(afterHeader([](gc_file_header &h) { h.file_bytes = uint64_t(1) << 60; }),
              HasSubstr("cut short"));
}

TEST_F(ArtifactReader, RefusesLiesInTheSectionTable) {
  EXPECT_THAT(afterSection(4, [](gc_section &s) { s.bytes = uint64_t(1) << 60; }),
              HasSubstr("do not lie between its neighbours"));
  EXPECT_THAT(afterSection(5, [](gc_section &s) { s.bytes = ~uint64_t(0); }),
              HasSubstr("do not lie between"));
  EXPECT_THAT(afterSection(1, [](gc_section &s) { s.bytes = sectionUnit + 1; }),
              HasSubstr("do not lie between"));
  EXPECT_THAT(afterSection(2, [](gc_section &s) { s.offset = 0; }), HasSubstr("do not lie"));
  EXPECT_THAT(afterSection(2, [](gc_section &s) { s.offset += 8; }), HasSubstr("no multiple"));
  EXPECT_THAT(afterSection(5, [](gc_section &s) { s.offset = uint64_t(1) << 60; }),
              HasSubstr("do not lie between"));
  EXPECT_THAT(afterSection(1, [](gc_section &s) { s.kind = GC_SECTION_MANIFEST; }),
              HasSubstr("two sections of kind manifest"));
  EXPECT_THAT(afterSection(4, [](gc_section &s) { s.kind = 99; }), HasSubstr("bytes of weights"));
}

TEST_F(ArtifactReader, RefusesLiesInTheManifest) {
  using M = gc_manifest;
  EXPECT_EQ(afterManifest([](M &) {}), "");
  EXPECT_THAT(afterManifest([](M &m) { memset(m.model, 'x', sizeof(m.model)); }),
              HasSubstr("string without an end"));
  EXPECT_THAT(afterManifest([](M &m) { memset(m.turns.start, 'x', sizeof(m.turns.start)); }),
              HasSubstr("string without an end"));
  EXPECT_THAT(afterManifest([](M &m) { m.weights_bytes++; }), HasSubstr("bytes of weights"));
  EXPECT_THAT(afterManifest([](M &m) { m.table_placement = GC_TABLE_NONE; }),
              HasSubstr("disagree about a per-layer table"));
  EXPECT_THAT(afterManifest([](M &m) { m.table_placement = 3; }), HasSubstr("disagree"));
  EXPECT_THAT(afterManifest([](M &m) { m.table_rows = uint64_t(1) << 60; }),
              HasSubstr("names a table of"));
  EXPECT_THAT(afterManifest([](M &m) { m.table_row_bytes = 49; }), HasSubstr("names a table of"));
  EXPECT_THAT(afterManifest([](M &m) { m.stop_token_count = 17; }), HasSubstr("too many stop"));
  EXPECT_THAT(afterManifest([](M &m) { m.stop_tokens[0] = 1000; }), HasSubstr("stop token 1000"));
  EXPECT_THAT(afterManifest([](M &m) { m.variant_count = 9; }), HasSubstr("9 code variants"));
  EXPECT_THAT(afterManifest([](M &m) { m.variants[0].section = 4; }), HasSubstr("is no code"));
  EXPECT_THAT(afterManifest([](M &m) { m.variants[0].section = ~0u; }), HasSubstr("is no code"));
  EXPECT_THAT(afterManifest([](M &m) { m.variants[0].decode.offset = 500; }),
              HasSubstr("a program at 500"));
  EXPECT_THAT(afterManifest([](M &m) { m.variants[0].score.max_rows = 0; }),
              HasSubstr("for 0 rows"));
  EXPECT_THAT(afterManifest([](M &m) { m.variants[0].prefill.arena_bytes = ~uint64_t(0); }),
              HasSubstr("bytes of scratch"));
  EXPECT_THAT(afterManifest([](M &m) { m.table_cache_rows = 31; }),
              HasSubstr("a row cache of 31 rows for chunks of up to 32 rows"));
  EXPECT_THAT(afterManifest([](M &m) { m.kv_bytes = uint64_t(1) << 60; }),
              HasSubstr("bytes for caches"));
  EXPECT_THAT(afterManifest([](M &m) { m.bos_token = 1000; }), HasSubstr("<bos>"));
  EXPECT_THAT(afterManifest([](M &m) { m.pad_token = 1000; }), HasSubstr("<pad>"));
  EXPECT_THAT(afterManifest([](M &m) { m.vocabulary = 0; }), HasSubstr("vocabulary of 0"));
  EXPECT_THAT(afterManifest([](M &m) { m.temperature = -1; }), HasSubstr("sampling defaults"));
}

// manifest, code, weights, experts: what the runtime's reader refuses is refused here.
class ArtifactOfExperts : public testing::Test {
protected:
  TemporaryFolder folder;
  std::string path = folder / "m.gpk";

  std::string with(const std::function<void(gc_manifest &)> &change,
                   uint64_t expertBytes = 6 * 4096) {
    gc_manifest manifest = validManifest();
    manifest.table_placement = GC_TABLE_NONE;
    manifest.has_tokenizer = 0;
    manifest.variants[0].section = 1;
    manifest.expert_cache_slots = 4;
    manifest.expert_layers = 2;
    manifest.experts_per_layer = 3;
    change(manifest);
    std::vector<SectionSpec> specs = {{GC_SECTION_MANIFEST, sizeof manifest},
                                      {GC_SECTION_CODE, 500},
                                      {GC_SECTION_WEIGHTS, 3000},
                                      {GC_SECTION_EXPERTS, expertBytes}};
    auto writer = ArtifactWriter::create(path, specs);
    EXPECT_TRUE(bool(writer));
    EXPECT_FALSE((*writer)->writeAt(0, 0, bytesOf(manifest)));
    EXPECT_FALSE((*writer)->commit());
    return verifyMessage(path);
  }
};

TEST_F(ArtifactOfExperts, IsOfVersionTwoAndOthersOfOne) {
  EXPECT_EQ(with([](gc_manifest &) {}), "");
  auto version = [&] {
    std::vector<uint8_t> bytes = readBytes(path);
    gc_file_header header;
    memcpy(&header, bytes.data(), sizeof(header));
    return header.version;
  };
  EXPECT_EQ(version(), uint32_t(GC_FILE_VERSION_EXPERTS));
  std::vector<uint8_t> bytes = readBytes(path);
  bytes[8] = 1;
  resign(bytes);
  writeBytes(path, bytes);
  EXPECT_THAT(openMessage(path), HasSubstr("version 1 cannot have"));
  validFile(path);
  EXPECT_EQ(version(), 1u);
}

TEST_F(ArtifactOfExperts, RefusesLies) {
  EXPECT_THAT(with([](gc_manifest &m) {
                m.expert_cache_slots = m.expert_layers = m.experts_per_layer = 0;
              }),
              HasSubstr("disagree about experts"));
  EXPECT_THAT(with([](gc_manifest &m) { m.expert_layers = 0; }), HasSubstr("0 layers of 3"));
  EXPECT_THAT(with([](gc_manifest &m) { m.experts_per_layer = UINT32_MAX; }),
              HasSubstr("layers of 4294967295"));
  EXPECT_THAT(with([](gc_manifest &m) { m.experts_per_layer = 4; }), HasSubstr("multiple of 4096"));
  EXPECT_THAT(with([](gc_manifest &) {}, 6 * 4096 + 1), HasSubstr("multiple of 4096"));
  EXPECT_THAT(with([](gc_manifest &) {}, 0), HasSubstr("multiple of 4096"));
  EXPECT_THAT(with([](gc_manifest &m) { m.expert_cache_slots = 7; }),
              HasSubstr("cache of 7 slots"));
  EXPECT_THAT(with([](gc_manifest &m) { m.expert_cache_slots = 0; }),
              HasSubstr("cache of 0 slots"));
}

} // namespace
