#include "compiler/Import/BlockReader.h"

#include "compiler/Import/InputFile.h"
#include "tests/unit/import/TestFiles.h"

#include "llvm/Support/Error.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fcntl.h>
#include <random>
#include <thread>
#include <unistd.h>

namespace {

using namespace gcompile;
using testing::HasSubstr;

constexpr uint64_t block = BlockReader::blockBytes;
// More than the pool holds, and an end inside of a page.
constexpr uint64_t fileBytes = (BlockReader::blockCount + 5) * block + 4321;

uint8_t byteAt(uint64_t offset) { return uint8_t((offset * 0x9e3779b97f4a7c15u) >> 56); }

class BlockReaderTest : public testing::Test {
protected:
  void SetUp() override {
    std::string bytes(fileBytes, '\0');
    for (uint64_t i = 0; i < fileBytes; ++i)
      bytes[i] = char(byteAt(i));
    folder.write("large", bytes);
    path = folder.path("large");
    cached = ::open(path.c_str(), O_RDONLY);
    ASSERT_GE(cached, 0);
    fsync(cached);
    // So that blocks are read past the page cache where the file system knows how.
    posix_fadvise(cached, 0, 0, POSIX_FADV_DONTNEED);
    direct = ::open(path.c_str(), O_RDONLY | O_DIRECT);
  }
  void TearDown() override {
    ::close(cached);
    if (direct >= 0)
      ::close(direct);
  }
  BlockReader::File file() const { return {cached, direct}; }
  InputFile open() const {
    llvm::Expected<InputFile> opened = InputFile::open(path, "large");
    EXPECT_TRUE(bool(opened));
    return std::move(*opened);
  }

  TemporaryFolder folder;
  std::string path;
  int cached = -1, direct = -1;
};

// The bytes from `offset` on that the reader has, checked.
uint64_t copied(BlockReader &reader, BlockReader::File file, uint64_t offset, uint64_t bytes) {
  std::vector<uint8_t> out(bytes, 0xee);
  uint64_t count = reader.copy(file, offset, out);
  EXPECT_LE(count, bytes);
  for (uint64_t i = 0; i < count; ++i)
    if (out[i] != byteAt(offset + i)) {
      ADD_FAILURE() << "byte " << offset + i;
      break;
    }
  return count;
}

TEST_F(BlockReaderTest, GivesWhatWasAskedForAndNothingElse) {
  auto reader = BlockReader::shared();
  EXPECT_EQ(copied(*reader, file(), 0, 100), 0u);
  reader->fetch(file(), block + 1000, block);
  EXPECT_EQ(copied(*reader, file(), 0, 100), 0u);
  EXPECT_EQ(copied(*reader, file(), block, 100), 100u);
  EXPECT_EQ(copied(*reader, file(), 2 * block - 10, 100), 10u) << "at most to the end of a block";
  EXPECT_EQ(copied(*reader, file(), 2 * block, 100), 100u);
  EXPECT_EQ(copied(*reader, file(), 3 * block, 100), 0u);
  reader->forget(file());
  EXPECT_EQ(copied(*reader, file(), block, 100), 0u);
}

TEST_F(BlockReaderTest, EndsWithTheFile) {
  auto reader = BlockReader::shared();
  uint64_t last = fileBytes / block * block;
  reader->fetch(file(), last, 1);
  EXPECT_EQ(copied(*reader, file(), last, block), fileBytes - last);
  EXPECT_EQ(copied(*reader, file(), fileBytes - 1, 5), 1u);
  EXPECT_EQ(copied(*reader, file(), fileBytes, 5), 0u);
  reader->forget(file());
}

TEST_F(BlockReaderTest, KeepsToItsPool) {
  auto reader = BlockReader::shared();
  reader->fetch(file(), 0, fileBytes);
  // Some of it is here, everything is readable, from several threads.
  InputFile input = open();
  input.willRead(0, fileBytes);
  std::vector<std::thread> threads;
  for (unsigned seed = 0; seed < 3; ++seed)
    threads.emplace_back([&, seed] {
      std::mt19937 generator(seed);
      for (int round = 0; round < 60; ++round) {
        std::vector<uint8_t> out(1 + generator() % (3 * block / 2));
        uint64_t offset = generator() % (fileBytes - out.size());
        input.willRead(offset + out.size() / 2, out.size() / 4 + 1);
        llvm::Error error = input.read(offset, out);
        ASSERT_FALSE(bool(error)) << llvm::toString(std::move(error));
        for (uint64_t i = 0; i < out.size(); i += 1 + i % 7)
          ASSERT_EQ(out[i], byteAt(offset + i)) << offset + i;
      }
    });
  for (std::thread &thread : threads)
    thread.join();
  reader->forget(file());
}

TEST_F(BlockReaderTest, AFileThatShrinksIsAnError) {
  InputFile input = open();
  ASSERT_EQ(::truncate(path.c_str(), 3 * block + 17), 0);
  input.willRead(2 * block, 2 * block);
  std::vector<uint8_t> out(block);
  EXPECT_FALSE(bool(input.read(2 * block, out)));
  EXPECT_EQ(out[5], byteAt(2 * block + 5));
  EXPECT_THAT(llvm::toString(input.read(3 * block, out)), HasSubstr("became shorter"));
}

TEST_F(BlockReaderTest, ClosingWaitsForReadsUnderWay) {
  for (int round = 0; round < 20; ++round) {
    InputFile input = open();
    input.willRead(uint64_t(round) * block, 8 * block);
  }
}

} // namespace
