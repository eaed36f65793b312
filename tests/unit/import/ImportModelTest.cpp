#include "compiler/Import/ImportModel.h"

#include "tests/unit/import/TestFiles.h"

#include <gmock/gmock.h>

#include <filesystem>

using testing::HasSubstr;

namespace gcompile {
namespace {

TEST(ImportModel, ImportsTheTinyModelWhole) {
  ImportedModel model = valueOf(importModel(dataPath("gemma4-tiny")));
  EXPECT_EQ(model.name, "gemma4-tiny");
  EXPECT_EQ(model.config.name, "gemma4-tiny");
  ASSERT_TRUE(model.checkpoint && model.tensors && model.tokenizer);
  EXPECT_EQ(model.turns.present, 1u);
  EXPECT_THAT(model.chatTemplate, HasSubstr("add_generation_prompt"));
  EXPECT_TRUE(model.notes.empty()) << model.notes.front();
  ASSERT_TRUE(model.config.generation);
  EXPECT_EQ(model.tensors->find(TensorRole::Embedding)->rows(), 4096);
}

TEST(ImportModel, AFileAloneNeedsItsConfigBesideIt) {
  ImportedModel model = valueOf(importModel(dataPath("gemma4-tiny/model.safetensors")));
  EXPECT_EQ(model.name, "gemma4-tiny");
  TemporaryFolder folder;
  std::filesystem::copy_file(dataPath("conformance/e2b-like/model.safetensors"),
                             folder.path("x.safetensors"));
  EXPECT_THAT(errorOf(importModel(folder.path("x.safetensors"))), HasSubstr("no config.json"));
}

TEST(ImportModel, WithoutTokenizerThereIsANote) {
  ImportedModel model = valueOf(importModel(dataPath("conformance/e2b-like")));
  EXPECT_FALSE(model.tokenizer);
  EXPECT_EQ(model.turns.present, 0u);
  EXPECT_THAT(model.notes, testing::Contains(HasSubstr("no tokenizer.json")));
  EXPECT_THAT(model.notes, testing::Contains(HasSubstr("no chat template")));
}

TEST(ImportModel, PresetsPlanWithoutWeightsAndCompileWithSyntheticOnes) {
  ImportedModel plan = valueOf(importModel("gemma-4-E2B"));
  EXPECT_EQ(plan.name, "gemma-4-E2B");
  EXPECT_FALSE(plan.checkpoint);
  EXPECT_FALSE(plan.tensors);
  ImportOptions options;
  options.syntheticSeed = 1;
  ImportedModel synthetic = valueOf(importModel("26B-A4B", options));
  ASSERT_TRUE(synthetic.checkpoint && synthetic.tensors);
  EXPECT_EQ(shapeString(synthetic.tensors->find(TensorRole::ExpertsGateUp, 29)->shape),
            "128x1408x2816");
  ImportedModel tiny = valueOf(importModel(dataPath("gemma4-tiny"), options));
  EXPECT_EQ(tiny.checkpoint->files()[0], "synthetic:1");
  EXPECT_TRUE(tiny.tokenizer);
}

TEST(ImportModel, RefusesWhatItCannotRead) {
  EXPECT_THAT(errorOf(importModel("gemma-4-E3B")), HasSubstr("presets are gemma-4-E2B"));
  EXPECT_THAT(errorOf(importModel(dataPath("gemma4-tiny/config.json"))), HasSubstr("not a folder"));
  EXPECT_THAT(errorOf(importModel(dataPath("conformance/mtp-assistant"))), HasSubstr("drafter"));
  TemporaryFolder empty;
  EXPECT_THAT(errorOf(importModel(empty.path())), HasSubstr("no config.json"));
}

TEST(ImportModel, NamesComeFromTheRepositoryInACache) {
  TemporaryFolder folder;
  std::string snapshot = folder.path("models--google--gemma-4-E2B-it/snapshots/0123abc");
  std::filesystem::create_directories(snapshot);
  for (const char *name : {"config.json", "model.safetensors"})
    std::filesystem::create_symlink(dataPath(std::string("conformance/e2b-like/") + name),
                                    snapshot + "/" + name);
  EXPECT_EQ(valueOf(importModel(snapshot)).name, "gemma-4-E2B-it");
}

// The whole way in, with the weights file cut at every structural border.
TEST(ImportModel, TruncatedWeightsAreRefused) {
  TemporaryFolder folder;
  std::filesystem::copy_file(dataPath("conformance/e2b-like/config.json"),
                             folder.path("config.json"));
  std::string bytes = readBytes(dataPath("conformance/e2b-like/model.safetensors"));
  uint64_t header = 0;
  std::memcpy(&header, bytes.data(), 8);
  for (uint64_t length : {uint64_t{0}, uint64_t{7}, uint64_t{8}, uint64_t{9}, 8 + header / 2,
                          8 + header - 1, 8 + header, 8 + header + 1, uint64_t{bytes.size() - 1}}) {
    folder.write("model.safetensors", bytes.substr(0, length));
    EXPECT_NE(errorOf(importModel(folder.path())), "") << length;
  }
  folder.write("model.safetensors", bytes);
  EXPECT_EQ(errorOf(importModel(folder.path())), "");
}

} // namespace
} // namespace gcompile
