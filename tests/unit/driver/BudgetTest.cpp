#include "compiler/Driver/Budget.h"

#include <gtest/gtest.h>

using namespace gcompile;

namespace {

int64_t bytesOf(const char *text) {
  llvm::Expected<int64_t> bytes = parseByteSize(text);
  if (!bytes) {
    ADD_FAILURE() << llvm::toString(bytes.takeError());
    return -1;
  }
  return *bytes;
}

TEST(Budget, ReadsDecimalAndBinaryUnitsInAnyCase) {
  EXPECT_EQ(bytesOf("1GB"), 1000000000);
  EXPECT_EQ(bytesOf("1gb"), 1000000000);
  EXPECT_EQ(bytesOf("1GiB"), 1073741824);
  EXPECT_EQ(bytesOf("1gib"), 1073741824);
  EXPECT_EQ(bytesOf("800 MB"), 800000000);
  EXPECT_EQ(bytesOf("1.5GB"), 1500000000);
  EXPECT_EQ(bytesOf("0.1GB"), 100000000);
  EXPECT_EQ(bytesOf("16kib"), 16384);
  EXPECT_EQ(bytesOf("123456"), 123456);
  EXPECT_EQ(bytesOf("12b"), 12);
  EXPECT_EQ(bytesOf("2t"), 2000000000000);
}

TEST(Budget, ZeroIsASize) {
  EXPECT_EQ(bytesOf("0"), 0);
  EXPECT_EQ(bytesOf("0GB"), 0);
}

TEST(Budget, RefusesWhatIsNone) {
  for (const char *text : {"", " ", "-1", "-5MB", "GB", "12parsecs", "1.2.3GB", ".", "1e9", "0x10",
                           "99999999999999999999GB", "5000000000GB", "9223372036854775808", "1GBB",
                           "+1GB", "1,5GB", "nan", "inf"}) {
    llvm::Expected<int64_t> bytes = parseByteSize(text);
    EXPECT_FALSE(bytes) << text;
    llvm::consumeError(bytes.takeError());
  }
}

} // namespace
