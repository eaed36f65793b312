// Files in the cache folder: where they lie, that damage shows, and that runs side by side never
// see half a file.
#include "compiler/Support/KeptFile.h"

#include <filesystem>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <thread>
#include <unistd.h>

using namespace gcompile;
using testing::HasSubstr;

namespace {

class KeptFile : public testing::Test {
protected:
  void SetUp() override {
    folder = std::filesystem::temp_directory_path() / ("gc-kept-" + std::to_string(getpid()));
    std::filesystem::remove_all(folder);
  }
  void TearDown() override { std::filesystem::remove_all(folder); }
  std::filesystem::path folder;
};

TEST_F(KeptFile, LiesWhereTheEnvironmentSays) {
  setenv("GCOMPILE_CACHE", "/a/b", 1);
  setenv("XDG_CACHE_HOME", "/c", 1);
  setenv("HOME", "/d", 1);
  EXPECT_EQ(cacheFolder(), "/a/b");
  unsetenv("GCOMPILE_CACHE");
  EXPECT_EQ(cacheFolder(), "/c/gcompile");
  setenv("XDG_CACHE_HOME", "relative", 1); // the XDG specification: relative paths are ignored
  EXPECT_EQ(cacheFolder(), "/d/.cache/gcompile");
  unsetenv("HOME");
  EXPECT_EQ(cacheFolder(), "");
}

TEST_F(KeptFile, ASealBreaksWithAnyByte) {
  std::string text = "some text\nof two lines\n", whole = sealed(text);
  EXPECT_EQ(unsealed(whole), text);
  for (size_t i = 0; i < whole.size(); ++i) {
    std::string changed = whole;
    changed[i] = char(changed[i] ^ 1);
    EXPECT_FALSE(unsealed(changed)) << i;
    EXPECT_FALSE(unsealed(llvm::StringRef(whole).take_front(i))) << i;
  }
  EXPECT_FALSE(unsealed(whole + "x"));
  EXPECT_FALSE(unsealed(text));
}

TEST_F(KeptFile, IsWrittenWholeByManyAtOnce) {
  std::string path = (folder / "new" / "file").string();
  std::vector<std::string> contents;
  for (int i = 0; i < 4; ++i)
    contents.push_back(sealed(std::string(100000, char('a' + i))));
  ASSERT_FALSE(bool(writeKeptFile(path, contents[0])));
  std::vector<std::thread> writers;
  for (const std::string &content : contents)
    writers.emplace_back([&] {
      for (int i = 0; i < 20; ++i) {
        llvm::cantFail(writeKeptFile(path, content));
        EXPECT_TRUE(unsealed(llvm::cantFail(readKeptFile(path, 1 << 20))));
      }
    });
  for (std::thread &writer : writers)
    writer.join();
  // Nothing half-done is left beside it.
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder / "new"), {}), 1);
}

TEST_F(KeptFile, SaysWhatIsWrong) {
  std::string path = (folder / "file").string();
  EXPECT_THAT(llvm::toString(readKeptFile(path, 10).takeError()), HasSubstr(path));
  ASSERT_FALSE(bool(writeKeptFile(path, std::string(4096, 'x'))));
  EXPECT_THAT(llvm::toString(readKeptFile(path, 2048).takeError()), HasSubstr("at most 2 KiB"));
  EXPECT_THAT(llvm::toString(readKeptFile(folder.string(), 2048).takeError()),
              HasSubstr("no file"));
  // A file stands where the folder should.
  EXPECT_THAT(llvm::toString(writeKeptFile(path + "/below", "x")), HasSubstr(path));
}

} // namespace
