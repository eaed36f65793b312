#include "compiler/Import/Safetensors.h"

#include "tests/unit/import/TestFiles.h"

#include <gmock/gmock.h>

#include <bit>
#include <cmath>
#include <filesystem>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>

using testing::ElementsAre;
using testing::HasSubstr;

namespace gcompile {
namespace {

std::string fromHex(const std::string &hex) {
  std::string bytes;
  for (size_t i = 0; i < hex.size(); i += 2)
    bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  return bytes;
}

// A file made by the reference writer: b = [1.0, -2.5] as BF16, a = [3] as I8.
std::string referenceFile() {
  return fromHex("9000000000000000") +
         R"({"__metadata__":{"format":"pt"},"b":{"dtype":"BF16","shape":[1,2],"data_offsets":[0,4]},)"
         R"("a":{"dtype":"I8","shape":[1],"data_offsets":[4,5]}}    )" +
         fromHex("803f20c003");
}

TEST(Safetensors, ReadsTheReferenceVector) {
  TemporaryFolder folder;
  auto checkpoint = valueOf(openSafetensors(folder.write("x.safetensors", referenceFile())));
  ASSERT_EQ(checkpoint->tensors().size(), 2u);
  const TensorInfo *b = checkpoint->find("b"), *a = checkpoint->find("a");
  ASSERT_TRUE(a && b);
  EXPECT_EQ(b->type, TensorType::BF16);
  EXPECT_EQ(shapeString(b->shape), "1x2");
  EXPECT_THAT(valueOf(checkpoint->readAllAsFloat(*b)), ElementsAre(1.0f, -2.5f));
  uint8_t byte = 0;
  EXPECT_EQ(errorOf(checkpoint->read(*a, 0, byte)), "");
  EXPECT_EQ(byte, 3);
  EXPECT_THAT(errorOf(checkpoint->readAllAsFloat(*a)), HasSubstr("type I8, expected F32"));
  EXPECT_THAT(errorOf(checkpoint->read(*a, 1, byte)), HasSubstr("has 1 bytes"));
  EXPECT_EQ(checkpoint->find("c"), nullptr);
  EXPECT_THAT(checkpoint->files(), ElementsAre("x.safetensors"));
}

// Values computed apart from this code with Python's struct module.
TEST(Safetensors, ReadsTheTinyModel) {
  auto checkpoint = valueOf(openSafetensors(dataPath("gemma4-tiny")));
  EXPECT_EQ(checkpoint->tensors().size(), 346u);
  const TensorInfo *embedding = checkpoint->find("model.language_model.embed_tokens.weight");
  ASSERT_TRUE(embedding);
  std::vector<float> all = valueOf(checkpoint->readAllAsFloat(*embedding));
  EXPECT_EQ(all[0], -0.1650390625f);
  EXPECT_EQ(all[1000], 0.039306640625f);
  EXPECT_EQ(all.back(), -0.01336669921875f);
  double sum = 0;
  for (float value : all)
    sum += std::fabs(value);
  EXPECT_NEAR(sum, 100438.18945741095, 1e-6);
  std::vector<float> rows(256 * 3);
  EXPECT_EQ(errorOf(checkpoint->readRowsAsFloat(*embedding, 4093, 3, rows)), "");
  EXPECT_EQ(rows, std::vector<float>(all.end() - 256 * 3, all.end()));
  EXPECT_THAT(valueOf(checkpoint->readAllAsFloat(
                  *checkpoint->find("model.language_model.layers.3.layer_scalar"))),
              ElementsAre(0.83203125f));
  for (auto [first, count] : {std::pair<int64_t, int64_t>{4094, 3}, {-1, 3}, {5000, 3}, {0, 2}})
    EXPECT_NE(errorOf(checkpoint->readRowsAsFloat(*embedding, first, count, rows)), "");
}

TEST(Safetensors, ReadsF32) {
  auto checkpoint = valueOf(openSafetensors(dataPath("conformance-f32/moe")));
  const TensorInfo *experts =
      checkpoint->find("model.language_model.layers.0.experts.gate_up_proj");
  ASSERT_TRUE(experts);
  EXPECT_EQ(experts->columns(), 48 * 64);
  std::vector<float> all = valueOf(checkpoint->readAllAsFloat(*experts));
  EXPECT_EQ(all[1000], -0.07514782249927521f);
  EXPECT_EQ(all.back(), -0.021997589617967606f);
}

TEST(Safetensors, ReadsF16IncludingSubnormals) {
  TemporaryFolder folder;
  // 1, -2, 65504, the smallest subnormal 2^-24, the largest subnormal, the smallest normal 2^-14,
  // -0
  std::string data = fromHex("003c00c0ff7b0100ff0300040080");
  auto checkpoint = valueOf(openSafetensors(folder.write(
      "x.safetensors",
      safetensors(R"({"a":{"dtype":"F16","shape":[7],"data_offsets":[0,14]}})", data))));
  std::vector<float> values = valueOf(checkpoint->readAllAsFloat(*checkpoint->find("a")));
  EXPECT_THAT(values,
              ElementsAre(1.0f, -2.0f, 65504.0f, 0x1p-24f, 1023 * 0x1p-24f, 0x1p-14f, 0.0f));
  EXPECT_TRUE(std::signbit(values.back()));
}

// Non-finite weights are found in every type, wherever they are, and named.
TEST(Safetensors, RefusesNonFiniteWeights) {
  struct Case {
    const char *type, *good, *bad, *word;
  };
  for (const Case &c :
       {Case{"BF16", "803f", "c07f", "NaN"}, Case{"BF16", "803f", "80ff", "infinity"},
        Case{"F16", "003c", "017c", "NaN"}, Case{"F16", "003c", "00fc", "infinity"},
        Case{"F32", "0000803f", "0000c07f", "NaN"},
        Case{"F32", "0000803f", "0000807f", "infinity"}})
    for (int bad : {0, 4, 7, 11}) {
      TemporaryFolder folder;
      std::string data;
      for (int i = 0; i < 12; ++i)
        data += fromHex(i == bad ? c.bad : c.good);
      std::string header = std::string(R"({"w":{"dtype":")") + c.type +
                           R"(","shape":[3,4],"data_offsets":[0,)" + std::to_string(data.size()) +
                           "]}}";
      auto checkpoint =
          valueOf(openSafetensors(folder.write("x.safetensors", safetensors(header, data))));
      std::string where = std::string(c.word) + " at element " + std::to_string(bad) + " (row " +
                          std::to_string(bad / 4) + ", column " + std::to_string(bad % 4) + ")";
      EXPECT_THAT(errorOf(checkpoint->readAllAsFloat(*checkpoint->find("w"))),
                  testing::AllOf(HasSubstr("'w'"), HasSubstr(where)));
    }
}

TEST(Safetensors, AcceptsScalarsEmptyTensorsAndNoTensors) {
  EXPECT_EQ(valueOf(parseSafetensorsHeader("{}", 0, "x")).size(), 0u);
  auto tensors =
      valueOf(parseSafetensorsHeader(R"({"s":{"dtype":"F32","shape":[],"data_offsets":[0,4]},)"
                                     R"("e":{"dtype":"F32","shape":[0,9],"data_offsets":[4,4]},)"
                                     R"("t":{"dtype":"U8","shape":[2],"data_offsets":[4,6]}})",
                                     6, "x"));
  ASSERT_EQ(tensors.size(), 3u);
  EXPECT_EQ(tensors[0].elements(), 1);
  EXPECT_EQ(tensors[1].elements(), 0);
}

struct BadHeader {
  const char *header;
  uint64_t dataBytes;
  const char *message;
};

class BadHeaders : public testing::TestWithParam<BadHeader> {};

TEST_P(BadHeaders, AreRefused) {
  EXPECT_THAT(errorOf(parseSafetensorsHeader(GetParam().header, GetParam().dataBytes, "x")),
              HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    Safetensors, BadHeaders,
    testing::Values(
        BadHeader{"", 0, "JSON"}, BadHeader{"[]", 0, "not an object"},
        BadHeader{R"({"a":1})", 0, "not an object"},
        BadHeader{R"({"a":{"dtype":"F4","shape":[1],"data_offsets":[0,4]}})", 4, "dtype 'F4'"},
        BadHeader{R"({"a":{"shape":[1],"data_offsets":[0,4]}})", 4, "dtype ''"},
        BadHeader{R"({"a":{"dtype":"F32","data_offsets":[0,4]}})", 4, "no shape"},
        BadHeader{R"({"a":{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,4]}})", 4,
                  "at most 8"},
        BadHeader{R"({"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", 4, "from 0"},
        BadHeader{R"({"a":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}})", 4, "integer"},
        BadHeader{R"({"a":{"dtype":"F32","shape":["1"],"data_offsets":[0,4]}})", 4, "from 0"},
        BadHeader{R"({"a":{"dtype":"F32","shape":[1152921504606846976,16],"data_offsets":[0,4]}})",
                  4, "64 bits"},
        BadHeader{R"({"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}})",
                  0, "64 bits"},
        BadHeader{R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,8]}})", 8,
                  "has 8 bytes, expected 4"},
        BadHeader{R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,2]}})", 2,
                  "has 2 bytes, expected 4"},
        BadHeader{R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}})", 4, "data_offsets"},
        BadHeader{R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[-4,0]}})", 4, "data_offsets"},
        BadHeader{R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0]}})", 4, "data_offsets"},
        BadHeader{R"({"a":{"dtype":"F32","shape":[1]}})", 4, "data_offsets"},
        BadHeader{R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 3,
                  "the file is cut"},
        BadHeader{R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 5, "the data has 5"},
        BadHeader{R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})", 8, "hole"},
        BadHeader{R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                  R"("b":{"dtype":"F32","shape":[1],"data_offsets":[2,6]}})",
                  6, "overlaps"},
        BadHeader{R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                  R"("b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
                  4, "overlaps"},
        BadHeader{R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                  R"("b":{"dtype":"F32","shape":[1],"data_offsets":[6,10]}})",
                  10, "hole"},
        BadHeader{R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                  R"("a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
                  4, "occurs twice"},
        BadHeader{R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"dtype":"F32"}})", 4,
                  "twice"},
        BadHeader{R"({"__metadata__":{"a":1}})", 0, "metadata"},
        BadHeader{R"({"__metadata__":3})", 0, "not an object"},
        BadHeader{R"({"a":[[[[[[[[[[]]]]]]]]]]})", 0, "nested"}));

