// What was measured comes back as it went in; whatever else is in such a file is refused and
// changes nothing.
#include "compiler/Measure/SensitivityFile.h"
#include "compiler/Support/KeptFile.h"

#include "llvm/Support/FileSystem.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

using namespace gcompile;
using testing::HasSubstr;

namespace {

ModelShape smallShape() {
  ModelShape shape;
  shape.layers = {{false, true, 1, 64, 128}, {true, true, 1, 64, 128}};
  shape.tensors = {
      {"embed", "embedding", -1, 128, 64}, {"norm", "norm", 0, 1, 64}, {"up", "up", 0, 128, 64}};
  return shape;
}

struct Kept {
  Kept() : quality(shape) {
    key.checkpoint = "0123";
    key.text = "some text";
    key.options = "2 windows";
    quality.basis = QualityBasis::Sensitivities;
    quality.tensors["embed"].errors = {{WeightFormat::W4, 0.0125}, {WeightFormat::W8, 1e-4}};
    quality.tensors["embed"].probes = {{0.0125, 0.25}, {0.15, 1.0 / 3}};
    quality.tensors["embed"].rowActivations = 1e-3;
    quality.tensors["embed"].groupActivations = 1e-4;
    quality.tensors["up"].probes = {{0.01, 0.5}};
    quality.caches = {{{true, KvFormat::Kv8}, 0.002}};
    plans = {{0.1, 0.11}, {0.2, 0.24}, {0.4, 0.52}, {0.8, 1.1}, {1.6, 2.0}};
    text = sensitivityText(quality, key, plans, 510);
  }
  std::string refusal(const std::string &changed) {
    QualityModel loaded(shape);
    llvm::Error error = readSensitivity(changed, key, shape, loaded);
    EXPECT_EQ(loaded.basis, QualityBasis::Prior) << "changed by a file that is refused";
    EXPECT_TRUE(loaded.tensors.empty());
    return llvm::toString(std::move(error));
  }
  std::string with(const std::string &from, const std::string &to) const {
    std::string changed = text;
    size_t at = changed.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return changed.replace(at, from.size(), to);
  }
  ModelShape shape = smallShape();
  SensitivityKey key;
  QualityModel quality;
  std::vector<WholePlan> plans;
  std::string text;
};

TEST(SensitivityFile, ComesBackAsItWentIn) {
  Kept kept;
  QualityModel loaded(kept.shape);
  llvm::Error error = readSensitivity(kept.text, kept.key, kept.shape, loaded);
  ASSERT_FALSE(bool(error)) << llvm::toString(std::move(error));
  EXPECT_EQ(loaded.basis, QualityBasis::Sensitivities);
  EXPECT_EQ(loaded.tensors["embed"].errors, kept.quality.tensors["embed"].errors);
  EXPECT_EQ(loaded.tensors["embed"].probes, kept.quality.tensors["embed"].probes);
  EXPECT_EQ(loaded.tensors["embed"].groupActivations, 1e-4);
  EXPECT_EQ(loaded.caches, kept.quality.caches);
  KlLink link = fitKlLink(kept.plans);
  EXPECT_EQ(loaded.link.slope, link.slope);
  EXPECT_EQ(loaded.link.deviation, link.deviation);
  EXPECT_DOUBLE_EQ(loaded.damage(kept.shape.tensors[0], WeightFormat::W4), 0.25 + 1e-3);
}

TEST(SensitivityFile, RefusesWhatIsNotAboutThisModelAndText) {
  Kept kept;
  SensitivityKey other = kept.key;
  other.text = "another text";
  EXPECT_NE(other.hash(), kept.key.hash());
  QualityModel loaded(kept.shape);
  EXPECT_THAT(llvm::toString(readSensitivity(kept.text, other, kept.shape, loaded)),
              HasSubstr("another model, text or version"));
  EXPECT_THAT(kept.refusal(kept.with("version: 1", "version: 2")), HasSubstr("version 2"));
  EXPECT_THAT(kept.refusal(kept.with("name: \"up\"", "name: \"down\"")), HasSubstr("'down'"));
  EXPECT_THAT(kept.refusal(kept.with("name: \"up\"", "name: \"embed\"")), HasSubstr("twice"));
}

TEST(SensitivityFile, RefusesWhatMakesNoSense) {
  Kept kept;
  EXPECT_THAT(kept.refusal("\x7f"
                           "ELF"),
              HasSubstr("line 1"));
  EXPECT_THAT(kept.refusal(kept.text.substr(0, kept.text.size() / 2)), HasSubstr("cannot be used"));
  EXPECT_THAT(kept.refusal(kept.with("damage: 0.25", "damage: nan")), HasSubstr("'embed'"));
  EXPECT_THAT(kept.refusal(kept.with("damage: 0.25", "damage: -1")), HasSubstr("'embed'"));
  EXPECT_THAT(kept.refusal(kept.with("damage: 0.25", "damage: 1e300")), HasSubstr("'embed'"));
  EXPECT_THAT(kept.refusal(kept.with("error: 0.0125", "error: inf")), HasSubstr("'embed'"));
  EXPECT_THAT(kept.refusal(kept.with("row_activations: 0.001", "row_activations: -0.1")),
              HasSubstr("'embed'"));
  EXPECT_THAT(kept.refusal(kept.with("format: \"w4\"", "format: \"w5\"")), HasSubstr("'embed'"));
  EXPECT_THAT(kept.refusal(kept.with("format: \"kv8\"", "format: \"kv9\"")), HasSubstr("cache"));
  EXPECT_THAT(kept.refusal(kept.with("kl: 0.24", "kl: -inf")), HasSubstr("whole plan"));
  EXPECT_THAT(kept.refusal(std::string(70 << 20, '#')), HasSubstr("64 MiB"));
  // Every prefix and every changed byte is refused or read; nothing else may happen.
  for (size_t i = 0; i < kept.text.size(); i += 7) {
    std::string changed = kept.text;
    changed[i] = char(changed[i] ^ 0x15);
    QualityModel loaded(kept.shape);
    llvm::consumeError(readSensitivity(changed, kept.key, kept.shape, loaded));
    llvm::consumeError(readSensitivity(kept.text.substr(0, i), kept.key, kept.shape, loaded));
  }
}

TEST(SensitivityFile, IsKeptInAFolderThatIsMade) {
  Kept kept;
  std::filesystem::path folder =
      std::filesystem::temp_directory_path() / ("gc-sensitivity-" + std::to_string(getpid()));
  std::string path = sensitivityPath((folder / "new").string(), kept.key);
  EXPECT_THAT(path, HasSubstr(kept.key.hash()));
  ASSERT_FALSE(bool(writeKeptFile(path, sealed(kept.text))));
  QualityModel loaded(kept.shape);
  EXPECT_FALSE(bool(loadSensitivity(path, kept.key, kept.shape, loaded)));
  EXPECT_EQ(loaded.basis, QualityBasis::Sensitivities);
  QualityModel none(kept.shape);
  EXPECT_THAT(llvm::toString(loadSensitivity(folder.string(), kept.key, kept.shape, none)),
              HasSubstr("no file"));
  EXPECT_THAT(llvm::toString(loadSensitivity("/no/such", kept.key, kept.shape, none)),
              HasSubstr("/no/such"));
  std::filesystem::remove_all(folder);
}

} // namespace
