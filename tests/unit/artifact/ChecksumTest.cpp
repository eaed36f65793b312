// The checksum against LLVM's own XXH64 and the vectors of the specification.
#include "runtime/abi/gc_checksum.h"

#include "llvm/Support/xxhash.h"

#include <gtest/gtest.h>

#include <string_view>
#include <vector>

namespace {

std::vector<uint8_t> bytesOf(size_t count) {
  std::vector<uint8_t> bytes(count);
  uint32_t state = 1;
  for (uint8_t &byte : bytes) {
    state = state * 1664525u + 1013904223u;
    byte = static_cast<uint8_t>(state >> 24);
  }
  return bytes;
}

TEST(Checksum, KnownVectors) {
  EXPECT_EQ(gc_checksum("", 0), 0xef46db3751d8e999u);
  EXPECT_EQ(gc_checksum("a", 1), 0xd24ec4f1a98c6e5bu);
  EXPECT_EQ(gc_checksum("abc", 3), 0x44bc2cf5ad770999u);
}

TEST(Checksum, AgreesWithLlvmOnEveryLength) {
  std::vector<uint8_t> bytes = bytesOf(70000);
  for (size_t length = 0; length < 600; ++length)
    ASSERT_EQ(gc_checksum(bytes.data() + length % 7, length),
              llvm::xxHash64(llvm::ArrayRef(bytes.data() + length % 7, length)))
        << length;
  for (size_t length : {4095u, 4096u, 65535u, 65536u, 70000u})
    ASSERT_EQ(gc_checksum(bytes.data(), length),
              llvm::xxHash64(llvm::ArrayRef(bytes.data(), length)));
}

TEST(Checksum, SplitsDoNotMatter) {
  std::vector<uint8_t> bytes = bytesOf(3000);
  for (size_t piece : {1u, 3u, 7u, 31u, 32u, 33u, 64u, 100u, 999u}) {
    gc_checksum_state state;
    gc_checksum_begin(&state);
    for (size_t at = 0; at < bytes.size(); at += piece) {
      gc_checksum_update(&state, bytes.data() + at, std::min(piece, bytes.size() - at));
      size_t end = std::min(at + piece, bytes.size());
      ASSERT_EQ(gc_checksum_finish(&state), llvm::xxHash64(llvm::ArrayRef(bytes.data(), end)));
    }
  }
}

} // namespace