TEST(Safetensors, EveryTruncationAndExtensionIsRefused) {
  TemporaryFolder folder;
  std::string bytes = referenceFile();
  for (size_t length = 0; length < bytes.size(); ++length) {
    std::string path = folder.write("x.safetensors", bytes.substr(0, length));
    EXPECT_NE(errorOf(openSafetensors(path)), "") << length;
  }
  EXPECT_NE(errorOf(openSafetensors(folder.write("x.safetensors", bytes + "x"))), "");
}

TEST(Safetensors, FlippedBitsNeverCrash) {
  TemporaryFolder folder;
  std::string bytes = referenceFile();
  for (size_t bit = 0; bit < 152 * 8; ++bit) {
    std::string damaged = bytes;
    damaged[bit / 8] ^= static_cast<char>(1 << (bit % 8));
    auto checkpoint = openSafetensors(folder.write("x.safetensors", damaged));
    if (!checkpoint) {
      llvm::consumeError(checkpoint.takeError());
      continue;
    }
    for (const TensorInfo &tensor : (*checkpoint)->tensors())
      EXPECT_EQ(errorOf((*checkpoint)->contentHash(tensor)), "") << bit;
  }
}

TEST(Safetensors, HeaderLengthsThatLieAreRefused) {
  TemporaryFolder folder;
  for (uint64_t length : {uint64_t{0}, uint64_t{1}, uint64_t{150}, uint64_t{100'000'001},
                          uint64_t{1} << 40, uint64_t{1} << 63, ~uint64_t{0}, ~uint64_t{7}}) {
    std::string bytes = referenceFile();
    std::memcpy(bytes.data(), &length, 8);
    EXPECT_NE(errorOf(openSafetensors(folder.write("x.safetensors", bytes))), "") << length;
  }
}

