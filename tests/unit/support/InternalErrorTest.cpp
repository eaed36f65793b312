// The class of an error survives a context that is put in front of it.
#include "compiler/Support/InternalError.h"

#include <gtest/gtest.h>

using namespace gcompile;

namespace {

TEST(InternalError, IsAClassNotAWording) {
  llvm::Error bug = internalError("two sizes differ"),
              other = llvm::createStringError("a file says '(a bug of gcompile)'");
  EXPECT_TRUE(bug.isA<InternalError>());
  EXPECT_FALSE(other.isA<InternalError>());
  llvm::consumeError(std::move(other));
  EXPECT_EQ(llvm::toString(std::move(bug)), "two sizes differ (a bug of gcompile)");
}

TEST(InternalError, KeepsItsClassBehindAContext) {
  llvm::Error bug = withContext("x86-64-v3", internalError("no code"));
  EXPECT_TRUE(bug.isA<InternalError>());
  EXPECT_EQ(llvm::toString(std::move(bug)), "x86-64-v3: no code (a bug of gcompile)");
  llvm::Error other = withContext("x86-64-v3", llvm::createStringError("no room"));
  EXPECT_FALSE(other.isA<InternalError>());
  EXPECT_EQ(llvm::toString(std::move(other)), "x86-64-v3: no room");
}

} // namespace
