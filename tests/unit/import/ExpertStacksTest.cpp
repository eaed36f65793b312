// Experts that lie apart are the stacks of the model: the same values, codes and scales, whatever
// the file calls them; and what is missing or does not fit is named.
#include "compiler/Import/ExpertStacks.h"
#include "compiler/Import/ImportModel.h"
#include "tests/unit/import/QuantizedFiles.h"

#include <gmock/gmock.h>

#include <optional>
#include <regex>

using testing::HasSubstr;

namespace gcompile {
namespace {

constexpr int64_t experts = 3, hidden = 64, inner = 32;

std::vector<TensorSpec> stacks() {
  return {{TensorRole::ExpertsGateUp, 0, "layers.0.experts.gate_up_proj", {3, 64, 64}},
          {TensorRole::ExpertsDown, 0, "layers.0.experts.down_proj", {3, 64, 32}}};
}

std::string shapeText(std::initializer_list<int64_t> shape) {
  return std::regex_replace(shapeString(shape), std::regex("x"), ",");
}

std::string pattern(size_t bytes, unsigned seed) {
  std::string text;
  for (size_t i = 0; i < bytes; ++i)
    text += char((i * 37 + i / 64 * 11 + seed * 91) & 0xff);
  return text;
}

std::vector<float> scalesOf(size_t count, unsigned seed) {
  std::vector<float> scales;
  for (size_t i = 0; i < count; ++i)
    scales.push_back(float(1 + (i * 7 + seed) % 13) / 16);
  return scales;
}

llvm::Expected<std::unique_ptr<Checkpoint>> joined(const RawTensors &raw,
                                                   const std::string &config) {
  auto checkpoint = raw.open(config, stacks());
  return checkpoint ? joinExperts(std::move(*checkpoint), stacks()) : std::move(checkpoint);
}

std::vector<float> valuesOf(const Checkpoint &checkpoint, const std::string &name) {
  const TensorInfo *tensor = checkpoint.find(name);
  if (!tensor) {
    ADD_FAILURE() << "no " << name;
    return {};
  }
  return valueOf(checkpoint.readAllAsFloat(*tensor));
}

// Codes of one expert's gate, up or down, the same in all forms below.
const char *const kinds[] = {"gate_proj", "up_proj", "down_proj"};
int64_t rowsOf(int kind) { return kind == 2 ? hidden : inner; }
int64_t columnsOf(int kind) { return kind == 2 ? inner : hidden; }
std::string codesOf(int64_t expert, int kind) {
  return pattern(rowsOf(kind) * columnsOf(kind) / 2, expert * 3 + kind);
}

const std::string packed =
    R"({"quant_method":"compressed-tensors","format":"pack-quantized","version":"0.20.0",)"
    R"("config_groups":{"g":{"targets":["Linear"],"weights":{"num_bits":4,"strategy":"group",)"
    R"("group_size":32}}}})";

RawTensors compressed(int64_t missing = -1) {
  RawTensors raw;
  for (int64_t expert = 0; expert < experts; ++expert)
    for (int kind = 0; kind < 3; ++kind) {
      if (expert * 3 + kind == missing)
        continue;
      int64_t rows = rowsOf(kind), columns = columnsOf(kind);
      std::string module =
          "model.layers.0.experts." + std::to_string(expert) + "." + kinds[kind] + ".weight";
      raw.add(module + "_packed", "I32", shapeText({rows, columns / 8}), codesOf(expert, kind))
          .add(module + "_shape", "I64", "2", bytesOf<int64_t>({rows, columns}))
          .add(module + "_scale", "F32", shapeText({rows, columns / 32}),
               bytesOf(scalesOf(rows * columns / 32, expert + kind)));
    }
  return raw;
}

TEST(ExpertStacks, CodesAndScalesAreKept) {
  auto checkpoint = valueOf(joined(compressed(), packed));
  ASSERT_TRUE(checkpoint);
  for (const TensorSpec &spec : stacks()) {
    const TensorInfo *tensor = checkpoint->find("model." + spec.name);
    ASSERT_TRUE(tensor) << spec.name;
    EXPECT_EQ(shapeString(tensor->shape), shapeString(spec.shape));
    // Rows of 32 columns have one scale each: w4 holds them; in rows of 64 there are two.
    EXPECT_EQ(checkpoint->nativeFormat(*tensor),
              spec.role == TensorRole::ExpertsDown ? WeightFormat::W4 : WeightFormat::W4G32);
    expectGridEqualsFloats(*checkpoint, *tensor);
    EXPECT_EQ(checkpoint->contentHash(*tensor)->size(), 32u);
  }
  // Row 1 is expert 1: its gates and below them its ups, each as the module holds them.
  const TensorInfo &tensor = *checkpoint->find("model.layers.0.experts.gate_up_proj");
  GridRows grid;
  ASSERT_EQ(errorOf(checkpoint->readRowsOnGrid(tensor, 1, 1, grid)), "");
  EXPECT_EQ(grid.rows, 2 * inner);
  EXPECT_EQ(grid.columns, hidden);
  for (int kind = 0; kind < 2; ++kind) {
    std::string codes = codesOf(1, kind);
    size_t first = size_t(kind * inner * hidden);
    for (size_t i = 0; i < codes.size(); ++i) {
      ASSERT_EQ(grid.codes[first + 2 * i], (uint8_t(codes[i]) & 15) - 8) << i;
      ASSERT_EQ(grid.codes[first + 2 * i + 1], (uint8_t(codes[i]) >> 4) - 8) << i;
    }
    std::vector<float> scales = scalesOf(inner * 2, 1 + kind);
    EXPECT_TRUE(std::equal(scales.begin(), scales.end(), grid.scales.begin() + kind * inner * 2));
  }
  // Bytes of the decoded floats, across the border of two experts.
  std::vector<float> all = valueOf(checkpoint->readAllAsFloat(tensor)), some(64);
  ASSERT_EQ(errorOf(checkpoint->read(tensor, 4 * (64 * 64 - 32),
                                     {reinterpret_cast<uint8_t *>(some.data()), 256})),
            "");
  EXPECT_TRUE(std::equal(some.begin(), some.end(), all.begin() + 64 * 64 - 32));
}

// MLX: a stack of gates, one of ups, one of downs, with biases; against a module for each expert.
TEST(ExpertStacks, StacksOfMlxEqualSingleExperts) {
  RawTensors apart, stacked;
  for (int kind = 0; kind < 3; ++kind) {
    int64_t rows = rowsOf(kind), columns = columnsOf(kind);
    std::string weights, scales, biases;
    for (int64_t expert = 0; expert < experts; ++expert) {
      std::string module = "layers.0.experts." + std::to_string(expert) + "." + kinds[kind];
      std::string own = codesOf(expert, kind),
                  scale = bytesOf(scalesOf(rows * columns / 32, expert)),
                  bias = bytesOf(scalesOf(rows * columns / 32, 5 + expert));
      apart.add(module + ".weight", "U32", shapeText({rows, columns / 8}), own)
          .add(module + ".scales", "F32", shapeText({rows, columns / 32}), scale)
          .add(module + ".biases", "F32", shapeText({rows, columns / 32}), bias);
      weights += own;
      scales += scale;
      biases += bias;
    }
    std::string module = std::string("layers.0.experts.switch_glu.") + kinds[kind];
    stacked.add(module + ".weight", "U32", shapeText({experts, rows, columns / 8}), weights)
        .add(module + ".scales", "F32", shapeText({experts, rows, columns / 32}), scales)
        .add(module + ".biases", "F32", shapeText({experts, rows, columns / 32}), biases);
  }
  const std::string config = R"({"group_size":32,"bits":4})";
  auto one = valueOf(joined(apart, config)), other = valueOf(joined(stacked, config));
  ASSERT_TRUE(one && other);
  for (const TensorSpec &spec : stacks()) {
    std::vector<float> values = valuesOf(*one, spec.name);
    EXPECT_EQ(values.size(), size_t(spec.elements()));
    EXPECT_EQ(values, valuesOf(*other, spec.name));
    EXPECT_EQ(one->nativeFormat(*one->find(spec.name)), std::nullopt); // biases
  }
}

TEST(ExpertStacks, WhatIsMissingOrDoesNotFitIsNamed) {
  EXPECT_THAT(errorOf(joined(compressed(4), packed)),
              HasSubstr("'model.layers.0.experts.gate_up_proj': matrix 3 of 6 is missing"));
  auto plain = [](const std::string &name, const std::string &shape, size_t values) {
    RawTensors raw;
    raw.add(name, "BF16", shape, std::string(2 * values, '\0'));
    TemporaryFolder folder;
    return errorOf(
        joinExperts(valueOf(openSafetensors(folder.write("x.safetensors", raw.file()))), stacks()));
  };
  EXPECT_THAT(plain("layers.0.experts.3.gate_proj.weight", "32,64", 2048),
              HasSubstr("of expert 3, but the configuration has 3 experts"));
  EXPECT_THAT(plain("layers.0.experts.2.gate_proj.weight", "64,32", 2048),
              HasSubstr("has shape 64x32, expected 32x64"));
  EXPECT_THAT(plain("layers.0.experts.switch_glu.down_proj.weight", "64,32", 2048),
              HasSubstr("has shape 64x32, expected 3x64x32"));
  // No names of experts: passed through.
  for (const char *name :
       {"layers.0.experts.02.gate_proj.weight", "layers.0.experts.x.up_proj.weight",
        "layers.0.experts.0.gate.weight", "layers.7.experts.0.up_proj.weight"})
    EXPECT_EQ(plain(name, "32,64", 2048), "") << name;
}

// A whole micro model, its experts taken apart: the same tensors, byte for byte.
TEST(ExpertStacks, PlainModel) {
  const std::string source = dataPath("conformance/26b-a4b-moe-like");
  ImportedModel whole = valueOf(importModel(source));
  ASSERT_TRUE(whole.checkpoint && whole.tensors);
  for (bool mlx : {false, true}) {
    TemporaryFolder folder;
    RawTensors raw;
    for (const TensorInfo &tensor : whole.checkpoint->tensors()) {
      std::string bytes(tensor.bytes, '\0');
      ASSERT_EQ(errorOf(whole.checkpoint->read(
                    tensor, 0, {reinterpret_cast<uint8_t *>(bytes.data()), bytes.size()})),
                "");
      llvm::StringRef name = tensor.name;
      bool down = name.consume_back(".experts.down_proj");
      if (!down && !name.consume_back(".experts.gate_up_proj")) {
        std::string shape;
        for (int64_t extent : tensor.shape)
          shape += (shape.empty() ? "" : ",") + std::to_string(extent);
        raw.add(tensor.name, "BF16", shape, bytes);
        continue;
      }
      int halves = down ? 1 : 2;
      int64_t rows = tensor.shape[1] / halves, columns = tensor.shape[2];
      size_t size = size_t(2 * rows * columns);
      for (int half = 0; half < halves; ++half) {
        std::string all, kind = kinds[down ? 2 : half];
        for (int64_t expert = 0; expert < tensor.shape[0]; ++expert) {
          std::string own = bytes.substr((expert * halves + half) * size, size);
          all += own;
          if (!mlx)
            raw.add((name + ".experts." + std::to_string(expert) + "." + kind + ".weight").str(),
                    "BF16", shapeText({rows, columns}), own);
        }
        if (mlx)
          raw.add((name + ".experts.switch_glu." + kind + ".weight").str(), "BF16",
                  std::to_string(tensor.shape[0]) + "," + shapeText({rows, columns}), all);
      }
    }
    folder.write("config.json", readBytes(source + "/config.json"));
    folder.write("model.safetensors", raw.file());
    ImportedModel apart = valueOf(importModel(folder.path()));
    ASSERT_TRUE(apart.checkpoint && apart.tensors);
    for (int64_t layer : {0, 1})
      for (TensorRole role : {TensorRole::ExpertsGateUp, TensorRole::ExpertsDown}) {
        const TensorInfo &want = *whole.tensors->find(role, layer),
                         &got = *apart.tensors->find(role, layer);
        EXPECT_EQ(got.type, want.type);
        EXPECT_EQ(got.bytes, want.bytes);
        std::string a(want.bytes, '\1'), b(want.bytes, '\2');
        auto bytes = [](std::string &text) {
          return llvm::MutableArrayRef(reinterpret_cast<uint8_t *>(text.data()), text.size());
        };
        ASSERT_EQ(errorOf(whole.checkpoint->read(want, 0, bytes(a))), "");
        ASSERT_EQ(errorOf(apart.checkpoint->read(got, 0, bytes(b))), "");
        EXPECT_EQ(a, b);
        EXPECT_EQ(valueOf(whole.checkpoint->readAllAsFloat(want)),
                  valueOf(apart.checkpoint->readAllAsFloat(got)));
      }
  }
}

} // namespace
} // namespace gcompile
