// A LiteRT-LM file that litert-lm-builder wrote (tests/scripts/make_litertlm.py): constants decode
// to what ai-edge-litert's interpreter makes of them; and what is wrong in such files is named.
#include "compiler/Import/LiteRt/Litertlm.h"
#include "compiler/Import/ImportModel.h"
#include "compiler/Import/LiteRt/FlatReader.h"
#include "tests/unit/import/QuantizedFiles.h"

#include <gmock/gmock.h>

using testing::AllOf;
using testing::HasSubstr;

namespace gcompile {
namespace {

const std::string path = dataPath("litertlm/micro.litertlm");

FileBytes over(const std::string &bytes) {
  return {bytes.size(), [&bytes](uint64_t offset, llvm::MutableArrayRef<uint8_t> out) {
            EXPECT_LE(offset + out.size(), bytes.size());
            std::memcpy(out.data(), bytes.data() + offset, out.size());
            return llvm::Error::success();
          }};
}

TEST(Litertlm, SectionsAreListed) {
  LitertlmFile file = valueOf(openLitertlm(path));
  EXPECT_EQ(file.header.version[0], 1u);
  EXPECT_EQ(file.header.version[1], 7u);
  ASSERT_EQ(file.header.sections.size(), 3u);
  EXPECT_EQ(file.header.sections[0].model(), "tf_lite_embedder");
  EXPECT_EQ(file.header.sections[1].model(), "tf_lite_prefill_decode");
  EXPECT_EQ(file.header.sections[1].items["backend_constraint"], "cpu");
  EXPECT_EQ(file.header.sections[2].model(), "");
  EXPECT_EQ(sectionTypeName(file.header.sections[2].type), "bytes");
  EXPECT_EQ(file.header.sections[2].end - file.header.sections[2].begin, 5u);
}

TEST(Litertlm, ConstantsAreAsTheInterpreterHasThem) {
  LitertlmFile file = valueOf(openLitertlm(path));
  auto expected = valueOf(openSafetensors(dataPath("litertlm/expected.safetensors")));
  ASSERT_TRUE(file.weights && expected);
  EXPECT_EQ(expected->tensors().size(), 8u);
  std::map<std::string, std::string> kept;
  for (const TensorInfo &want : expected->tensors()) {
    const TensorInfo *tensor = file.weights->find(want.name);
    ASSERT_TRUE(tensor) << want.name;
    EXPECT_EQ(shapeString(tensor->shape), shapeString(want.shape)) << want.name;
    EXPECT_EQ(valueOf(file.weights->readAllAsFloat(*tensor)),
              valueOf(expected->readAllAsFloat(want)))
        << want.name;
    if (auto native = file.weights->nativeFormat(*tensor)) {
      expectGridEqualsFloats(*file.weights, *tensor);
      kept[want.name.substr(want.name.find('/') + 1)] = std::string(name(*native));
    }
  }
  std::map<std::string, std::string> wanted = {{"layer_0/attn/q_einsum/w", "w4"},
                                               {"layer_0/mlp/gating_einsum1/w", "w2"},
                                               {"layer_0/per_layer_embedding_gate/w", "w8"},
                                               {"layer_0/mlp/linear/w", "w4"},
                                               {"decode_softmax/w", "w4g32"},
                                               {"embedding/w", "w4"}};
  EXPECT_EQ(kept, wanted); // not the one with a zero point, which needs nine bits
}

TEST(Litertlm, NamesOfThePublishedGraphs) {
  EXPECT_EQ(litertRole("transformer/layer_3/attn/q_einsum/w"), "query");
  EXPECT_EQ(litertRole("a/attn_vec_einsum/b"), "output");
  EXPECT_EQ(litertRole("a/per_layer_embedding_projection/b"), "per_layer_projection");
  EXPECT_EQ(litertRole("something"), "other");
}

TEST(Litertlm, NoModelIsMadeOfIt) {
  EXPECT_TRUE(isCheckpointFile(path));
  EXPECT_THAT(errorOf(importModel(path)),
              AllOf(HasSubstr("LiteRT-LM"), HasSubstr("norms"), HasSubstr("gcompile inspect")));
}

// The small file of the fuzzer's corpus, each byte of the tables changed, and cut everywhere: an
// error or a file that reads, never a crash or a value that is not finite.
TEST(Litertlm, HostileFiles) {
  std::string bytes = readBytes(std::string(GC_TEST_CORPUS_DIR) + "/litertlm/whole");
  EXPECT_EQ(valueOf(openLitertlm(over(bytes), "x")).tensors.size(), 10u);
  for (size_t length = 0; length < bytes.size(); length += length < 1000 ? 1 : 7) {
    std::string cut = bytes.substr(0, length);
    EXPECT_NE(errorOf(openLitertlm(over(cut), "x")), "") << length;
  }
  size_t opened = 0, refused = 0;
  for (size_t at = 0; at < bytes.size(); at += 3)
    for (uint8_t value : {0, 255}) {
      std::string changed = bytes;
      changed[at] = static_cast<char>(value);
      auto file = openLitertlm(over(changed), "x");
      if (!file) {
        llvm::consumeError(file.takeError());
        ++refused;
        continue;
      }
      ++opened;
      for (const TensorInfo &tensor : file->weights->tensors())
        if (tensor.type == TensorType::F32) {
          auto values = file->weights->readAllAsFloat(tensor);
          if (values)
            EXPECT_TRUE(llvm::all_of(*values, [](float each) { return std::isfinite(each); }));
          else
            llvm::consumeError(values.takeError());
        }
    }
  EXPECT_GT(opened, 100u);
  EXPECT_GT(refused, 100u);
}

// The count of a list lies before its elements, which have to end inside of the buffer too.
TEST(Litertlm, ListsEndInsideOfTheBuffer) {
  auto listOf = [](uint32_t count, size_t elements) {
    std::string bytes(24 + elements, '\0');
    auto put = [&](size_t at, uint32_t value) { std::memcpy(&bytes[at], &value, 4); };
    put(0, 12);          // the root table
    put(4, 6 | 8 << 16); // its fields: bytes of this list, bytes of the table,
    put(8, 4);           // where field 0 lies
    put(12, 8);          // back to them
    put(16, 4);          // field 0: to the list
    put(20, count);
    FlatReader reader(bytes.size(), over(bytes).read, "a buffer");
    uint64_t found = reader.vector(reader.root(), 0, 1).count;
    EXPECT_EQ(found, reader.failed() ? 0 : count);
    return errorOf(reader.takeError());
  };
  EXPECT_EQ(listOf(3, 3), "");
  EXPECT_EQ(listOf(0, 0), "");
  for (uint32_t more = 1; more <= 5; ++more)
    EXPECT_THAT(listOf(3 + more, 3), HasSubstr("beyond the end")) << more;
}

TEST(Litertlm, HeadersThatAreWrongAreNamed) {
  std::string bytes = readBytes(path);
  auto changed = [&](size_t at, std::vector<uint64_t> words) {
    std::string other = bytes;
    std::memcpy(other.data() + at, words.data(), words.size() * 8);
    return errorOf(openLitertlm(over(other), "x"));
  };
  EXPECT_THAT(changed(0, {0}), HasSubstr("no LiteRT-LM file"));
  EXPECT_THAT(changed(8, {2}), HasSubstr("version 2, which is not read"));
  EXPECT_THAT(changed(24, {31}), HasSubstr("the header ends at byte 31"));
  EXPECT_THAT(changed(24, {UINT64_MAX}), HasSubstr("the header ends at byte 18446744073709551615"));
  EXPECT_THAT(changed(24, {40}), HasSubstr("header: "));
  EXPECT_THAT(changed(32, {0xfffffff0}), HasSubstr("leads to byte"));
  std::string section = bytes;
  section.replace(section.find("TFL3"), 4, "NPU!");
  EXPECT_THAT(errorOf(openLitertlm(over(section), "x")),
              AllOf(HasSubstr("section 0 is no tflite model"), HasSubstr("'NPU!'")));
}

} // namespace
} // namespace gcompile
