// Vectors of the formats' own definitions (formats note, sections 9 to 13), decoded through the
// whole reader.
#include "compiler/Import/Coded/SmallFloats.h"
#include "tests/unit/import/QuantizedFiles.h"

#include "llvm/Support/CRC.h"

#include <gmock/gmock.h>

#include <array>
#include <functional>
#include <map>

using testing::ElementsAre;
using testing::HasSubstr;

namespace gcompile {
namespace {

std::vector<float> decode(const RawTensors &raw, const std::string &config,
                          const std::string &name = "x.weight") {
  auto checkpoint = raw.open(config);
  if (!checkpoint) {
    ADD_FAILURE() << llvm::toString(checkpoint.takeError());
    return {};
  }
  const TensorInfo *tensor = (*checkpoint)->find(name);
  if (!tensor) {
    ADD_FAILURE() << "no " << name;
    return {};
  }
  return valueOf((*checkpoint)->readAllAsFloat(*tensor));
}

std::string packConfig(int bits, const std::string &rest, const std::string &version = "0.20.0") {
  return R"({"quant_method":"compressed-tensors","format":"pack-quantized","version":")" + version +
         R"(","config_groups":{"g":{"targets":["Linear"],"weights":{"num_bits":)" +
         std::to_string(bits) + "," + rest + "}}}}";
}

// 12 values lo + (3i mod 2^b) in one row, in both packings.
TEST(CodedForms, CompressedTensorsPacksEveryWidth) {
  struct Case {
    int bits;
    const char *dense, *old;
  } cases[] = {{2, "6c6c6c00", "6c6c6c00"},
               {3, "98c3ab9803000000", "98c3ab180e000000"},
               {4, "3096fc52b81e0000", "3096fc52b81e0000"},
               {5, "6098c49eac78fb00", "6098c41eb2e2ed03"},
               {6, "c06024cc2355d8e685000000", "c060240c8f54611b5e080000"},
               {7, "808121c178482a988d270400", "808121018c87a402988d2704"},
               {8, "000306090c0f1215181b1e21", "000306090c0f1215181b1e21"}};
  for (const Case &one : cases)
    for (bool dense : {true, false}) {
      std::string bytes = fromHex(dense ? one.dense : one.old);
      RawTensors raw;
      raw.add("x.weight_packed", "I32", "1," + std::to_string(bytes.size() / 4), bytes)
          .add("x.weight_shape", "I64", "2", bytesOf<int64_t>({1, 12}))
          .add("x.weight_scale", "F32", "1,1", bytesOf<float>({1}));
      std::vector<float> values =
          decode(raw, packConfig(one.bits, R"("strategy":"channel")", dense ? "0.18.0" : "0.17.0"));
      ASSERT_EQ(values.size(), 12u);
      for (int i = 0; i < 12; ++i)
        EXPECT_EQ(values[i], (3 * i & ((1 << one.bits) - 1)) - (1 << (one.bits - 1)))
            << one.bits << " bits, element " << i << (dense ? "" : ", old");
    }
}

TEST(CodedForms, CompressedTensorsGroupsAndZeroPoints) {
  RawTensors raw;
  raw.add("x.weight_packed", "I32", "2,2", fromHex("1032547698badcfeab89674523010000"))
      .add("x.weight_shape", "I64", "2", bytesOf<int64_t>({2, 16}))
      .add("x.weight_scale", "F32", "2,2", bytesOf<float>({.5f, .5f, 1, 1}));
  std::string rest = R"("strategy":"group","group_size":8)";
  EXPECT_THAT(decode(raw, packConfig(4, rest)),
              ElementsAre(-4, -3.5, -3, -2.5, -2, -1.5, -1, -.5, 0, .5, 1, 1.5, 2, 2.5, 3, 3.5, 3,
                          2, 1, 0, -1, -2, -3, -4, -5, -6, -7, -8, -8, -8, -8, -8));
  raw.add("x.weight_zero_point", "I32", "1,2", fromHex("4800000048000000"));
  std::vector<float> shifted = decode(raw, packConfig(4, rest + R"(,"symmetric":false)"));
  EXPECT_EQ(shifted[0], -4);
  EXPECT_EQ(shifted[16], 7); // zero point -4
  EXPECT_EQ(shifted[31], -4);
}

TEST(CodedForms, Fp8AndNvfp4) {
  RawTensors fp8;
  fp8.add("x.weight", "F8_E4M3", "1,4", fromHex("38fe3008"))
      .add("x.weight_scale", "BF16", "1,1", fromHex("803f"));
  EXPECT_THAT(
      decode(fp8,
             R"({"quant_method":"compressed-tensors","config_groups":{"g":{"targets":["Linear"],)"
             R"("weights":{"num_bits":8,"type":"float","strategy":"channel"}}}})"),
      ElementsAre(1, -448, .5, .015625));
  std::vector<float> values = {0,  .5f, 1,     1.5f, 2,     3,  4,     6,   -.5f, -1, -1.5f,
                               -2, -3,  -4,    -6,   0,     0,  .25f,  .5f, .75f, 1,  1.5f,
                               2,  3,   -.25f, -.5f, -.75f, -1, -1.5f, -2,  -3,   0};
  RawTensors ct;
  ct.add("x.weight_packed", "U8", "1,16", fromHex("10325476a9cbed0f10325476a9cbed0f"))
      .add("x.weight_scale", "F8_E4M3", "1,2", fromHex("4840"))
      .add("x.weight_global_scale", "F32", "1", bytesOf<float>({4}));
  EXPECT_EQ(
      decode(
          ct,
          R"({"quant_method":"compressed-tensors","config_groups":{"g":{"targets":["Linear"],)"
          R"("weights":{"num_bits":4,"type":"float","strategy":"tensor_group","group_size":16}}}})"),
      values);
  RawTensors modelOpt;
  modelOpt.add("x.weight", "U8", "1,16", fromHex("10325476a9cbed0f10325476a9cbed0f"))
      .add("x.weight_scale", "F8_E4M3", "1,2", fromHex("4840"))
      .add("x.weight_scale_2", "F32", "1", bytesOf<float>({.25f}));
  EXPECT_EQ(decode(modelOpt, R"({"quant_method":"modelopt","quant_algo":"NVFP4"})"), values);
  EXPECT_THAT(errorOf(modelOpt.open(R"({"quant_method":"modelopt","quant_algo":"FP8"})")),
              HasSubstr("quant_algo 'FP8'"));
}

TEST(CodedForms, MlxAffine) {
  RawTensors raw;
  raw.add("x.weight", "U32", "1,2", bytesOf<uint32_t>({0x76543210, 0xfedcba98}))
      .add("x.scales", "F32", "1,1", bytesOf<float>({.5f}))
      .add("x.biases", "F32", "1,1", bytesOf<float>({-1}));
  std::vector<float> values = decode(raw, R"({"group_size":16,"bits":4})");
  ASSERT_EQ(values.size(), 16u);
  for (int i = 0; i < 16; ++i)
    EXPECT_EQ(values[i], -1 + .5 * i);
  EXPECT_THAT(errorOf(raw.open(R"({"group_size":16,"bits":8})")), HasSubstr("8 bits in groups"));
}

// q[k, n] = (3k + 5n) mod 2^b, zero points n + 1 mod 2^b, but 1 for 0, 64 x 32, groups of 32, scale
// 1: the first words are the note's, the others follow from the rule.
class Gptq : public testing::TestWithParam<int> {
protected:
  static constexpr int in = 64, out = 32;
  int bits = GetParam(), mask = (1 << bits) - 1;
  int zeroOf(int n) const { return std::max(1, (n + 1) & mask); }
  std::vector<uint32_t> stream(const std::function<int(int)> &code, int count) const {
    std::vector<uint32_t> words(count * bits / 32);
    for (int i = 0; i < count * bits; ++i)
      words[i / 32] |= uint32_t(code(i / bits) >> i % bits & 1) << i % 32;
    return words;
  }
  RawTensors file(int stored) const {
    std::vector<uint32_t> codes(in * bits / 32 * out), zeros;
    for (int n = 0; n < out; ++n) {
      auto column = stream([&](int k) { return 3 * k + 5 * n & mask; }, in);
      for (size_t word = 0; word < column.size(); ++word)
        codes[word * out + n] = column[word];
    }
    for (int group = 0; group < 2; ++group) {
      auto row = stream([&](int n) { return zeroOf(n) + stored; }, out);
      zeros.insert(zeros.end(), row.begin(), row.end());
    }
    RawTensors raw;
    raw.add("x.qweight", "I32", std::to_string(in * bits / 32) + ",32", bytesOf(codes))
        .add("x.qzeros", "I32", "2," + std::to_string(out * bits / 32), bytesOf(zeros))
        .add("x.scales", "F16", "2,32", bytesOf(std::vector<uint16_t>(64, 0x3c00)));
    firstCode = codes[0];
    firstZero = zeros[0];
    return raw;
  }
  mutable uint32_t firstCode = 0, firstZero = 0;
};

TEST_P(Gptq, BothVersions) {
  std::map<int, std::array<uint32_t, 3>> first = {{2, {0x6c6c6c6c, 0x24242424, 0x79797979}},
                                                  {3, {0x98abc398, 0x881ac688, 0xd13f58d1}},
                                                  {4, {0x52fc9630, 0x76543210, 0x87654321}},
                                                  {8, {0x09060300, 0x03020100, 0x04030201}}};
  for (bool v2 : {false, true}) {
    RawTensors raw = file(v2 ? 0 : -1);
    EXPECT_EQ(firstCode, first[bits][0]);
    EXPECT_EQ(firstZero, first[bits][v2 ? 2 : 1]);
    std::vector<float> values = decode(
        raw, R"({"quant_method":"gptq","bits":)" + std::to_string(bits) +
                 R"(,"group_size":32,"checkpoint_format":")" + (v2 ? "gptq_v2" : "gptq") + "\"}");
    ASSERT_EQ(values.size(), size_t(in * out));
    for (int n = 0; n < out; ++n)
      for (int k = 0; k < in; ++k)
        ASSERT_EQ(values[n * in + k], (3 * k + 5 * n & mask) - zeroOf(n)) << n << " " << k;
  }
}

INSTANTIATE_TEST_SUITE_P(Bits, Gptq, testing::Values(2, 3, 4, 8));

TEST(CodedForms, AwqGemm) {
  std::vector<uint32_t> codes;
  const int place[8] = {0, 4, 1, 5, 2, 6, 3, 7};
  for (int k = 0; k < 32; ++k) {
    uint32_t word = 0;
    for (int n = 0; n < 8; ++n)
      word |= uint32_t(3 * k + 5 * n & 15) << 4 * place[n];
    codes.push_back(word);
  }
  EXPECT_EQ(codes[0], 0x39f5e4a0u);
  EXPECT_EQ(codes[1], 0x6c2817d3u);
  std::vector<uint16_t> scales = {0x3800, 0x3a00, 0x3c00, 0x3d00, 0x3e00, 0x3f00, 0x4000, 0x4080};
  RawTensors raw;
  raw.add("x.qweight", "I32", "32,1", bytesOf(codes))
      .add("x.qzeros", "I32", "1,1", bytesOf<uint32_t>({0xb975a864}))
      .add("x.scales", "F16", "1,8", bytesOf(scales));
  std::vector<float> values =
      decode(raw, R"({"quant_method":"awq","bits":4,"group_size":32,"version":"gemm"})");
  ASSERT_EQ(values.size(), 256u);
  EXPECT_THAT(llvm::ArrayRef(values).take_front(4), ElementsAre(-2, -.5, 1, 2.5));
  for (int n = 0; n < 8; ++n)
    for (int k = 0; k < 32; ++k)
      EXPECT_EQ(values[n * 32 + k], ((3 * k + 5 * n & 15) - (n + 4)) * (.5f + .25f * n));
  EXPECT_THAT(errorOf(raw.open(R"({"quant_method":"awq","bits":4,"version":"gemv"})")),
              HasSubstr("'gemv'"));
}

TEST(CodedForms, BitsAndBytesReadsHighNibblesFirst) {
  std::vector<float> map = {-1, -.5f, 0, .25f, .5f, .75f, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
  std::string state = R"({"quant_type":"nf4","blocksize":16,"dtype":"float32","shape":[1,16]})";
  RawTensors raw;
  raw.add("x.weight", "U8", "8,1", fromHex("0123456789abcdef"))
      .add("x.weight.absmax", "F32", "1", bytesOf<float>({2}))
      .add("x.weight.quant_map", "F32", "16", bytesOf(map))
      .add("x.weight.quant_state.bitsandbytes__nf4", "U8", std::to_string(state.size()), state);
  std::vector<float> values = decode(raw, R"({"quant_method":"bitsandbytes"})");
  ASSERT_EQ(values.size(), 16u);
  for (size_t i = 0; i < 16; ++i)
    EXPECT_EQ(values[i], 2 * map[i]);
}

// Scales of activations count where the configuration says that they are static int8 ones.
TEST(CodedForms, StaticActivationsOfCompressedTensors) {
  RawTensors raw;
  raw.add("x.weight", "I8", "1,4", fromHex("01ff7f80"))
      .add("x.weight_scale", "F32", "1,1", bytesOf<float>({.5f}))
      .add("x.input_scale", "F32", "1", bytesOf<float>({.25f}))
      .add("x.output_scale", "F32", "1", bytesOf<float>({2}));
  auto scalesOf = [&](const std::string &activations) {
    auto checkpoint =
        raw.open(R"({"quant_method":"compressed-tensors","format":"int-quantized","config_groups":)"
                 R"({"g":{"targets":["Linear"],"weights":{"num_bits":8,"strategy":"channel"})" +
                 activations + "}}}");
    EXPECT_TRUE(bool(checkpoint)) << activations;
    return checkpoint ? (*checkpoint)->activationScales(*(*checkpoint)->find("x.weight"))
                      : StaticScales();
  };
  std::string int8 = R"({"num_bits":8,"type":"int","symmetric":true,"dynamic":false})";
  StaticScales scales = scalesOf(R"(,"input_activations":)" + int8);
  EXPECT_EQ(scales.input, .25f);
  EXPECT_FALSE(scales.output);
  EXPECT_EQ(scalesOf(R"(,"output_activations":)" + int8).output, 2);
  for (const char *other :
       {"", R"(,"input_activations":{"num_bits":8,"type":"float"})",
        R"(,"input_activations":{"num_bits":8,"type":"int","dynamic":true})",
        R"(,"input_activations":{"num_bits":8,"type":"int","symmetric":false})",
        R"(,"input_activations":{"num_bits":4,"type":"int"})", R"(,"input_activations":null)"})
    EXPECT_FALSE(scalesOf(other).input) << other;
}

// Values and checksum of gemma.cpp's own codec (formats note, section 16).
TEST(CodedForms, SwitchedFloatsOfGemmaCpp) {
  std::pair<uint8_t, float> known[] = {{0x78, 1},    {0xff, -1.875f}, {0x40, 0.0078125f},
                                       {0xf0, -.5f}, {0x7f, 1.875f},  {0x20, 3.0517578125e-05f},
                                       {0x00, 0}};
  for (auto [code, value] : known)
    EXPECT_EQ(floatFromSfp8(code), value) << int(code);
  EXPECT_NEAR(floatFromSfp8(0x5d), .1, .1 / 16);
  EXPECT_NEAR(floatFromSfp8(0x6a), .3, .3 / 16);
  std::vector<float> all;
  for (int code = 0; code < 256; ++code)
    all.push_back(floatFromSfp8(uint8_t(code)) + 0.0f);
  EXPECT_EQ(llvm::crc32(llvm::ArrayRef(reinterpret_cast<const uint8_t *>(all.data()),
                                       all.size() * sizeof(float))),
            0x163900c2u);
}

TEST(CodedForms, MobileCodes) {
  std::string config = R"({"quant_method":"gemma","num_bits":4,"module_quant_configs":)"
                       R"({"^two$":{"num_bits":2},"t[v-x]o":{"num_bits":8}}})";
  RawTensors raw;
  raw.add("x.weight", "U8", "1,8", fromHex("1032547698badcfe"))
      .add("x.weight_scale", "F32", "1,1", bytesOf<float>({1}))
      .add("two.embedding_quantized", "U8", "1,2", fromHex("e41b"))
      .add("two.embedding_scale", "F32", "1,2", bytesOf<float>({.5f, .25f}));
  std::vector<float> four = decode(raw, config);
  ASSERT_EQ(four.size(), 16u);
  for (int i = 0; i < 16; ++i)
    EXPECT_EQ(four[i], i - 8);
  EXPECT_THAT(decode(raw, config, "two.weight"), ElementsAre(-1, -.5, 0, .5, .25, 0, -.25, -.5));
}

TEST(CodedForms, OthersAreRefusedByNameWithASibling) {
  RawTensors raw;
  raw.add("x.weight", "BF16", "1,1", fromHex("803f"));
  for (const char *method : {"torchao", "exl3", "quanto", "hqq", "something-new"})
    EXPECT_THAT(errorOf(raw.open(std::string(R"({"quant_method":")") + method + "\"}")),
                testing::AllOf(HasSubstr(method), HasSubstr("give the GGUF")));
  EXPECT_THAT(errorOf(raw.open(R"({"quant_method":"compressed-tensors","format":"marlin-24"})")),
              HasSubstr("'marlin-24' is not read"));
  EXPECT_THAT(errorOf(raw.open(R"({"quant_method":"gptq","bits":5})")), HasSubstr("planes"));
  EXPECT_THAT(errorOf(raw.open(R"({"quant_method":"gemma"})")),
              HasSubstr("no tensor is quantized so"));
}

} // namespace
} // namespace gcompile
