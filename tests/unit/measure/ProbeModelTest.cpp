// Models compiled and run through the runtime's public interface, against the reference
// implementation's own values (tests/data/conformance-f32/E), and weights that are replaced in
// place.
#include "compiler/Measure/ProbeModel.h"
#include "compiler/Measure/Divergence.h"
#include "compiler/Measure/ObserveInputs.h"
#include "compiler/Quantize/RoundTrip.h"
#include "ir/Format/Pack.h"
#include "ir/Format/ReferenceDecode.h"

#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace gcompile;
using testing::HasSubstr;

namespace {

std::vector<float> golden(const Checkpoint &file, llvm::StringRef name) {
  const TensorInfo *tensor = file.find(name);
  EXPECT_NE(tensor, nullptr) << name.str();
  return llvm::cantFail(file.readAllAsFloat(*tensor));
}

class ProbeModelTest : public testing::Test {
protected:
  void SetUp() override {
    std::string folder = GC_TEST_DATA_DIR "/conformance-f32/E";
    model = llvm::cantFail(importModel(folder));
    goldens = llvm::cantFail(openSafetensors(folder + "/golden.safetensors"));
    const TensorInfo *ids = goldens->find("ids");
    std::vector<int64_t> wide(ids->elements());
    llvm::cantFail(goldens->read(
        *ids, 0, {reinterpret_cast<uint8_t *>(wide.data()), wide.size() * sizeof(int64_t)}));
    tokens.assign(wide.begin(), wide.end());
    options.context = 64;
    options.scoreRows = 16;
  }
  std::unique_ptr<ProbeModel> compile(const ModelFormats &formats = {}) {
    return llvm::cantFail(ProbeModel::compile(model, formats, options));
  }
  TokenWindows windows() const { return {{tokens}, 4}; }

