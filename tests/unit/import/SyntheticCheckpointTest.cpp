#include "compiler/Import/Gemma4Tensors.h"

#include "tests/unit/import/TestFiles.h"

#include <chrono>
#include <cmath>
#include <iostream>

namespace gcompile {
namespace {

ModelConfig tiny() {
  return valueOf(parseModelConfig(readBytes(dataPath("gemma4-tiny/config.json"))));
}

TEST(SyntheticCheckpoint, IsAModelThatResolves) {
  auto checkpoint = makeSyntheticCheckpoint(tiny(), 7);
  TextTensors tensors = valueOf(resolveTextTensors(*checkpoint, tiny()));
  for (const TensorInfo &tensor : checkpoint->tensors())
    EXPECT_EQ(errorOf(checkpoint->readAllAsFloat(tensor)), "") << tensor.name;
  for (float scalar :
       valueOf(checkpoint->readAllAsFloat(*tensors.find(TensorRole::LayerScalar, 0)))) {
    EXPECT_GE(scalar, 0.5f);
    EXPECT_LE(scalar, 1.0f);
  }
  double sum = 0;
  for (float value : valueOf(checkpoint->readAllAsFloat(*tensors.find(TensorRole::InputNorm, 3))))
    sum += value;
  EXPECT_NEAR(sum / 256, 1.0, 0.05);
}

TEST(SyntheticCheckpoint, BytesAndFloatsAreTheSameWeightsInAnyOrder) {
  auto checkpoint = makeSyntheticCheckpoint(tiny(), 7);
  const TensorInfo *gate = checkpoint->find("model.language_model.layers.1.mlp.gate_proj.weight");
  ASSERT_TRUE(gate);
  std::vector<float> all = valueOf(checkpoint->readAllAsFloat(*gate));
  std::vector<uint8_t> bytes(gate->bytes);
  // Odd pieces, from the end to the start.
  for (int64_t end = bytes.size(); end > 0; end -= 4097) {
    int64_t start = std::max<int64_t>(end - 4097, 0);
    EXPECT_EQ(errorOf(checkpoint->read(
                  *gate, start, llvm::MutableArrayRef<uint8_t>(bytes).slice(start, end - start))),
              "");
  }
  for (size_t i = 0; i < all.size(); ++i) {
    uint32_t bits = (bytes[2 * i] | bytes[2 * i + 1] << 8) << 16;
    ASSERT_EQ(std::bit_cast<float>(bits), all[i]) << i;
  }
  std::vector<float> row(256);
  EXPECT_EQ(errorOf(checkpoint->readRowsAsFloat(*gate, 77, 1, row)), "");
  EXPECT_EQ(row, std::vector<float>(all.begin() + 77 * 256, all.begin() + 78 * 256));
  EXPECT_NE(errorOf(checkpoint->readRowsAsFloat(*gate, 512, 1, row)), "");
}

TEST(SyntheticCheckpoint, DependsOnSeedAndName) {
  auto first = makeSyntheticCheckpoint(tiny(), 7), again = makeSyntheticCheckpoint(tiny(), 7),
       other = makeSyntheticCheckpoint(tiny(), 8);
  const char *gate = "model.language_model.layers.1.mlp.gate_proj.weight";
  const char *up = "model.language_model.layers.1.mlp.up_proj.weight";
  auto values = [](Checkpoint &checkpoint, const char *name) {
    return valueOf(checkpoint.readAllAsFloat(*checkpoint.find(name)));
  };
  EXPECT_EQ(values(*first, gate), values(*again, gate));
  EXPECT_NE(values(*first, gate), values(*other, gate));
  EXPECT_NE(values(*first, gate), values(*first, up));
  EXPECT_EQ(valueOf(first->contentHash(*first->find(gate))),
            valueOf(again->contentHash(*again->find(gate))));
  EXPECT_NE(valueOf(first->contentHash(*first->find(gate))),
            valueOf(other->contentHash(*other->find(gate))));
  EXPECT_NE(valueOf(first->contentHash(*first->find(gate))),
            valueOf(first->contentHash(*first->find(up))));
}

// Values of an independent implementation (Python: XXH64 of the name, SplitMix64, single
// precision). When they change, so must the generator's version, or artifacts of one seed differ
// between versions without a sign.
TEST(SyntheticCheckpoint, ValuesAreTheDocumentedOnes) {
  auto checkpoint = makeSyntheticCheckpoint(tiny(), 3);
  std::vector<float> down = valueOf(checkpoint->readAllAsFloat(
      *checkpoint->find("model.language_model.layers.7.mlp.down_proj.weight")));
  EXPECT_EQ(down[0], 0.0004329681396484375f);
  EXPECT_EQ(down[1], 0.032470703125f);
  EXPECT_EQ(down[1024], 0.01177978515625f);
  EXPECT_EQ(down[262143], 0.05224609375f);
  EXPECT_EQ(
      valueOf(checkpoint->readAllAsFloat(*checkpoint->find("model.language_model.norm.weight")))[5],
      0.9140625f);
}

TEST(SyntheticCheckpoint, MatricesAreBellShapedWithRowsOfDifferentSize) {
  auto checkpoint = makeSyntheticCheckpoint(tiny(), 3);
  const TensorInfo *down = checkpoint->find("model.language_model.layers.7.mlp.down_proj.weight");
  ASSERT_TRUE(down); // [256, 1024]
  std::vector<float> all = valueOf(checkpoint->readAllAsFloat(*down));
  double smallest = 1e9, largest = 0, fourth = 0, second = 0, mean = 0;
  for (int row = 0; row < 256; ++row) {
    double squares = 0;
    for (int column = 0; column < 1024; ++column) {
      double value = all[row * 1024 + column];
      squares += value * value;
      mean += value;
    }
    for (int column = 0; column < 1024; ++column) {
      double normalised = all[row * 1024 + column] / std::sqrt(squares / 1024);
      second += normalised * normalised;
      fourth += std::pow(normalised, 4);
    }
    double deviation = std::sqrt(squares / 1024) * 32; // in units of 1/sqrt(1024)
    smallest = std::min(smallest, deviation);
    largest = std::max(largest, deviation);
  }
  EXPECT_NEAR(mean / all.size(), 0, 2e-3 / 32 * 10);
  EXPECT_GT(smallest, 0.6);
  EXPECT_LT(smallest, 0.8);
  EXPECT_GT(largest, 1.3);
  EXPECT_LT(largest, 1.5);
  // Kurtosis of the sum of four uniforms is 2.7; a normal has 3, a uniform 1.8.
  EXPECT_NEAR(fourth / second, 2.7, 0.1);
}

TEST(SyntheticCheckpoint, FullSizeModelsStreamByRows) {
  ModelConfig config = valueOf(loadPreset("E2B"));
  auto checkpoint = makeSyntheticCheckpoint(config, 1);
  const TensorInfo *table = checkpoint->find("model.language_model.embed_tokens_per_layer.weight");
  ASSERT_TRUE(table);
  EXPECT_EQ(table->bytes, 262144ull * 8960 * 2);
  std::vector<float> rows(8960 * 512);
  auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(errorOf(checkpoint->readRowsAsFloat(*table, 262144 - 512, 512, rows)), "");
  std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  std::cout << "synthetic floats: " << rows.size() * 4 / seconds.count() / 1e6 << " MB/s\n";
  EXPECT_NE(rows.front(), rows.back());
}

} // namespace
} // namespace gcompile
