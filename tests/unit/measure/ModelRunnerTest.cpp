// Temporary files go away, and what cannot be opened is one clear line. What a runner computes is
// tested with compiled models (ProbeModelTest.cpp).
#include "compiler/Measure/ModelRunner.h"

#include "llvm/Support/FileSystem.h"
#include "llvm/Support/raw_ostream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace gcompile;
using testing::AllOf;
using testing::HasSubstr;

namespace {

TemporaryFile temporary() { return llvm::cantFail(TemporaryFile::create("gpk")); }

TEST(TemporaryFile, IsThereUntilItsOwnerEnds) {
  std::string path, moved;
  {
    TemporaryFile file = temporary();
    path = file.path();
    EXPECT_TRUE(llvm::sys::fs::exists(path));
    TemporaryFile other = std::move(file);
    EXPECT_TRUE(file.path().empty());
    EXPECT_EQ(other.path(), path);
    moved = temporary().path();
    EXPECT_FALSE(llvm::sys::fs::exists(moved));
    EXPECT_TRUE(llvm::sys::fs::exists(path));
    other = temporary();
    EXPECT_FALSE(llvm::sys::fs::exists(path)); // replaced: the first one is removed
    moved = other.path();
  }
  EXPECT_FALSE(llvm::sys::fs::exists(moved));
}

TEST(ModelRunner, RefusesWhatIsNoArtifact) {
  auto missing = ModelRunner::open("/no/such/file.gpk");
  ASSERT_FALSE(bool(missing));
  EXPECT_THAT(llvm::toString(missing.takeError()),
              AllOf(HasSubstr("'/no/such/file.gpk'"), HasSubstr("cannot be opened")));

  TemporaryFile file = temporary();
  std::string path = file.path();
  std::error_code error;
  llvm::raw_fd_ostream(path, error) << "this is no artifact";
  ASSERT_FALSE(error);
  auto damaged = ModelRunner::open(std::move(file));
  ASSERT_FALSE(bool(damaged));
  EXPECT_THAT(llvm::toString(damaged.takeError()), HasSubstr("cannot be opened"));
  EXPECT_FALSE(llvm::sys::fs::exists(path)) << "the file was not removed after a failure";
}

} // namespace
