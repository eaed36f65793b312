// The memory that calibration reads: what is in it, how it is walked, and that nothing stays
// behind.
#include "compiler/Measure/ProbeRegion.h"

#include "llvm/ADT/SmallString.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/raw_ostream.h"

#include <cstring>
#include <gtest/gtest.h>

using namespace gcompile;

namespace {

constexpr int64_t size = 1 << 20;
llvm::Error goOn(int64_t) { return llvm::Error::success(); }

struct Folder {
  llvm::SmallString<128> path;
  Folder() { EXPECT_FALSE(llvm::sys::fs::createUniqueDirectory("probe-region", path)); }
  ~Folder() { llvm::sys::fs::remove_directories(path); }
  int files() const {
    std::error_code error;
    int count = 0;
    for (llvm::sys::fs::directory_iterator at(path, error), end; at != end; at.increment(error))
      ++count;
    EXPECT_FALSE(error) << error.message();
    return count;
  }
};

TEST(ProbeRegion, MappedAndAnonymousHoldTheSameNumbers) {
  Folder folder;
  auto mapped = llvm::cantFail(ProbeRegion::mapped(size, folder.path, goOn));
  auto anonymous = llvm::cantFail(ProbeRegion::anonymous(size, goOn));
  EXPECT_EQ(folder.files(), 0); // the name is gone while the region is used
  ASSERT_EQ(mapped->size(), size);
  const uint8_t *a = mapped->next(64 << 10), *b = anonymous->next(64 << 10);
  EXPECT_EQ(std::memcmp(a, b, 64 << 10), 0);
  for (int i = 0; i < 64 << 10; ++i)
    ASSERT_EQ(a[i] & 0xf0, 0x30) << i; // ordinary numbers as floats of 16 and 32 bits
  EXPECT_NE(std::memcmp(a, a + 4096, 4096), 0);
}

TEST(ProbeRegion, PiecesFollowEachOtherInPagesAndStartOver) {
  auto region = llvm::cantFail(ProbeRegion::anonymous(size, goOn));
  const uint8_t *first = region->next(5000);
  EXPECT_EQ(region->next(4096) - first, 8192);
  EXPECT_EQ(region->next(4096) - first, 12288);
  // Kernels fetch ahead: the last 16 KiB are never part of a piece.
  EXPECT_EQ(region->next(size - 32768) - first, 16384);
  EXPECT_EQ(region->next(4096), first);
  EXPECT_EQ(region->next(4096) - first, 4096);
  region->rewind();
  EXPECT_EQ(region->next(4096), first);
}

TEST(ProbeRegion, FindsAFileThatIsMapped) {
  Folder folder;
  llvm::SmallString<128> path(folder.path);
  path += "/file";
  std::error_code error;
  {
    llvm::raw_fd_ostream out(path, error);
    ASSERT_FALSE(error);
    for (int page = 0; page < 16; ++page)
      out << std::string(4096, char('a' + page));
  }
  EXPECT_FALSE(bool(llvm::expectedToOptional(ProbeRegion::existing(path, 4096, 4096))));
  auto file = llvm::cantFail(llvm::sys::fs::openNativeFileForRead(path));
  llvm::sys::fs::mapped_file_region mapping(file, llvm::sys::fs::mapped_file_region::readonly,
                                            12 * 4096, 2 * 4096, error);
  ASSERT_FALSE(error);
  // Whole pages alone.
  auto region = llvm::cantFail(ProbeRegion::existing(path, 3 * 4096 - 5, 6 * 4096 + 7));
  EXPECT_EQ(region->size(), 6 * 4096);
  EXPECT_EQ(region->next(4096), reinterpret_cast<const uint8_t *>(mapping.const_data()) + 4096);
  std::string failure =
      llvm::toString(ProbeRegion::existing(path, 3 * 4096, 12 * 4096).takeError());
  EXPECT_NE(failure.find("has not mapped"), std::string::npos) << failure;
}

TEST(ProbeRegion, FailuresNameTheFolderAndEndWithTheCallersError) {
  auto missing = ProbeRegion::mapped(size, "/no/such/folder", goOn);
  ASSERT_FALSE(bool(missing));
  EXPECT_NE(llvm::toString(missing.takeError()).find("/no/such/folder"), std::string::npos);
  Folder folder;
  auto stopped = ProbeRegion::mapped(size, folder.path, [](int64_t) -> llvm::Error {
    return llvm::createStringError("interrupted");
  });
  ASSERT_FALSE(bool(stopped));
  EXPECT_EQ(llvm::toString(stopped.takeError()), "interrupted");
  EXPECT_EQ(folder.files(), 0);
}

} // namespace
