// Importance matrices: the vectors of formats.md 8 in both forms, and what is refused.
#include "compiler/Import/Imatrix.h"

#include "tests/unit/import/GgufFiles.h"
#include "tests/unit/import/TestFiles.h"

#include "llvm/ADT/StringExtras.h"

#include <gmock/gmock.h>

#include <limits>

using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;

namespace gcompile {
namespace {

std::string legacy() {
  return llvm::fromHex("0100000013000000626c6b2e302e6174746e5f712e77656967687402000000040000000000"
                       "0040000080400000c04000000041"
                       "0200000005000000612e747874");
}

TEST(Imatrix, LegacyVector) {
  std::string bytes = legacy();
  ASSERT_EQ(bytes.size(), 64u);
  Imatrix matrix = valueOf(parseLegacyImatrix(bytes, "x.dat"));
  ASSERT_EQ(matrix.entries.size(), 1u);
  EXPECT_THAT(matrix.entries["blk.0.attn_q.weight"].means, ElementsAre(1, 2, 3, 4));
  EXPECT_EQ(matrix.chunks, 2);
  EXPECT_THAT(matrix.datasets, ElementsAre("a.txt"));
  // What comes after the entries is optional.
  EXPECT_EQ(valueOf(parseLegacyImatrix(bytes.substr(0, 51), "x")).chunks, 0);
  EXPECT_EQ(valueOf(parseLegacyImatrix(bytes.substr(0, 55), "x")).chunks, 2);
}

TEST(Imatrix, GgufFixtureOfItsOwnTool) {
  Imatrix matrix = valueOf(readImatrix(dataPath("gguf/imatrix.gguf")));
  ASSERT_EQ(matrix.entries.size(), 2u);
  EXPECT_THAT(matrix.entries["blk.0.attn_q.weight"].means, ElementsAre(1, 2, 3, 4));
  const ImatrixEntry &experts = matrix.entries["blk.0.ffn_down_exps.weight"];
  EXPECT_EQ(experts.matrices, 3);
  EXPECT_THAT(experts.means, ElementsAre(1, 2, 1, 1, .5, 1)); // the second saw nothing
  EXPECT_EQ(matrix.chunks, 2);
  EXPECT_THAT(matrix.datasets, ElementsAre("a.txt"));
}

TEST(Imatrix, FormIsFoundByContent) {
  TemporaryFolder folder;
  EXPECT_EQ(valueOf(readImatrix(folder.write("a.gguf", legacy()))).chunks, 2);
  EXPECT_EQ(valueOf(readImatrix(folder.write("b.dat", readBytes(dataPath("gguf/imatrix.gguf")))))
                .entries.size(),
            2u);
  EXPECT_THAT(errorOf(readImatrix(folder.write("c", "no matrix at all"))),
              HasSubstr("is no importance matrix"));
  EXPECT_THAT(errorOf(readImatrix(dataPath("gguf/micro.gguf"))), HasSubstr("of type 'model'"));
  EXPECT_NE(errorOf(readImatrix(folder.path("none"))), "");
}

TEST(Imatrix, EveryTruncationIsRefused) {
  std::string bytes = legacy();
  for (size_t length = 0; length < bytes.size(); ++length)
    if (length != 51 && length != 55)
      EXPECT_NE(errorOf(parseLegacyImatrix(bytes.substr(0, length), "x")), "") << length;
  EXPECT_NE(errorOf(parseLegacyImatrix(bytes + "x", "x")), "");
  std::string gguf = readBytes(dataPath("gguf/imatrix.gguf"));
  for (size_t length = 0; length + 32 < gguf.size(); ++length)
    EXPECT_NE(errorOf(parseGgufImatrix(gguf.substr(0, length), "x")), "") << length;
}

TEST(Imatrix, BoundsWhatTheFileStates) {
  auto with = [](size_t offset, int32_t value) {
    std::string bytes = legacy();
    return errorOf(parseLegacyImatrix(bytes.replace(offset, 4, rawBytes(value)), "x"));
  };
  for (int32_t bad : {-1, 0, 100001, INT32_MAX, INT32_MIN})
    EXPECT_THAT(with(0, bad), HasSubstr("number of entries")) << bad;
  for (int32_t bad : {-1, 0, 1000, INT32_MAX})
    EXPECT_THAT(with(4, bad), HasSubstr("the name of entry 0")) << bad;
  for (int32_t bad : {-1, 0, 1000, INT32_MAX})
    EXPECT_THAT(with(31, bad), HasSubstr("values")) << bad;
  EXPECT_THAT(with(27, -1), HasSubstr("calls"));
  EXPECT_EQ(with(27, 0), ""); // nothing was seen: all ones
  for (float bad :
       {-1.0f, std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
    std::string bytes = legacy();
    bytes.replace(35, 4, rawBytes(bad));
    EXPECT_THAT(errorOf(parseLegacyImatrix(bytes, "x")), HasSubstr("negative or no finite number"))
        << bad;
  }
  std::string twice = rawBytes(int32_t{2}) + legacy().substr(4, 47) + legacy().substr(4, 47);
  EXPECT_THAT(errorOf(parseLegacyImatrix(twice, "x")), HasSubstr("is there twice"));
}

GgufWriter imatrixFile() {
  GgufWriter writer;
  writer.text("general.type", "imatrix");
  writer.texts("imatrix.datasets", {"a"});
  writer.number("imatrix.chunk_count", 1);
  writer.number("imatrix.chunk_size", 512);
  return writer;
}

TEST(Imatrix, GgufFormIsChecked) {
  auto refusal = [](const GgufWriter &writer) {
    return errorOf(parseGgufImatrix(writer.file(), "x"));
  };
  EXPECT_THAT(refusal(imatrixFile()), HasSubstr("no entries"));
  GgufWriter noKeys;
  noKeys.text("general.type", "imatrix");
  EXPECT_THAT(refusal(noKeys), HasSubstr("imatrix.chunk_count is missing"));
  GgufWriter lonely = imatrixFile();
  lonely.tensor("w.in_sum2", {2}, 0, floatBytes({1, 2}));
  EXPECT_THAT(refusal(lonely), HasSubstr("no counts"));
  GgufWriter other = imatrixFile();
  other.tensor("w", {2}, 0, floatBytes({1, 2}));
  EXPECT_THAT(refusal(other), HasSubstr("neither sums"));
  GgufWriter type = imatrixFile();
  type.tensor("w.in_sum2", {32}, 8, std::string(34, '\0'));
  EXPECT_THAT(refusal(type), HasSubstr("has type Q8_0, expected F32"));
  GgufWriter halves = imatrixFile(); // as many counts, in fewer bytes
  halves.tensor("w.in_sum2", {2, 1}, 0, floatBytes({1, 1}));
  halves.tensor("w.counts", {1, 1}, 1, std::string(2, '\0'));
  EXPECT_THAT(refusal(halves), HasSubstr("'w.counts' has type F16, expected F32"));
  for (float bad : {-1.0f, std::numeric_limits<float>::infinity()}) {
    GgufWriter sum = imatrixFile(), count = imatrixFile();
    sum.tensor("w.in_sum2", {2, 1}, 0, floatBytes({1, bad}));
    sum.tensor("w.counts", {1, 1}, 0, floatBytes({1}));
    EXPECT_THAT(refusal(sum), HasSubstr("negative or no finite number"));
    count.tensor("w.in_sum2", {2, 1}, 0, floatBytes({1, 1}));
    count.tensor("w.counts", {1, 1}, 0, floatBytes({bad}));
    EXPECT_THAT(refusal(count), HasSubstr("negative or no finite number"));
  }
}

TEST(Imatrix, BelongsToItsModel) {
  ModelConfig config = valueOf(loadPreset("E2B"));
  Imatrix matrix;
  matrix.entries["blk.3.attn_q.weight"].means.assign(1536, 2.0);
  matrix.entries["blk.99.attn_q.weight"].means.assign(3, 1.0);
  ImatrixMoments moments = valueOf(momentsOf(matrix, config));
  EXPECT_EQ(moments.byTensor.size(), 1u);
  EXPECT_EQ(moments.byTensor["layers.3.self_attn.q_proj.weight"].size(), 1536u);
  EXPECT_EQ(moments.unknown, 1u);
  matrix.entries["blk.3.attn_q.weight"].means.pop_back();
  EXPECT_THAT(
      errorOf(momentsOf(matrix, config)),
      HasSubstr("has 1535 values for 'blk.3.attn_q.weight', the model's weight wants 1536"));
  matrix.entries.erase("blk.3.attn_q.weight");
  EXPECT_THAT(errorOf(momentsOf(matrix, config)), HasSubstr("no entry for any weight"));
}

TEST(Imatrix, WeighsExpertsByHowOftenTheyWereChosen) {
  ModelConfig config = valueOf(loadPreset("26B-A4B"));
  Imatrix matrix;
  ImatrixEntry &entry = matrix.entries["blk.0.ffn_down_exps.weight"];
  entry.matrices = 128;
  entry.means.assign(128 * 704, 2.0);
  const std::string name = "layers.0.experts.down_proj";
  EXPECT_THAT(valueOf(momentsOf(matrix, config)).byTensor[name], Each(2.0)); // counts not stated
  entry.counts.assign(128, 0.0);
  EXPECT_THAT(valueOf(momentsOf(matrix, config)).byTensor[name], Each(2.0)); // nothing was seen
  entry.counts[0] = 30;
  entry.counts[127] = 10;
  std::vector<double> moments = valueOf(momentsOf(matrix, config)).byTensor[name];
  ASSERT_EQ(moments.size(), size_t(128 * 704));
  EXPECT_EQ(moments[703], 2.0 * 30 * 128 / 40);
  EXPECT_EQ(moments[704], 0);
  EXPECT_EQ(moments.back(), 2.0 * 10 * 128 / 40);
  entry.means.resize(127 * 704);
  EXPECT_THAT(errorOf(momentsOf(matrix, config)), HasSubstr("made of another model"));
}

} // namespace
} // namespace gcompile
