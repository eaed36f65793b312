// Predicted against measured quality on the bundled trained model: a few plans, from measurements
// that were kept (tests/data/gemma4-tiny-sensitivity.textproto, made by gcompile --calibration on
// eval/calibration.txt). The full comparison is tests/benchmarks/QualityBench.cpp.
#include "compiler/Driver/ModelShape.h"
#include "compiler/Measure/Divergence.h"
#include "compiler/Measure/Sensitivity.h"
#include "compiler/Measure/SensitivityFile.h"

#include "llvm/Support/MemoryBuffer.h"

#include <gtest/gtest.h>

using namespace gcompile;

namespace {

std::string readText(const std::string &path) {
  auto buffer = llvm::MemoryBuffer::getFile(path);
  EXPECT_TRUE(bool(buffer)) << path;
  return buffer ? (*buffer)->getBuffer().str() : "";
}

// The kept file says which key it was kept under; here it stands for whatever was asked.
std::string underKey(std::string text, const SensitivityKey &key) {
  size_t at = text.find("key: \"");
  EXPECT_NE(at, std::string::npos);
  return text.replace(at + 6, 32, key.hash());
}

ModelFormats all(WeightFormat format, KvFormat kv) {
  ModelFormats formats;
  formats.weights = format;
  formats.localKv = formats.globalKv = kv;
  return formats;
}

TEST(Prediction, HoldsForPlansOfThreeSizes) {
  std::string folder = GC_TEST_DATA_DIR "/gemma4-tiny";
  ImportedModel model = llvm::cantFail(importModel(folder));
  ModelShape shape = shapeOf(model.config);
  QualityModel quality(shape);
  SensitivityKey key;
  llvm::Error error = readSensitivity(
      underKey(readText(GC_TEST_DATA_DIR "/gemma4-tiny-sensitivity.textproto"), key), key, shape,
      quality);
  ASSERT_FALSE(bool(error)) << llvm::toString(std::move(error));

  auto probe = llvm::cantFail(ProbeModel::compile(model, {}, {}));
  WindowOptions cut;
  cut.most = 8;
  auto reference = llvm::cantFail(ReferenceLogits::record(
      probe->runner(),
      llvm::cantFail(cutWindows(probe->runner(), readText(folder + "/eval/heldout.txt"), cut))));
  ModelFormats mixed = all(WeightFormat::W4G32, KvFormat::Kv8);
  for (const TensorShape &tensor : shape.tensors)
    if (tensor.role == "gate" || tensor.role == "up")
      mixed.tensors[tensor.name] = WeightFormat::W2G64;
  double lastPredicted = 0, lastMeasured = 0;
  for (const ModelFormats &formats :
       {all(WeightFormat::W8, KvFormat::Kv8), mixed, all(WeightFormat::W2, KvFormat::Kv4)}) {
    QualityEstimate estimate = quality.estimate(damageOf(shape, quality, formats));
    auto compiled = llvm::cantFail(ProbeModel::compile(model, formats, {}));
    Divergence measured = llvm::cantFail(reference->compare(compiled->runner()));
    // The 90 % interval, and two standard errors of so short a text.
    EXPECT_LE(estimate.low, measured.mean + 2 * measured.standardError) << measured.mean;
    EXPECT_GE(estimate.high, measured.mean - 2 * measured.standardError) << measured.mean;
    EXPECT_GT(estimate.kl, lastPredicted);
    EXPECT_GT(measured.mean, lastMeasured);
    lastPredicted = estimate.kl;
    lastMeasured = measured.mean;
  }
}

} // namespace
