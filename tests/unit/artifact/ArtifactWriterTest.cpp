// What a reader may rely on: layout, checksums, determinism, and that nothing but a complete file
// ever appears.
#include "compiler/Artifact/ArtifactWriter.h"

#include "TemporaryFolder.h"

#include "llvm/Support/xxhash.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <cstring>
#include <thread>

#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace gcompile;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

namespace {

std::vector<uint8_t> pattern(size_t count, uint8_t seed) {
  std::vector<uint8_t> bytes(count);
  for (size_t i = 0; i < count; ++i)
    bytes[i] = static_cast<uint8_t>(i * 31 + seed);
  return bytes;
}

std::vector<SectionSpec> threeSections() {
  return {{GC_SECTION_MANIFEST, 100}, {GC_SECTION_PLAN, 65536}, {GC_SECTION_WEIGHTS, 70000}};
}

std::unique_ptr<ArtifactWriter> createOrFail(const std::string &path,
                                             OutputFileOptions options = {}) {
  auto writer = ArtifactWriter::create(path, threeSections(), options);
  if (!writer) {
    ADD_FAILURE() << llvm::toString(writer.takeError());
    return nullptr;
  }
  return std::move(*writer);
}

std::string messageOf(llvm::Error error) { return llvm::toString(std::move(error)); }

template <typename T>
std::string messageOf(llvm::Expected<T> result) {
  return result ? "" : llvm::toString(result.takeError());
}

void fill(ArtifactWriter &writer) {
  ASSERT_EQ(messageOf(writer.writeAt(0, 0, pattern(100, 1))), "");
  ASSERT_EQ(messageOf(writer.writeAt(1, 0, pattern(65536, 2))), "");
  ASSERT_EQ(messageOf(writer.writeAt(2, 0, pattern(70000, 3))), "");
}

TEST(ArtifactWriter, PlacesSectionsAndChecksums) {
  TemporaryFolder folder;
  {
    auto writer = createOrFail(folder / "m.gpk");
    ASSERT_TRUE(writer);
    fill(*writer);
    EXPECT_THAT(folder.files(), testing::Not(testing::Contains("m.gpk")));
    ASSERT_EQ(messageOf(writer->commit()), "");
  }
  EXPECT_THAT(folder.files(), ElementsAre("m.gpk"));
  std::vector<uint8_t> bytes = readBytes(folder / "m.gpk");
  // 64 KiB of header, the manifest in one slot, the plan exactly one slot, the weights at 192 KiB.
  ASSERT_EQ(bytes.size(), 196608u + 70016u); // 70000 rounded up to 128
  EXPECT_EQ(std::string(bytes.begin(), bytes.begin() + 8), std::string("GCPK\r\n\x1a\n"));
  const uint8_t fixed[] = {1, 0, 0, 0, 4, 3, 2, 1};
  EXPECT_EQ(memcmp(bytes.data() + 8, fixed, 8), 0);

  gc_file_header header;
  memcpy(&header, bytes.data(), sizeof(header));
  EXPECT_EQ(header.file_bytes, bytes.size());
  EXPECT_EQ(header.section_count, 3u);
  gc_section sections[3];
  memcpy(sections, bytes.data() + 64, sizeof(sections));
  EXPECT_EQ(sections[0].kind, uint32_t(GC_SECTION_MANIFEST));
  EXPECT_EQ(sections[0].offset, 65536u);
  EXPECT_EQ(sections[1].offset, 131072u);
  EXPECT_EQ(sections[2].offset, 196608u);
  EXPECT_EQ(sections[2].bytes, 70000u);
  auto sum = [&bytes](uint64_t begin, uint64_t end) {
    return llvm::xxHash64(llvm::ArrayRef(bytes).slice(begin, end - begin));
  };
  EXPECT_EQ(sections[0].checksum, sum(65536, 131072));
  EXPECT_EQ(sections[1].checksum, sum(131072, 196608));
  EXPECT_EQ(sections[2].checksum, sum(196608, bytes.size()));
  memset(bytes.data() + offsetof(gc_file_header, header_checksum), 0, 8);
  EXPECT_EQ(header.header_checksum, sum(0, 65536));
  EXPECT_EQ(bytes[196608 + 69999], pattern(70000, 3).back());
  EXPECT_EQ(bytes[65536 + 100], 0); // padding
}

TEST(ArtifactWriter, OrderAndThreadsDoNotMatter) {
  TemporaryFolder folder;
  auto one = createOrFail(folder / "one.gpk"), two = createOrFail(folder / "two.gpk");
  ASSERT_TRUE(one && two);
  fill(*one);
  std::vector<uint8_t> weights = pattern(70000, 3);
  auto writeRange = [&](size_t begin, size_t end) {
    for (size_t at = end; at > begin;) { // backwards
      size_t count = std::min<size_t>(997, at - begin);
      at -= count;
      EXPECT_EQ(messageOf(two->writeAt(2, at, llvm::ArrayRef(weights).slice(at, count))), "");
    }
  };
  std::thread first(writeRange, 0, 30000), second(writeRange, 30000, 70000);
  first.join();
  second.join();
  ASSERT_EQ(messageOf(two->writeAt(1, 0, pattern(65536, 2))), "");
  ASSERT_EQ(messageOf(two->writeAt(0, 0, pattern(100, 1))), "");
  ASSERT_EQ(messageOf(one->commit()), "");
  ASSERT_EQ(messageOf(two->commit()), "");
  EXPECT_TRUE(readBytes(folder / "one.gpk") == readBytes(folder / "two.gpk"));
}

TEST(ArtifactWriter, ReplacesAnExistingFileOnlyWhenComplete) {
  TemporaryFolder folder;
  writeBytes(folder / "m.gpk", {1, 2, 3});
  {
    auto abandoned = createOrFail(folder / "m.gpk");
  }
  EXPECT_EQ(readBytes(folder / "m.gpk"), (std::vector<uint8_t>{1, 2, 3}));
  auto writer = createOrFail(folder / "m.gpk");
  ASSERT_TRUE(writer);
  ASSERT_EQ(messageOf(writer->commit()), "");
  EXPECT_EQ(readBytes(folder / "m.gpk").size(), writer->layout().fileBytes);
  EXPECT_THAT(folder.files(), ElementsAre("m.gpk"));
}

TEST(ArtifactWriter, KeepsALinkAndReplacesItsTarget) {
  TemporaryFolder folder;
  writeBytes(folder / "real.gpk", {1});
  std::filesystem::create_symlink("real.gpk", folder / "link.gpk");
  auto writer = createOrFail(folder / "link.gpk");
  ASSERT_TRUE(writer);
  ASSERT_EQ(messageOf(writer->commit()), "");
  EXPECT_TRUE(std::filesystem::is_symlink(folder / "link.gpk"));
  EXPECT_GT(readBytes(folder / "real.gpk").size(), 1u);
}

TEST(ArtifactWriter, NamedTemporaryFilesWorkTheSame) {
  TemporaryFolder folder;
  OutputFileOptions named;
  named.temporaryFile = TemporaryFile::Named;
  auto writer = createOrFail(folder / "m.gpk", named), plain = createOrFail(folder / "p.gpk");
  ASSERT_TRUE(writer && plain);
  ASSERT_EQ(folder.files().size(), 1u);
  EXPECT_THAT(folder.files().front(), testing::EndsWith(".part"));
  fill(*writer);
  fill(*plain);
  ASSERT_EQ(messageOf(writer->commit()), "");
  ASSERT_EQ(messageOf(plain->commit()), "");
  EXPECT_EQ(folder.files().size(), 2u);
  EXPECT_TRUE(readBytes(folder / "m.gpk") == readBytes(folder / "p.gpk"));
  {
    auto abandoned = createOrFail(folder / "q.gpk", named);
  }
  EXPECT_EQ(folder.files().size(), 2u);
}

// Process numbers come again in containers, and a killed process leaves its names.
TEST(ArtifactWriter, NamesThatAKilledProcessLeftAreNotInTheWay) {
  TemporaryFolder folder;
  std::string own = std::to_string(getpid()) + "-";
  std::vector<std::string> left;
  for (int i = 0; i < 1000; ++i)
    for (const std::string &name : {"m.gpk." + own + std::to_string(i) + ".part",
                                    ".gcompile-" + own + std::to_string(i) + ".link.part"}) {
      left.push_back(name);
      writeBytes(folder / name, {1});
    }
  for (TemporaryFile kind : {TemporaryFile::Named, TemporaryFile::Any}) {
    OutputFileOptions options;
    options.temporaryFile = kind;
    auto writer = createOrFail(folder / "m.gpk", options);
    ASSERT_TRUE(writer);
    fill(*writer);
    EXPECT_EQ(messageOf(writer->commit()), "");
  }
  left.push_back("m.gpk");
  EXPECT_THAT(folder.files(), testing::UnorderedElementsAreArray(left));
}

TEST(ArtifactWriter, ASignalHandlerCanRemoveUnfinishedFiles) {
  TemporaryFolder folder;
  OutputFileOptions named;
  named.temporaryFile = TemporaryFile::Named;
  pid_t child = fork();
  if (child == 0) {
    signal(SIGTERM, [](int) {
      removePartialOutputs();
      _exit(77);
    });
    auto writer = ArtifactWriter::create(folder / "m.gpk", threeSections(), named);
    if (!writer || folder.files().size() != 1)
      _exit(1);
    raise(SIGTERM);
    _exit(2);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 77) << status;
  EXPECT_THAT(folder.files(), IsEmpty());
}

TEST(ArtifactWriter, AKilledProcessLeavesNothing) {
  TemporaryFolder folder;
  pid_t child = fork();
  if (child == 0) {
    auto writer = ArtifactWriter::create(folder / "m.gpk", threeSections());
    if (!writer || !folder.files().empty())
      _exit(9); // no unnamed files on this file system
    raise(SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 9)
    GTEST_SKIP() << "the temporary folder's file system has no unnamed files";
  EXPECT_THAT(folder.files(), IsEmpty());
}

TEST(ArtifactWriter, CancellingStopsWritesAndCommit) {
  TemporaryFolder folder;
  std::atomic<bool> cancel{false};
  OutputFileOptions options;
  options.cancel = &cancel;
  {
    auto writer = createOrFail(folder / "m.gpk", options);
    ASSERT_TRUE(writer);
    cancel = true;
    EXPECT_THAT(messageOf(writer->writeAt(0, 0, pattern(100, 1))), HasSubstr("interrupted"));
    EXPECT_THAT(messageOf(writer->commit()), HasSubstr("interrupted"));
  }
  EXPECT_THAT(folder.files(), IsEmpty());
}

TEST(ArtifactWriter, RefusesWritesOutsideASection) {
  TemporaryFolder folder;
  auto writer = createOrFail(folder / "m.gpk");
  ASSERT_TRUE(writer);
  EXPECT_THAT(messageOf(writer->writeAt(0, 1, pattern(100, 1))), HasSubstr("do not fit"));
  EXPECT_THAT(messageOf(writer->writeAt(0, ~uint64_t(0), pattern(1, 1))), HasSubstr("do not fit"));
  EXPECT_THAT(messageOf(writer->writeAt(3, 0, pattern(1, 1))), HasSubstr("does not exist"));
  EXPECT_EQ(messageOf(writer->writeAt(0, 100, {})), "");
}

TEST(ArtifactWriter, RefusesImpossibleLayouts) {
  EXPECT_THAT(messageOf(layOutArtifact({})), HasSubstr("1 to 64 sections"));
  std::vector<SectionSpec> many(65, {GC_SECTION_CODE, 1});
  EXPECT_THAT(messageOf(layOutArtifact(many)), HasSubstr("1 to 64 sections"));
  SectionSpec huge[] = {{GC_SECTION_WEIGHTS, ~uint64_t(0)}};
  EXPECT_THAT(messageOf(layOutArtifact(huge)), HasSubstr("larger than 2^46"));
  SectionSpec sum[] = {{GC_SECTION_WEIGHTS, uint64_t(1) << 45},
                       {GC_SECTION_TABLE, uint64_t(1) << 45}};
  EXPECT_THAT(messageOf(layOutArtifact(sum)), HasSubstr("larger than 2^46"));
}

TEST(ArtifactWriter, AFullDiskIsOneClearErrorAtTheStart) {
  TemporaryFolder folder;
  SectionSpec sections[] = {{GC_SECTION_WEIGHTS, uint64_t(1) << 45}}; // 35 TB
  std::string message = messageOf(ArtifactWriter::create(folder / "m.gpk", sections));
  EXPECT_THAT(message, HasSubstr("the disk is full, 35184.4 GB are needed and "));
  EXPECT_THAT(message, HasSubstr("choose another folder with -o"));
  EXPECT_THAT(folder.files(), IsEmpty());
}

TEST(ArtifactWriter, AFileSizeLimitIsOneClearErrorAtTheStart) {
  TemporaryFolder folder;
  struct rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  struct rlimit small = before;
  small.rlim_cur = 100000;
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  // With the default action of SIGXFSZ, so that reaching the limit would end this process.
  std::string message = messageOf(ArtifactWriter::create(folder / "m.gpk", threeSections()));
  setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_THAT(message, HasSubstr("files here may not be as large as the 266.6 kB"));
  EXPECT_THAT(folder.files(), IsEmpty());
}

// A disk that fills up in spite of the allocation: the limit stands in for it.
TEST(ArtifactWriter, AFailingWriteIsReported) {
  TemporaryFolder folder;
  auto writer = createOrFail(folder / "m.gpk");
  ASSERT_TRUE(writer);
  auto handlerBefore = signal(SIGXFSZ, SIG_IGN);
  struct rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  struct rlimit small = before;
  small.rlim_cur = 200000;
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  std::string message = messageOf(writer->writeAt(2, 0, pattern(70000, 3)));
  setrlimit(RLIMIT_FSIZE, &before);
  signal(SIGXFSZ, handlerBefore);
  EXPECT_THAT(message, HasSubstr("files here may not be as large"));
  writer.reset();
  EXPECT_THAT(folder.files(), IsEmpty());
}

TEST(ArtifactWriter, NamesTheFolderThatCannotBeWritten) {
  TemporaryFolder folder;
  EXPECT_THAT(messageOf(ArtifactWriter::create(folder / "none/m.gpk", threeSections())),
              HasSubstr("there is no folder '"));
  writeBytes(folder / "file", {1});
  EXPECT_THAT(messageOf(ArtifactWriter::create(folder / "file/m.gpk", threeSections())),
              HasSubstr("there is no folder '"));
  EXPECT_THAT(messageOf(ArtifactWriter::create(folder.path(), threeSections())),
              HasSubstr("is no regular file"));
  EXPECT_THAT(messageOf(ArtifactWriter::create("/dev/full", threeSections())),
              HasSubstr("is no regular file"));

  ASSERT_EQ(chmod(folder.path().c_str(), 0555), 0);
  bool root = geteuid() == 0; // root may write anywhere
  if (root)
    ASSERT_EQ(seteuid(65534), 0);
  std::string message = messageOf(ArtifactWriter::create(folder / "m.gpk", threeSections()));
  if (root)
    ASSERT_EQ(seteuid(0), 0);
  chmod(folder.path().c_str(), 0755);
  EXPECT_THAT(message, HasSubstr("is not writable (Permission denied)"));
  EXPECT_THAT(folder.files(), ElementsAre("file"));
}

} // namespace