TEST(Safetensors, AFileThatShrinksIsAnError) {
  TemporaryFolder folder;
  std::string path = folder.write("x.safetensors", referenceFile());
  auto checkpoint = valueOf(openSafetensors(path));
  ASSERT_EQ(::truncate(path.c_str(), 153), 0);
  EXPECT_THAT(errorOf(checkpoint->readAllAsFloat(*checkpoint->find("b"))),
              HasSubstr("became shorter"));
}

constexpr const char *oneTensor = R"({"NAME":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})";

std::string shard(const std::string &name) {
  return safetensors(replaced(oneTensor, "NAME", name), std::string("\0\0\x80\x3f", 4));
}

TEST(Safetensors, ReadsShardsThroughLinks) {
  TemporaryFolder blobs, folder;
  blobs.write("1234", shard("a")); // as the Hugging Face cache lays files out
  std::filesystem::create_symlink(blobs.path("1234"), folder.path("m-1.safetensors"));
  folder.write("m-2.safetensors", shard("b"));
  folder.write(
      "model.safetensors.index.json",
      R"({"metadata":{"total_size":1e99},"weight_map":{"b":"m-2.safetensors","a":"m-1.safetensors"}})");
  auto checkpoint = valueOf(openSafetensors(folder.path()));
  EXPECT_THAT(checkpoint->files(), ElementsAre("m-1.safetensors", "m-2.safetensors"));
  EXPECT_THAT(valueOf(checkpoint->readAllAsFloat(*checkpoint->find("b"))), ElementsAre(1.0f));
  EXPECT_EQ(checkpoint->find("b")->file, 1u);
}

