// Coded tensors over raw ones: what is passed through, and what makes two of them equal.
#include "compiler/Import/Coded/CodedCheckpoint.h"

#include "tests/unit/import/TestFiles.h"

#include <gmock/gmock.h>

#include <functional>
#include <set>

namespace gcompile {
namespace {

constexpr int64_t rows = 4, columns = 32;

// Codes of 4 bits with a scale a row, and a vector.
std::string rawFile() {
  std::string data;
  for (int i = 0; i < rows * columns / 2; ++i)
    data += char(37 * i);
  std::vector<float> floats = {0.5f, 1, 2, 4, -1, 0, 1};
  data.append(reinterpret_cast<const char *>(floats.data()), floats.size() * sizeof(float));
  return safetensors(R"({"codes":{"dtype":"U8","shape":[4,16],"data_offsets":[0,64]},)"
                     R"("scales":{"dtype":"F32","shape":[4,1],"data_offsets":[64,80]},)"
                     R"("norm":{"dtype":"F32","shape":[3],"data_offsets":[80,92]}})",
                     data);
}

std::shared_ptr<const std::vector<float>> tableWith(float last) {
  std::vector<float> table(16);
  for (int i = 0; i < 16; ++i)
    table[i] = float(i - 8);
  table[15] = last;
  return std::make_shared<const std::vector<float>>(table);
}

class CodedView : public testing::Test {
protected:
  void SetUp() override {
    std::string path = folder.write("raw.safetensors", rawFile());
    view = std::make_unique<CodedCheckpoint>(valueOf(openSafetensors(path)));
  }
  const TensorInfo &raw(const char *name) { return *view->rawTensors().find(name); }
  // Good until the next one is added.
  const TensorInfo &add(const char *name, const std::function<void(CodedTensor &)> &change) {
    CodedTensor tensor;
    tensor.module = name;
    tensor.rows = rows;
    tensor.columns = tensor.groupColumns = columns;
    tensor.bits = 4;
    tensor.codes = &raw("codes");
    tensor.scales.tensor = &raw("scales");
    change(tensor);
    EXPECT_EQ(errorOf(view->addCoded(name, {rows, columns}, tensor)), "");
    return *view->find(name);
  }

  TemporaryFolder folder;
  std::unique_ptr<CodedCheckpoint> view;
};

TEST_F(CodedView, PlainTensorsArePassedThrough) {
  EXPECT_EQ(errorOf(view->addPlain(raw("norm"), "model.norm")), "");
  const TensorInfo &norm = *view->find("model.norm");
  const Checkpoint &inner = view->rawTensors();
  EXPECT_THAT(valueOf(view->readAllAsFloat(norm)), testing::ElementsAre(-1, 0, 1));
  EXPECT_EQ(valueOf(view->contentHash(norm, nullptr)), valueOf(inner.contentHash(raw("norm"))));
  std::vector<HashPiece> pieces;
  view->listHashPieces(norm, pieces);
  ASSERT_EQ(pieces.size(), 1u);
  EXPECT_EQ(pieces[0].checkpoint, &inner);
  EXPECT_EQ(pieces[0].tensor, &raw("norm"));
  EXPECT_EQ(errorOf(view->addPlain(raw("norm"), "other")), "");
  EXPECT_TRUE(valueOf(view->sameContent(*view->find("model.norm"), *view->find("other"))));
}

// Kept rounding errors are found again by these hashes.
TEST_F(CodedView, HashesTellFormsOfTheSameBytesApart) {
  std::vector<std::function<void(CodedTensor &)>> forms = {
      [](CodedTensor &) {},
      [](CodedTensor &t) { t.numbers = CodeNumbers::TwosComplement; },
      [](CodedTensor &t) { t.order = CodeOrder::FlatHighNibble; },
      [](CodedTensor &t) { t.factor = 2; },
      [](CodedTensor &t) {
        t.factor = 2;
        t.divideByFactor = true;
      },
      [](CodedTensor &t) {
        t.numbers = CodeNumbers::Table;
        t.table = tableWith(7);
      },
      [](CodedTensor &t) {
        t.numbers = CodeNumbers::Table;
        t.table = tableWith(7.5f);
      },
  };
  std::set<std::string> hashes;
  for (size_t i = 0; i < forms.size(); ++i)
    hashes.insert(
        valueOf(view->contentHash(add(("t" + std::to_string(i)).c_str(), forms[i]), nullptr)));
  EXPECT_EQ(hashes.size(), forms.size());
  EXPECT_EQ(valueOf(view->contentHash(add("again", forms[0]), nullptr)),
            valueOf(view->contentHash(*view->find("t0"), nullptr)));
}

TEST_F(CodedView, EqualIsWhatHasEqualValues) {
  auto tableOf = [](float last) {
    return [=](CodedTensor &t) {
      t.numbers = CodeNumbers::Table;
      t.table = tableWith(last);
    };
  };
  add("seven", tableOf(7));
  add("same", tableOf(7));
  add("other", tableOf(7.5f));
  add("binary", [](CodedTensor &) {});
  auto same = [&](const char *a, const char *b) {
    return valueOf(view->sameContent(*view->find(a), *view->find(b)));
  };
  EXPECT_TRUE(same("seven", "same"));
  EXPECT_FALSE(same("seven", "other"));
  EXPECT_TRUE(same("seven", "binary")) << "the same values by other means";
}

} // namespace
} // namespace gcompile
