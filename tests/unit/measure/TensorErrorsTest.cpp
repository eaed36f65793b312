// Rounding errors that are kept are those that a measurement gives, to the bit; a file that is
// damaged, foreign or incomplete is measured again; other content has another identity.
#include "compiler/Measure/TensorErrors.h"
#include "compiler/Driver/ModelShape.h"
#include "compiler/Measure/SensitivityFile.h"
#include "compiler/Support/KeptFile.h"

#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <thread>
#include <unistd.h>

using namespace gcompile;

namespace {

class TensorErrors : public testing::Test {
protected:
  void SetUp() override {
    folder = std::filesystem::temp_directory_path() / ("gc-errors-" + std::to_string(getpid()));
    std::filesystem::remove_all(folder);
    setenv("GCOMPILE_CACHE", folder.c_str(), 1);
    model = llvm::cantFail(importModel(GC_TEST_DATA_DIR "/conformance/e2b-like"));
    shape = shapeOf(model.config);
    options.measuring.jobs = 2;
  }
  void TearDown() override {
    unsetenv("GCOMPILE_CACHE");
    std::filesystem::remove_all(folder);
  }
  QualityModel kept() {
    QualityModel quality(shape);
    llvm::cantFail(keptTensorErrors(model, shape, options, quality));
    return quality;
  }
  std::string file() { return std::filesystem::directory_iterator(folder)->path().string(); }
  std::string content() { return *unsealed(llvm::cantFail(readKeptFile(file(), 1 << 26))); }
  static void expectSame(const QualityModel &a, const QualityModel &b) {
    ASSERT_EQ(a.tensors.size(), b.tensors.size());
    EXPECT_FALSE(a.tensors.empty());
    for (const auto &[name, tensor] : a.tensors)
      EXPECT_EQ(tensor.errors, b.tensors.at(name).errors) << name;
    EXPECT_EQ(a.sourceFormats, b.sourceFormats);
    EXPECT_EQ(a.basis, b.basis);
  }
  std::filesystem::path folder;
  ImportedModel model;
  ModelShape shape;
  KeptErrorOptions options;
};

TEST_F(TensorErrors, AreTheSameBitsFromTheFile) {
  QualityModel measured(shape);
  llvm::cantFail(measureTensorErrors(model, options.measuring, measured));
  expectSame(measured, kept()); // writes
  ASSERT_EQ(std::distance(std::filesystem::directory_iterator(folder), {}), 1);
  auto written = std::filesystem::last_write_time(file());
  expectSame(measured, kept()); // reads
  EXPECT_EQ(std::filesystem::last_write_time(file()), written);
}

TEST_F(TensorErrors, ComeFromTheFileWhileItIsWhole) {
  QualityModel measured = kept();
  // A figure that no measurement gives shows what is used.
  std::string text = content(), from = "error: ";
  size_t at = text.find(from) + from.size();
  std::string changed = text.substr(0, at) + "0.5" + text.substr(text.find('\n', at));
  llvm::cantFail(writeKeptFile(file(), sealed(changed)));
  bool found = false;
  QualityModel fromFile = kept();
  for (const auto &[name, tensor] : fromFile.tensors)
    for (auto [format, error] : tensor.errors)
      found |= error == 0.5;
  EXPECT_TRUE(found);
  options.remeasure = true;
  expectSame(measured, kept());
  options.remeasure = false;
  expectSame(measured, kept()); // the file was replaced
  llvm::cantFail(writeKeptFile(file(), sealed(changed)));
  std::ofstream(file(), std::ios::app) << " "; // damaged
  expectSame(measured, kept());
  // Whole, but without a tensor that is to be measured.
  size_t second = text.find("tensors {", text.find("tensors {") + 1);
  llvm::cantFail(
      writeKeptFile(file(), sealed(text.substr(0, text.find("tensors {")) + text.substr(second))));
  expectSame(measured, kept());
  // Of another model, under this one's name.
  llvm::cantFail(writeKeptFile(file(), sealed("version: 1\nbasis: \"weights\"\nkey: \"0123\"\n" +
                                              text.substr(text.find("tensors {")))));
  expectSame(measured, kept());
}

TEST_F(TensorErrors, DoNotDependOnAFolder) {
  QualityModel measured = kept();
  setenv("GCOMPILE_CACHE", "/proc/no-such-folder", 1);
  expectSame(measured, kept());
}

TEST_F(TensorErrors, AreOfTheSampledContent) {
  std::string identity = llvm::cantFail(errorIdentity(model, options.measuring, false));
  EXPECT_EQ(identity, llvm::cantFail(errorIdentity(model, options.measuring, false)));
  // The same model with one value of one sampled row changed.
  std::filesystem::path copy = folder / "copy";
  std::filesystem::create_directories(folder);
  std::filesystem::copy(GC_TEST_DATA_DIR "/conformance/e2b-like", copy);
  const TensorInfo *tensor = model.tensors->find(TensorRole::Up, 0);
  ASSERT_TRUE(tensor);
  std::fstream weights(copy / model.checkpoint->files()[tensor->file],
                       std::ios::in | std::ios::out | std::ios::binary);
  auto change = [&](uint64_t row) {
    uint64_t at = tensor->offset + row * (tensor->bytes / uint64_t(tensor->rows()));
    char byte = 0;
    weights.seekg(long(at)).get(byte);
    weights.seekp(long(at)).put(char(byte ^ 1));
    weights.flush();
    ImportedModel changed = llvm::cantFail(importModel(copy.string()));
    return llvm::cantFail(errorIdentity(changed, options.measuring, false));
  };
  // The middles of sixteen equal parts are sampled (compiler/Quantize/MeasureError.h).
  uint64_t sampled = uint64_t(tensor->rows()) / 32;
  ASSERT_GT(tensor->rows(), 32);
  EXPECT_EQ(change(sampled + 1), identity) << "a row that no figure depends on";
  EXPECT_NE(change(sampled), identity);
  TensorErrorOptions more = options.measuring;
  more.sampleRows = 8;
  EXPECT_NE(llvm::cantFail(errorIdentity(model, more, false)), identity);
}

TEST_F(TensorErrors, AreKeptByRunsSideBySide) {
  QualityModel measured(shape);
  llvm::cantFail(measureTensorErrors(model, options.measuring, measured));
  std::vector<std::thread> runs;
  for (int i = 0; i < 4; ++i)
    runs.emplace_back([&] {
      for (int j = 0; j < 4; ++j)
        expectSame(measured, kept());
    });
  for (std::thread &run : runs)
    run.join();
}

} // namespace