TEST(Safetensors, RefusesBadShards) {
  auto attempt = [](const std::string &map) {
    TemporaryFolder folder;
    folder.write("m-1.safetensors", shard("a"));
    folder.write("m-2.safetensors", shard("b"));
    folder.write("m-3.safetensors", shard("a"));
    std::filesystem::create_directory(folder.path("d.safetensors"));
    ::mkfifo(folder.path("p.safetensors").c_str(), 0600);
    folder.write("model.safetensors.index.json", map);
    return errorOf(openSafetensors(folder.path()));
  };
  EXPECT_EQ(attempt(R"({"weight_map":{"a":"m-1.safetensors"}})"), "");
  for (const char *name :
       {"../m-1.safetensors", "/etc/passwd.safetensors", "x/m-1.safetensors", "..", "",
        ".safetensors", "m-1.bin", "a\\\\b.safetensors", "m\\u0000.safetensors"})
    EXPECT_THAT(attempt(std::string(R"({"weight_map":{"a":")") + name + "\"}}"),
                HasSubstr("not a plain name"))
        << name;
  EXPECT_THAT(attempt(R"({"weight_map":{"a":"m-9.safetensors"}})"), HasSubstr("cannot open"));
  EXPECT_THAT(attempt(R"({"weight_map":{"a":"d.safetensors"}})"), HasSubstr("not a regular file"));
  EXPECT_THAT(attempt(R"({"weight_map":{"a":"p.safetensors"}})"), HasSubstr("not a regular file"));
  EXPECT_THAT(attempt(R"({"weight_map":{"a":"m-1.safetensors","b":"m-1.safetensors"}})"),
              HasSubstr("'b' should be in 'm-1.safetensors'"));
  EXPECT_THAT(attempt(R"({"weight_map":{"a":"m-1.safetensors","b":"m-3.safetensors"}})"),
              HasSubstr("'a' is both in 'm-1.safetensors' and in 'm-3.safetensors'"));
  EXPECT_THAT(attempt(R"({"weight_map":{"b":"m-1.safetensors"}})"), HasSubstr("does not have it"));
  EXPECT_THAT(attempt(R"({"weight_map":{"a":3}})"), HasSubstr("no file name"));
  EXPECT_THAT(attempt(R"({"weight_map":{}})"), HasSubstr("no weight_map"));
  EXPECT_THAT(attempt("{"), HasSubstr("JSON"));
}

TEST(Safetensors, SaysWhatElseIsThere) {
  TemporaryFolder folder;
  EXPECT_THAT(errorOf(openSafetensors(folder.path())), HasSubstr("has neither"));
  folder.write("model-Q4_0.gguf", "");
  EXPECT_THAT(errorOf(openSafetensors(folder.path())), HasSubstr("GGUF"));
  EXPECT_THAT(errorOf(openSafetensors(folder.path("none"))), HasSubstr("cannot open"));
}

TEST(Safetensors, HashesContentNotPlace) {
  TemporaryFolder folder;
  auto first = valueOf(openSafetensors(folder.write("1.safetensors", shard("a"))));
  auto second = valueOf(openSafetensors(folder.write("2.safetensors", shard("other"))));
  std::string changed = shard("a");
  changed.back() ^= 1;
  auto third = valueOf(openSafetensors(folder.write("3.safetensors", changed)));
  std::string hash = valueOf(first->contentHash(first->tensors()[0]));
  EXPECT_EQ(hash.size(), 32u);
  EXPECT_EQ(hash, valueOf(second->contentHash(second->tensors()[0])));
  EXPECT_NE(hash, valueOf(third->contentHash(third->tensors()[0])));
}

TEST(Safetensors, ReadsFromManyThreads) {
  auto checkpoint = valueOf(openSafetensors(dataPath("gemma4-tiny")));
  const TensorInfo *table = checkpoint->find("model.language_model.embed_tokens_per_layer.weight");
  ASSERT_TRUE(table);
  std::vector<float> all = valueOf(checkpoint->readAllAsFloat(*table));
  std::vector<int> wrong(4);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      std::vector<float> row(512);
      for (int64_t r = t; r < 4096; r += 4) {
        llvm::Error error = checkpoint->readRowsAsFloat(*table, r, 1, row);
        wrong[t] +=
            static_cast<bool>(error) || std::memcmp(row.data(), all.data() + r * 512, 2048) != 0;
        llvm::consumeError(std::move(error));
      }
    });
  for (std::thread &thread : threads)
    thread.join();
  EXPECT_THAT(wrong, ElementsAre(0, 0, 0, 0));
}

} // namespace
} // namespace gcompile
