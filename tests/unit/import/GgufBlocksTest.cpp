// Decoders of GGUF's block codes against formats.md 5.2 and 5.3 (checked there with llama.cpp and
// gguf-py): CRC of the decoded block, its sum, and six elements.
#include "compiler/Import/Gguf/GgufGrid.h"
#include "compiler/Import/Gguf/GgufTypes.h"

#include "tests/unit/import/TestFiles.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/CRC.h"

#include <cmath>

namespace gcompile {
namespace {

struct Vector {
  const char *type;
  uint32_t crc; // of the little-endian floats, -0 as +0
  double sum;   // as printed there, six digits
  double elements[6];
};

// Elements 0, 1, 2, n/2, n/2 + 1, n - 1.
const Vector vectors[] = {
    {"Q4_0", 0x57e11811, -1.3125, {-.1875, .125, .4375, -.1875, -.0625, 0}},
    {"Q4_1", 0x2ae8e343, 14.3125, {.90625, .21875, .53125, .53125, .71875, .71875}},
    {"Q5_0", 0xf46cf463, .9375, {.5625, -.125, .1875, .875, 0, .0625}},
    {"Q5_1", 0x3fa83354, 30.5625, {1.15625, 1.46875, 1.78125, 1.15625, .28125, .28125}},
    {"Q8_0", 0x01e30cd8, -11, {5.3125, 7.625, -6.0625, -5.6875, -3.375, -3}},
    {"IQ4_NL", 0x71438446, -16.0625, {-2.1875, 1.5625, 7.0625, -2.1875, -.625, .0625}},
    {"MXFP4", 0x22b4b7ca, 3.125, {0, .75, -.25, .375, .75, .75}},
    {"NVFP4", 0xfbb0d434, -37.4893, {-6, 2, -.5, -12, 4, .000976562}},
    {"Q1_0", 0x25d8bf43, 0, {.0625, -.0625, .0625, .0625, -.0625, .0625}},
    {"Q2_0", 0x901786e3, 1.875, {0, 0, 0, 0, .125, .0625}},
    {"Q2_K", 0x50a7f8a7, 128.688, {2.0625, 0, .6875, .46875, -.09375, .28125}},
    {"Q3_K", 0xb8cf6441, 59.875, {5.0625, -6.75, 1.6875, .125, 0, 2.625}},
    {"Q4_K", 0xbce984f1, 3402.5, {19.7188, -1.59375, 8.09375, 26.4375, -.375, 3.03125}},
    {"Q5_K", 0xa805b13f, 7263.5, {50.7188, -1.59375, 39.0938, 65.4375, -.375, 6.78125}},
    {"Q6_K", 0x68b250b6, 288.25, {-89.4375, 106, 36.4375, -21.9375, 26, -3.75}},
    {"IQ4_XS", 0xb928e302, -687.812, {4.0625, -.0625, -4.3125, -36.5625, .5625, -1}},
    {"TQ1_0", 0x92e74c5b, -.125, {-.0625, -.0625, -.0625, 0, -.0625, -.0625}},
    {"TQ2_0", 0x7549a1c2, 8.0625, {.125, -.0625, 0, .125, -.0625, -.0625}},
};

// Where scales stand in a block: offset and the two bytes that formats.md 5.1 puts there.
struct ScaleField {
  const char *type;
  size_t offset;
  uint16_t bits;
};
constexpr uint16_t d = 0x2c00, m = 0xa800, dmin = 0x2800;
const ScaleField scaleFields[] = {
    {"Q4_0", 0, d},   {"Q4_1", 0, d},     {"Q4_1", 2, m},   {"Q5_0", 0, d},   {"Q5_1", 0, d},
    {"Q5_1", 2, m},   {"Q8_0", 0, d},     {"IQ4_NL", 0, d}, {"Q1_0", 0, d},   {"Q2_0", 0, d},
    {"Q2_K", 80, d},  {"Q2_K", 82, dmin}, {"Q3_K", 108, d}, {"Q4_K", 0, d},   {"Q4_K", 2, dmin},
    {"Q5_K", 0, d},   {"Q5_K", 2, dmin},  {"Q6_K", 208, d}, {"IQ4_XS", 0, d}, {"TQ1_0", 52, d},
    {"TQ2_0", 64, d},
};

// Byte i is 37 i + 11, then the scales are put in.
std::vector<uint8_t> block(const GgufType &type) {
  std::vector<uint8_t> bytes(type.blockBytes);
  for (size_t i = 0; i < bytes.size(); ++i)
    bytes[i] = static_cast<uint8_t>(37 * i + 11);
  for (const ScaleField &field : scaleFields)
    if (type.name == field.type)
      std::memcpy(&bytes[field.offset], &field.bits, 2);
  if (type.name == "MXFP4")
    bytes[0] = 0x7d;
  if (type.name == "NVFP4")
    std::memcpy(bytes.data(), "\x38\x30\x40\x01", 4);
  return bytes;
}

uint32_t crcOf(std::vector<float> values) {
  for (float &value : values)
    value += 0.0f; // -0 becomes +0
  return llvm::crc32({reinterpret_cast<const uint8_t *>(values.data()), values.size() * 4});
}

TEST(GgufBlocks, DecodeAsTheReferencesDo) {
  for (const Vector &vector : vectors) {
    const GgufType *type = findGgufType(llvm::StringRef(vector.type));
    ASSERT_TRUE(type) << vector.type;
    std::vector<uint8_t> bytes = block(*type);
    size_t n = type->blockValues;
    // Two blocks: the second one has to come out alike.
    bytes.insert(bytes.end(), bytes.begin(), bytes.begin() + type->blockBytes);
    std::vector<float> values(2 * n);
    EXPECT_EQ(type->decode(bytes.data(), 2, values.data()), 2u) << vector.type;
    std::vector<float> first(values.begin(), values.begin() + n),
        second(values.begin() + n, values.end());
    EXPECT_EQ(crcOf(first), vector.crc) << vector.type;
    EXPECT_EQ(crcOf(second), vector.crc) << vector.type;
    double sum = 0;
    for (float value : first)
      sum += value;
    EXPECT_NEAR(sum, vector.sum, 5e-6 * std::max(1.0, std::fabs(vector.sum))) << vector.type;
    size_t indices[6] = {0, 1, 2, n / 2, n / 2 + 1, n - 1};
    for (int i = 0; i < 6; ++i)
      EXPECT_NEAR(first[indices[i]], vector.elements[i],
                  5e-6 * std::max(1.0, std::fabs(vector.elements[i])))
          << vector.type << " element " << indices[i];
  }
}

// The blocks of formats.md 5.2 as printed there, so that the rule that makes them is checked too.
TEST(GgufBlocks, AreMadeAsWritten) {
  auto hex = [](const char *type) {
    return llvm::toHex(block(*findGgufType(llvm::StringRef(type))), true);
  };
  EXPECT_EQ(hex("Q4_1"), "002c00a89fc4e90e33587da2c7ec11365b80a5ca");
  EXPECT_EQ(hex("MXFP4"), "7d30557a9fc4e90e33587da2c7ec11365b");
  EXPECT_EQ(hex("NVFP4"),
            "383040019fc4e90e33587da2c7ec11365b80a5caef14395e83a8cdf2173c6186abd0f51a");
  EXPECT_EQ(hex("Q2_0"), "002c557a9fc4e90e33587da2c7ec11365b80");
}

TEST(GgufBlocks, TableHasTheSizesOfTheFormat) {
  EXPECT_EQ(std::size(vectors) + 3, llvm::count_if(ggufTypes(), [](const GgufType &type) {
              return type.decode != nullptr;
            })); // and F32, F16, BF16
  for (const GgufType &type : ggufTypes()) {
    EXPECT_EQ(findGgufType(type.id), &type);
    EXPECT_EQ(findGgufType(type.name), &type);
  }
  EXPECT_EQ(findGgufType(14)->blockBytes, 210u);
}

TEST(GgufBlocks, PlainNumbers) {
  const uint8_t halves[] = {0x00, 0x2c, 0x00, 0xa8, 0x01, 0x00};
  float values[3];
  EXPECT_EQ(findGgufType("F16")->decode(halves, 3, values), 3u);
  EXPECT_EQ(values[0], 0.0625f);
  EXPECT_EQ(values[1], -0.03125f);
  EXPECT_EQ(values[2], 5.9604645e-08f);
  const uint8_t brains[] = {0x80, 0x3f, 0x20, 0xc0};
  EXPECT_EQ(findGgufType("BF16")->decode(brains, 2, values), 2u);
  EXPECT_EQ(values[1], -2.5f);
}

// A subnormal power of two as scale, and the largest.
TEST(GgufBlocks, PowersOfTwoAtTheEnds) {
  std::vector<uint8_t> bytes(17, 0x22); // code 2 is 1.0
  float values[32];
  for (auto [exponent, value] : {std::pair{0, 0x1p-127f}, {1, 0x1p-126f}, {254, 0x1p127f}}) {
    bytes[0] = static_cast<uint8_t>(exponent);
    EXPECT_EQ(findGgufType("MXFP4")->decode(bytes.data(), 1, values), 1u);
    EXPECT_EQ(values[31], value);
  }
}

TEST(GgufBlocks, TellTheBlockWithABadScale) {
  for (const ScaleField &field : scaleFields)
    for (uint16_t bits : {0x7c00, 0xfc00, 0x7e00}) {
      const GgufType *type = findGgufType(llvm::StringRef(field.type));
      std::vector<uint8_t> good = block(*type), bytes;
      for (int i = 0; i < 3; ++i)
        bytes.insert(bytes.end(), good.begin(), good.end());
      std::memcpy(&bytes[type->blockBytes + field.offset], &bits, 2);
      std::vector<float> values(3 * type->blockValues);
      EXPECT_EQ(type->decode(bytes.data(), 3, values.data()), 1u) << field.type << field.offset;
    }
  std::vector<float> values(64);
  std::vector<uint8_t> bytes = block(*findGgufType("MXFP4"));
  bytes[0] = 255;
  EXPECT_EQ(findGgufType("MXFP4")->decode(bytes.data(), 1, values.data()), 0u);
  bytes = block(*findGgufType("NVFP4"));
  bytes[2] = 0x80;
  EXPECT_EQ(findGgufType("NVFP4")->decode(bytes.data(), 1, values.data()), 0u);
}

// Codes and both levels of scales, whether or not there is a weight format for them.
TEST(GgufBlocks, GridsHoldTheSameValues) {
  for (auto [name, scaleRun, subRun] :
       {std::tuple{"Q4_0", 32, 0}, {"Q8_0", 32, 0}, {"Q4_K", 256, 32}, {"Q6_K", 256, 16}}) {
    const GgufType &type = *findGgufType(llvm::StringRef(name));
    int64_t n = type.blockValues;
    std::vector<uint8_t> one = block(type), bytes = one;
    for (size_t i = 0; i < one.size(); ++i) // another block after it
      bytes.push_back(uint8_t(one[i] + 16));
    std::vector<float> values(2 * n);
    ASSERT_EQ(type.decode(bytes.data(), 2, values.data()), 2u) << name;
    GridRows grid = emptyGrid(type, 1, 2 * n);
    ASSERT_EQ(blocksOnGrid(type, bytes.data(), 2, 0, grid), 2u) << name;
    for (int64_t i = 0; i < 2 * n; ++i) {
      double scale = grid.scales[i / scaleRun], min = 0;
      if (subRun)
        scale *= grid.subScales[i / subRun];
      if (!grid.minScales.empty())
        min = double(grid.minScales[i / scaleRun]) * grid.subMins[i / subRun];
      EXPECT_EQ(float(scale * grid.codes[i] - min), values[i]) << name << " " << i;
    }
  }
}

TEST(GgufBlocks, RefusedTypesAreNamed) {
  for (auto [id, text] : {std::pair{16, "IQ2_XXS (16)"},
                          {19, "IQ1_S (19)"},
                          {21, "IQ3_S (21)"},
                          {29, "IQ1_M (29)"},
                          {15, "Q8_K (15)"},
                          {31, "Q4_0_4_4 (31)"},
                          {133, "ik_llama.cpp"},
                          {151, "ik_llama.cpp"},
                          {77, "not known"}}) {
    EXPECT_EQ(findGgufType(id), nullptr);
    EXPECT_NE(ggufTypeFault(id).find(text), std::string::npos) << id;
  }
}

} // namespace
} // namespace gcompile
