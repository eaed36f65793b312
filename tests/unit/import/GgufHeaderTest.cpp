// The container of GGUF: the vector of formats.md 4.5, and one test a check of 4.4 and 18.
#include "compiler/Import/Gguf/GgufHeader.h"

#include "tests/unit/import/GgufFiles.h"
#include "tests/unit/import/TestFiles.h"

#include "llvm/ADT/StringExtras.h"

#include <gmock/gmock.h>

using testing::ElementsAre;
using testing::HasSubstr;

namespace gcompile {
namespace {

llvm::Expected<GgufHeader> parse(const std::string &bytes) {
  auto read = [&](uint64_t offset, llvm::MutableArrayRef<uint8_t> out) -> llvm::Error {
    EXPECT_LE(offset + out.size(), bytes.size()) << "asked for more than there is";
    std::memcpy(out.data(), bytes.data() + offset, out.size());
    return llvm::Error::success();
  };
  return parseGgufHeader({bytes.size(), read}, "x.gguf");
}

std::string reference() {
  return llvm::fromHex("4747554603000000020000000000000004000000000000001400000000000000"
                       "67656e6572616c2e617263686974656374757265080000000600000000000000"
                       "67656d6d6134120000000000000067656d6d61342e626c6f636b5f636f756e74"
                       "0400000001000000010000000000000061090000000700000002000000000000"
                       "00010001000000000000007308000000030000000000000068c3a90100000000"
                       "0000007802000000200000000000000001000000000000000200000000000000"
                       "0000000001000000000000006e01000000020000000000000000000000200000"
                       "0000000000000000000000000000000000000000000000000000000000000000"
                       "002c557a9fc4e90e33587da2c7ec11365b800000000000000000000000000000"
                       "0000803f000000c0000000000000000000000000000000000000000000000000");
}

TEST(GgufHeader, ReadsTheReferenceFile) {
  std::string bytes = reference();
  ASSERT_EQ(bytes.size(), 320u);
  GgufHeader header = valueOf(parse(bytes));
  EXPECT_EQ(header.version, 3u);
  EXPECT_THAT(header.keys, ElementsAre("general.architecture", "gemma4.block_count", "a", "s"));
  EXPECT_EQ(header.text("general.architecture"), "gemma4");
  EXPECT_THAT(header.find("gemma4.block_count")->integers, ElementsAre(1));
  EXPECT_TRUE(header.find("a")->isArray);
  EXPECT_THAT(header.find("a")->integers, ElementsAre(1, 0));
  EXPECT_EQ(header.text("s"), "hé");
  ASSERT_EQ(header.tensors.size(), 2u);
  const GgufTensor &x = header.tensors[0], &n = header.tensors[1];
  EXPECT_EQ(x.name, "x");
  EXPECT_EQ(x.type->name, "Q4_0");
  EXPECT_THAT(x.extents, ElementsAre(32, 1));
  EXPECT_EQ(x.offset, 256u);
  EXPECT_EQ(x.bytes, 18u);
  EXPECT_EQ(n.type->name, "F32");
  EXPECT_THAT(n.extents, ElementsAre(2));
  EXPECT_EQ(n.offset, 288u);
  EXPECT_EQ(n.bytes, 8u);
}

TEST(GgufHeader, VersionTwoIsTheSame) {
  std::string bytes = reference();
  bytes[4] = 2;
  EXPECT_EQ(valueOf(parse(bytes)).tensors.size(), 2u);
}

TEST(GgufHeader, EveryTruncationIsRefused) {
  std::string bytes = reference();
  for (size_t length = 0; length < 296; ++length) // the last tensor ends there
    EXPECT_NE(errorOf(parse(bytes.substr(0, length))), "") << length;
  EXPECT_EQ(errorOf(parse(bytes.substr(0, 296))), "");
}

TEST(GgufHeader, EveryDamagedByteIsRefusedOrConsistent) {
  std::string bytes = reference();
  for (size_t i = 0; i < 256; ++i)
    for (int bit = 0; bit < 8; ++bit) {
      std::string damaged = bytes;
      damaged[i] = static_cast<char>(damaged[i] ^ 1 << bit);
      auto header = parse(damaged);
      if (!header) {
        llvm::consumeError(header.takeError());
        continue;
      }
      for (const GgufTensor &tensor : header->tensors)
        EXPECT_LE(tensor.offset + tensor.bytes, bytes.size());
    }
}

std::string refusal(const std::string &bytes) { return errorOf(parse(bytes)); }

std::string withBytes(size_t offset, const std::string &replacement) {
  std::string bytes = reference();
  bytes.replace(offset, replacement.size(), replacement);
  return bytes;
}

TEST(GgufHeader, RefusesWhatItIsNot) {
  EXPECT_THAT(refusal("GGML" + reference().substr(4)), HasSubstr("does not begin with 'GGUF'"));
  EXPECT_THAT(refusal(withBytes(4, rawBytes(uint32_t{1}))), HasSubstr("version 1"));
  EXPECT_THAT(refusal(withBytes(4, rawBytes(uint32_t{4}))), HasSubstr("supported are 2 and 3"));
  EXPECT_THAT(refusal(withBytes(4, rawBytes(uint32_t{0x03000000}))), HasSubstr("big-endian"));
}

TEST(GgufHeader, BoundsCounts) {
  for (int64_t count : {int64_t{-1}, int64_t{100001}, int64_t{1} << 62, int64_t{14}}) {
    EXPECT_THAT(refusal(withBytes(8, rawBytes(count))), HasSubstr("tensors, at most")) << count;
    if (count != 14)
      EXPECT_THAT(refusal(withBytes(16, rawBytes(count))), HasSubstr("keys, at most")) << count;
  }
}

TEST(GgufHeader, BoundsStringsAndArrays) {
  for (uint64_t length : {uint64_t{300}, uint64_t{1} << 26, ~uint64_t{0}})
    EXPECT_THAT(refusal(withBytes(24, rawBytes(length))), HasSubstr("a key has")) << length;
  GgufWriter writer;
  writer.raw("k", GgufWriter::array, rawBytes(int32_t{5}) + rawBytes(uint64_t{1} << 20));
  EXPECT_THAT(refusal(writer.file()), HasSubstr("key 'k' states 1048576 elements"));
  GgufWriter many;
  many.raw("k", GgufWriter::array, rawBytes(int32_t{0}) + rawBytes(uint64_t{1} << 40));
  EXPECT_THAT(refusal(many.file()), HasSubstr("at most"));
  GgufWriter nested;
  nested.raw("k", GgufWriter::array, rawBytes(int32_t{9}) + rawBytes(uint64_t{0}));
  EXPECT_THAT(refusal(nested.file()), HasSubstr("array of arrays"));
  GgufWriter unknown;
  unknown.raw("k", 13, rawBytes(uint64_t{0}));
  EXPECT_THAT(refusal(unknown.file()), HasSubstr("has type 13"));
  GgufWriter truth;
  truth.raw("k", GgufWriter::boolean, rawBytes(uint8_t{2}));
  EXPECT_THAT(refusal(truth.file()), HasSubstr("truth value of 2"));
  GgufWriter large;
  large.raw("k", 10, rawBytes(~uint64_t{0}));
  EXPECT_THAT(refusal(large.file()), HasSubstr("more than this program handles"));
}

TEST(GgufHeader, RefusesDuplicates) {
  GgufWriter keys;
  keys.number("a\nb", 1);
  keys.number("a\nb", 2);
  EXPECT_THAT(refusal(keys.file()), HasSubstr("key 'a\\x0ab' is there twice"));
  GgufWriter tensors;
  tensors.tensor("t", {1}, 0, floatBytes({1}));
  tensors.tensor("t", {1}, 0, floatBytes({1}));
  EXPECT_THAT(refusal(tensors.file()), HasSubstr("tensor 't' is there twice"));
}

std::string oneTensor(std::vector<int64_t> extents, uint32_t type, size_t bytes = 64,
                      const std::string &name = "t") {
  GgufWriter writer;
  writer.tensor(name, std::move(extents), type, std::string(bytes, '\0'));
  return writer.file();
}

TEST(GgufHeader, ChecksShapes) {
  EXPECT_EQ(refusal(oneTensor({}, 0)), "");
  EXPECT_THAT(refusal(oneTensor({1, 1, 1, 1, 1}, 0)), HasSubstr("5 dimensions"));
  for (int64_t extent : {int64_t{0}, int64_t{-1}, INT64_MIN})
    EXPECT_THAT(refusal(oneTensor({4, extent}, 0)), HasSubstr("expected positive")) << extent;
  EXPECT_THAT(refusal(oneTensor({int64_t{1} << 40, int64_t{1} << 40}, 0)),
              HasSubstr("fits 60 bits"));
  EXPECT_THAT(refusal(oneTensor({int64_t{1} << 58}, 0)), HasSubstr("the file has"));
  EXPECT_THAT(refusal(oneTensor({48, 2}, 2)),
              HasSubstr("rows of 48 values, which blocks of 32 (Q4_0)"));
  EXPECT_THAT(refusal(oneTensor({1}, 0, 4, std::string(64, 'x'))),
              HasSubstr("the name of a tensor"));
  EXPECT_THAT(refusal(oneTensor({1024}, 0, 64)), HasSubstr("tensor 't'"));
}

TEST(GgufHeader, RefusedTypesNameTensorAndType) {
  EXPECT_THAT(refusal(oneTensor({256}, 17)), HasSubstr("tensor 't' has type IQ2_XS (17)"));
  EXPECT_THAT(refusal(oneTensor({256}, 133)), HasSubstr("the fork ik_llama.cpp"));
  EXPECT_THAT(refusal(oneTensor({256}, 4000)), HasSubstr("not known"));
}

TEST(GgufHeader, OffsetsAreTheRunningSum) {
  std::string bytes = reference();
  size_t offset = bytes.find(rawBytes(uint64_t{32}) + std::string(16, '\0'));
  ASSERT_NE(offset, std::string::npos);
  for (uint64_t wrong : {uint64_t{0}, uint64_t{33}, uint64_t{64}, ~uint64_t{0}})
    EXPECT_THAT(refusal(withBytes(offset, rawBytes(wrong))), HasSubstr("expected 32")) << wrong;
}

TEST(GgufHeader, TheDataMustBeThere) {
  std::string bytes = oneTensor({16}, 0, 64);
  EXPECT_EQ(refusal(bytes), "");
  EXPECT_THAT(refusal(bytes.substr(0, bytes.size() - 1)), HasSubstr("it is cut"));
}

TEST(GgufHeader, AlignmentIsAPowerOfTwo) {
  for (uint32_t alignment : {0u, 3u, 48u, 1u << 31}) {
    GgufWriter writer;
    writer.number("general.alignment", alignment);
    EXPECT_THAT(refusal(writer.file()), HasSubstr("general.alignment")) << alignment;
  }
  GgufWriter wrongType;
  wrongType.text("general.alignment", "32");
  EXPECT_THAT(refusal(wrongType.file()), HasSubstr("general.alignment"));
  GgufWriter wide; // larger alignment than the writer pads to: offsets of several tensors differ
  wide.number("general.alignment", 64);
  wide.tensor("t", {4}, 0, floatBytes({1, 2, 3, 4}));
  wide.tensor("u", {4}, 0, floatBytes({1, 2, 3, 4}));
  EXPECT_THAT(refusal(wide.file()), HasSubstr("expected 64"));
}

} // namespace
} // namespace gcompile