  ImportedModel model;
  std::unique_ptr<Checkpoint> goldens;
  std::vector<int32_t> tokens;
  ProbeOptions options;
};

TEST_F(ProbeModelTest, GivesTheReferencesLogits) {
  auto probe = compile();
  std::vector<float> wanted = golden(*goldens, "logits");
  size_t vocabulary = size_t(probe->runner().vocabulary());
  ASSERT_EQ(wanted.size(), vocabulary * tokens.size());
  float worst = 0;
  int64_t rows = 0;
  llvm::cantFail(probe->runner().score(tokens, 5, [&](int64_t position, llvm::ArrayRef<float> row) {
    for (size_t i = 0; i < vocabulary; ++i)
      worst = std::max(worst, std::fabs(row[i] - wanted[size_t(position) * vocabulary + i]));
    ++rows;
    return llvm::Error::success();
  }));
  EXPECT_EQ(rows, int64_t(tokens.size()) - 5);
  EXPECT_LE(worst, 1e-3f);
}

TEST_F(ProbeModelTest, WeightsAreReplacedAndPutBack) {
  auto probe = compile();
  auto reference = llvm::cantFail(ReferenceLogits::record(probe->runner(), windows()));
  auto kl = [&] { return llvm::cantFail(reference->compare(probe->runner())).mean; };
  EXPECT_EQ(kl(), 0);
  for (const char *tensor :
       {"layers.0.mlp.down_proj.weight", "embed_tokens.weight", "embed_tokens_per_layer.weight",
        "per_layer_model_projection.weight"}) {
    llvm::cantFail(probe->setFormat(tensor, WeightFormat::W4));
    double four = kl();
    llvm::cantFail(probe->setFormat(tensor, WeightFormat::W2));
    double two = kl();
    EXPECT_GT(four, 0) << tensor;
    EXPECT_GT(two, 0) << tensor; // random weights: no order between the two
    EXPECT_NE(two, four) << tensor;
    llvm::cantFail(probe->setFormat(tensor, WeightFormat::F32));
    EXPECT_EQ(kl(), 0) << tensor;
  }
  EXPECT_THAT(llvm::toString(probe->setFormat("no.such", WeightFormat::W4)), HasSubstr("no.such"));
  ModelFormats integers;
  integers.weights = WeightFormat::W8;
  EXPECT_THAT(llvm::toString(
                  compile(integers)->setFormat("layers.0.mlp.down_proj.weight", WeightFormat::W4)),
              HasSubstr("held as w8"));
}

// A program compiled for bf16 weights and a float program given the same rounded values agree.
TEST_F(ProbeModelTest, ReplacedWeightsActAsCompiledOnes) {
  auto probe = compile();
  ModelFormats formats;
  formats.weights = WeightFormat::BF16;
  auto compiled = compile(formats);
  auto reference = llvm::cantFail(ReferenceLogits::record(compiled->runner(), windows()));
  for (const TensorSpec &spec : expectedTextTensors(model.config))
    if (isMatrixRole(spec.role))
      llvm::cantFail(probe->setFormat(spec.name, WeightFormat::BF16));
  EXPECT_LT(llvm::cantFail(reference->compare(probe->runner())).mean, 1e-8);
}

// The last input of the head is the reference's last hidden state; the model projection reads the
// embedded tokens.
TEST_F(ProbeModelTest, ObservedInputsAreTheReferences) {
  ObserveOptions observing;
  observing.only = {"embed_tokens.weight", "per_layer_model_projection.weight",
                    "layers.1.mlp.down_proj.weight", "layers.0.self_attn.v_proj.weight"};
  InputMoments moments = llvm::cantFail(observeInputs(model, {tokens}, observing));
  std::vector<float> hidden = golden(*goldens, "hidden");
  size_t width = size_t(model.config.hidden), states = hidden.size() / (tokens.size() * width);
  auto meanSquares = [&](size_t state) {
    std::vector<double> sums(width, 0.0);
    for (size_t t = 0; t < tokens.size(); ++t)
      for (size_t i = 0; i < width; ++i)
        sums[i] += std::pow(hidden[(state * tokens.size() + t) * width + i], 2) / tokens.size();
    return sums;
  };
  for (auto [tensor, state] : {std::pair("embed_tokens.weight", states - 1),
                               std::pair("per_layer_model_projection.weight", size_t(0))}) {
    std::vector<double> wanted = meanSquares(state);
    ASSERT_EQ(moments[tensor].size(), width) << tensor;
    for (size_t i = 0; i < width; ++i)
      EXPECT_NEAR(moments[tensor][i], wanted[i], 1e-3 * (1 + wanted[i])) << tensor << " " << i;
  }
  EXPECT_EQ(moments["layers.1.mlp.down_proj.weight"].size(),
            size_t(model.config.layers[1].intermediate));
  // Layers that read the same input were observed together.
  EXPECT_EQ(moments["layers.0.self_attn.v_proj.weight"],
            moments["layers.0.self_attn.q_proj.weight"]);
}

TEST(RoundTrip, IsWhatPackingAndDecodingGive) {
  constexpr int64_t rows = 3, k = 128;
  std::vector<float> values(rows * k), decoded(k);
  uint32_t state = 1;
  for (float &value : values) {
    state = state * 1664525u + 1013904223u;
    value = float(int32_t(state)) / 2147483648.0f;
  }
  for (const WeightFormatInfo &format : weightFormats()) {
    std::vector<uint8_t> blob(packedBytes(format.format, rows, k));
    packMatrix(format.format, rows, k, values.data(), blob);
    for (int64_t n = 0; n < rows; ++n) {
      roundTripRows(format.format, 1, k, values.data() + n * k, decoded.data());
      for (int64_t i = 0; i < k; ++i)
        EXPECT_FLOAT_EQ(decoded[i], float(decodeElement(format.format, blob.data(), n, i, rows, k)))
            << format.name << " " << n << " " << i;
    }
  }
}

} // namespace
