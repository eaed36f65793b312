// Memory arithmetic of the five published sizes against figures from outside: parameter counts of
// the reference implementation by component, cache bytes by the shapes' arithmetic, and published
// memory figures that these reproduce. MB = 10^6 bytes, GiB = 2^30.
#include "compiler/Driver/EncoderShapes.h"
#include "compiler/Driver/ModelShape.h"
#include "passes/Cost/DecodeTime.h"
#include "passes/Cost/MemoryModel.h"

#include "llvm/ADT/StringRef.h"

#include <cmath>
#include <gtest/gtest.h>

using namespace gcompile;

namespace {

ModelConfig config(const std::string &name) { return llvm::cantFail(loadPreset(name)); }

// Parameters by component, counted by instantiating the reference implementation without weights.
struct Counts {
  const char *name;
  int64_t embedding, perLayerTable, perLayerModelProjection, perLayerLinears, attention, mlp,
      experts, router, norms, text, visionTower, visionProjector, audioTower, audioProjector, clip,
      all;
};
const Counts published[] = {
    {"gemma-4-E2B", 402653184, 2348810240, 13762560, 27525120, 278396928, 1557135360, 0, 0, 285987,
     4628569379, 167364608, 1179648, 304824608, 2359296, 928, 5104298467},
    {"gemma-4-E4B", 671088640, 2818572288, 27525120, 55050240, 587202560, 3303014400, 0, 0, 560170,
     7463013418, 167364608, 1966080, 304824608, 3932160, 928, 7941101802},
    {"gemma-4-12B", 1006632960, 0, 0, 0, 2406481920, 8493465600, 0, 0, 769840, 11907350320,
     35176704, 14745600, 0, 2457600, 0, 11959730224},
    {"gemma-4-26B-A4B", 738197504, 0, 0, 0, 1110179840, 535265280, 22837985280, 10901760, 612126,
     25233141790, 569550384, 3244032, 0, 0, 0, 25805936206},
    {"gemma-4-31B", 1409286144, 0, 0, 0, 8477736960, 20808990720, 0, 0, 1331516, 30697345340,
     569550384, 6193152, 0, 0, 0, 31273088876}};

struct Sums {
  int64_t embedding = 0, perLayerTable = 0, perLayerModelProjection = 0, perLayerLinears = 0,
          attention = 0, mlp = 0, experts = 0, router = 0, norms = 0;
};

Sums textSums(const ModelShape &shape) {
  Sums sums;
  for (const TensorShape &tensor : shape.tensors) {
    llvm::StringRef role = tensor.role, name = tensor.name;
    int64_t count = tensor.n * tensor.k;
    int64_t &to = role == "embedding"                    ? sums.embedding
                  : role == "per_layer_table"            ? sums.perLayerTable
                  : role == "per_layer_model_projection" ? sums.perLayerModelProjection
                  : role == "per_layer_input_gate" || role == "per_layer_projection"
                      ? sums.perLayerLinears
                  : role == "q" || role == "k" || role == "v" || role == "o" ? sums.attention
                  : role == "gate" || role == "up" || role == "down"         ? sums.mlp
                  : role.starts_with("expert")                               ? sums.experts
                  : name.contains("router.")                                 ? sums.router
                                                                             : sums.norms;
    to += count;
  }
  return sums;
}

int64_t encoderSum(const ModelShape &shape, llvm::StringRef modality, EncoderPart part) {
  int64_t sum = 0;
  for (const EncoderShape &encoder : shape.encoders)
    if (encoder.modality == modality)
      sum += encoderParameters(encoder, part);
  return sum;
}

TEST(MemoryFacts, ParametersByComponentExactly) {
  for (const Counts &wanted : published) {
    ModelShape shape = shapeOf(config(wanted.name));
    Sums sums = textSums(shape);
    EXPECT_EQ(sums.embedding, wanted.embedding) << wanted.name;
    EXPECT_EQ(sums.perLayerTable, wanted.perLayerTable) << wanted.name;
    EXPECT_EQ(sums.perLayerModelProjection, wanted.perLayerModelProjection) << wanted.name;
    EXPECT_EQ(sums.perLayerLinears, wanted.perLayerLinears) << wanted.name;
    EXPECT_EQ(sums.attention, wanted.attention) << wanted.name;
    EXPECT_EQ(sums.mlp, wanted.mlp) << wanted.name;
    EXPECT_EQ(sums.experts, wanted.experts) << wanted.name;
    EXPECT_EQ(sums.router, wanted.router) << wanted.name;
    EXPECT_EQ(sums.norms, wanted.norms) << wanted.name;
    int64_t text = sums.embedding + sums.perLayerTable + sums.perLayerModelProjection +
                   sums.perLayerLinears + sums.attention + sums.mlp + sums.experts + sums.router +
                   sums.norms;
    EXPECT_EQ(text, wanted.text) << wanted.name;
    EXPECT_EQ(countTextParameters(config(wanted.name)), wanted.text) << wanted.name;
    int64_t towers[] = {encoderSum(shape, "vision", EncoderPart::Tower),
                        encoderSum(shape, "vision", EncoderPart::Projector),
                        encoderSum(shape, "audio", EncoderPart::Tower),
                        encoderSum(shape, "audio", EncoderPart::Projector),
                        encoderSum(shape, "vision", EncoderPart::ClipBounds) +
                            encoderSum(shape, "audio", EncoderPart::ClipBounds)};
    EXPECT_EQ(towers[0], wanted.visionTower) << wanted.name;
    EXPECT_EQ(towers[1], wanted.visionProjector) << wanted.name;
    EXPECT_EQ(towers[2], wanted.audioTower) << wanted.name;
    EXPECT_EQ(towers[3], wanted.audioProjector) << wanted.name;
    EXPECT_EQ(towers[4], wanted.clip) << wanted.name;
    EXPECT_EQ(text + towers[0] + towers[1] + towers[2] + towers[3] + towers[4], wanted.all)
        << wanted.name;
  }
}

// 26B-A4B: 8 of 128 experts, "3.8B active": 3,822,530,560, and the 30 layer scalars that this count
// leaves out.
TEST(MemoryFacts, ActiveParametersOfTheExperts) {
  double active = 0;
  for (const TensorShape &tensor : shapeOf(config("gemma-4-26B-A4B")).tensors)
    active += double(tensor.n * tensor.k) * tensor.readFraction;
  EXPECT_EQ(int64_t(std::llround(active)), 3822530560 + 30);
}

struct Cache {
  const char *name;
  int64_t local, global, window, localRow, globalRow; // layers; bf16 bytes a row of K and V
  double mb[4];                                       // published, at 4K 32K 128K 256K
  double mobile[4];                                   // 8 bit local, 4 bit global, codes alone
};
const Cache caches[] = {
    {"gemma-4-E2B", 12, 3, 512, 1024, 2048, {31.5, 207.6, 811.6, 0}, {9.4, 53.5, 204.5, 0}},
    {"gemma-4-E4B", 20, 4, 512, 2048, 4096, {88.1, 557.8, 2168.5, 0}, {27.3, 144.7, 547.4, 0}},
    {"gemma-4-12B",
     40,
     8,
     1024,
     8192,
     2048,
     {402.7, 872.4, 2483.0, 4630.5},
     {184.5, 302.0, 704.6, 1241.5}},
    {"gemma-4-26B-A4B",
     25,
     5,
     1024,
     8192,
     4096,
     {293.6, 880.8, 2894.1, 5578.4},
     {125.8, 272.6, 775.9, 1447.0}},
    {"gemma-4-31B",
     50,
     10,
     1024,
     16384,
     8192,
     {1174.4, 3523.2, 11576.3, 22313.7},
     {503.3, 1090.5, 3103.8, 5788.1}}};
const int64_t contexts[] = {4096, 32768, 131072, 262144};

TEST(MemoryFacts, CacheBytesExactly) {
  for (const Cache &cache : caches) {
    ModelShape shape = shapeOf(config(cache.name));
    for (int c = 0; c < 4; ++c) {
      if (cache.mb[c] == 0)
        continue;
      ProgramShape program;
      program.context = contexts[c];
      program.derivedKeys = false; // as published
      auto bytes = [&](KvScope scope, KvFormat format) {
        return kvBytes(shape, program, scope, format, format);
      };
      KvBytes local = bytes(KvScope::Local, KvFormat::F16);
      KvBytes global = bytes(KvScope::Global, KvFormat::F16);
      EXPECT_EQ(local.layers, cache.local) << cache.name;
      EXPECT_EQ(global.layers, cache.global) << cache.name;
      EXPECT_EQ(local.window, cache.local * cache.window * cache.localRow) << cache.name;
      EXPECT_EQ(global.window, cache.global * contexts[c] * cache.globalRow) << cache.name;
      EXPECT_EQ(global.surplus, 0) << cache.name;
      EXPECT_NEAR(double(local.window + global.window) / 1e6, cache.mb[c], 0.051) << cache.name;
      // The mobile scheme, whose published figure leaves out scales: one f32 for each K and each V
      // of a position and head.
      int64_t heads = bytes(KvScope::Local, KvFormat::Kv8).heads;
      int64_t scales = cache.local * cache.window * heads * 8 +
                       cache.global * contexts[c] * bytes(KvScope::Global, KvFormat::Kv4).heads * 8;
      int64_t mobile = bytes(KvScope::Local, KvFormat::Kv8).window +
                       bytes(KvScope::Global, KvFormat::Kv4).window;
      EXPECT_NEAR(double(mobile - scales) / 1e6, cache.mobile[c], 0.051) << cache.name;
    }
  }
}

// Where the key is the value (12B, 26B-A4B, 31B, global layers), caching V alone halves the global
// part, in every format; elsewhere nothing changes.
TEST(MemoryFacts, ValueOnlyCachesHalveTheGlobalPart) {
  for (const Cache &cache : caches) {
    ModelShape shape = shapeOf(config(cache.name));
    bool derives = cache.window == 1024;
    ProgramShape both, derived;
    both.context = derived.context = 32768;
    both.derivedKeys = false;
    for (KvFormat format : {KvFormat::F32, KvFormat::F16, KvFormat::Kv8, KvFormat::Kv4}) {
      KvBytes whole = kvBytes(shape, both, KvScope::Global, format, format);
      KvBytes half = kvBytes(shape, derived, KvScope::Global, format, format);
      EXPECT_EQ(half.window * (derives ? 2 : 1), whole.window) << cache.name;
      EXPECT_EQ(half.derivedLayers, derives ? cache.global : 0) << cache.name;
      EXPECT_EQ(whole.derivedLayers, 0);
      KvBytes local = kvBytes(shape, derived, KvScope::Local, format, format);
      EXPECT_EQ(local.window, kvBytes(shape, both, KvScope::Local, format, format).window);
      // 64 of 256 pairs turn: a cosine and a sine of each, once for all layers.
      EXPECT_EQ(keyRotationBytes(shape, derived), derives ? 32768 * 512 : 0) << cache.name;
      EXPECT_EQ(keyRotationBytes(shape, both), 0);
      EXPECT_EQ(kvBytesPerPosition(shape, true, format, format, true) * (derives ? 2 : 1),
                kvBytesPerPosition(shape, true, format, format, false))
          << cache.name;
    }
    // K and V of different formats: what is left is V's.
    if (derives) {
      KvBytes mixed = kvBytes(shape, derived, KvScope::Global, KvFormat::F32, KvFormat::F16);
      EXPECT_EQ(mixed.window, cache.global * 32768 * cache.globalRow / 2) << cache.name;
    }
  }
}

// "11.4 / 26.7 / 57.7 / 69.9 GB" in the published table: all parameters in bf16 and a fifth more,
// in GiB. (E4B's 17.9 counts caches that the model has not and is not reproduced.)
TEST(MemoryFacts, PublishedTableIsParametersAndAFifth) {
  for (auto [name, gib] : {std::pair("gemma-4-E2B", 11.4),
                           {"gemma-4-12B", 26.7},
                           {"gemma-4-26B-A4B", 57.7},
                           {"gemma-4-31B", 69.9}}) {
    ModelShape shape = shapeOf(config(name));
    int64_t all = 0;
    for (const TensorShape &tensor : shape.tensors)
      all += tensor.n * tensor.k;
    for (const EncoderShape &encoder : shape.encoders)
      for (EncoderPart part : {EncoderPart::Tower, EncoderPart::Projector, EncoderPart::ClipBounds})
        all += encoderParameters(encoder, part);
    double scaled = double(all) * 2 * 1.2 / double(int64_t(1) << 30);
    EXPECT_NEAR(scaled, gib, 0.05) << name;
    // SFP8 and Q4_0 of the same table: a half and a quarter.
    EXPECT_NEAR(scaled / 4, gib / 4, 0.02) << name;
  }
}

// The mobile recipe: bits of a tensor, 0 for what stays bf16.
int mobileBits(const TensorShape &tensor, bool e2b) {
  llvm::StringRef role = tensor.role;
  if (role == "embedding")
    return 2;
  if (role == "q" || role == "k" || role == "v" || role == "o")
    return 4;
  if (role == "gate" || role == "up" || role == "down")
    return e2b && tensor.layer >= 15 ? 2 : 4;
  if (role == "per_layer_input_gate" || role == "per_layer_projection")
    return 8;
  return 0;
}

// "0.84 GB" of E2B and "2.2 GB" of E4B, mobile, text alone: every text tensor but the per-layer
// table, the embedding counted again as the head, in GiB. Computed twice: by the recipe's bits and
// scales, and by what the packed layouts of gcompile take.
TEST(MemoryFacts, MobileTextOnlyIsThePublishedFigure) {
  for (auto [name, e2b, gib] :
       {std::tuple("gemma-4-E2B", true, 0.84), {"gemma-4-E4B", false, 2.2}}) {
    double recipe = 0, packed = 0;
    for (const TensorShape &tensor : shapeOf(config(name)).tensors) {
      if (tensor.role == "per_layer_table")
        continue;
      int bits = mobileBits(tensor, e2b);
      double count = double(tensor.n * tensor.k), times = tensor.role == "embedding" ? 2 : 1;
      recipe += times * (bits == 0 ? count * 2 : count * bits / 8 + double(tensor.n) * 4);
      WeightFormat format = bits == 2   ? WeightFormat::W2
                            : bits == 4 ? WeightFormat::W4
                            : bits == 8 ? WeightFormat::W8
                                        : WeightFormat::BF16;
      packed += times * (tensor.role == "norm" ? double(normBytes(tensor.n * tensor.k))
                                               : double(residentBytes(format, tensor.n, tensor.k)));
    }
    double unit = double(int64_t(1) << 30);
    EXPECT_NEAR(recipe / unit, gib, e2b ? 0.006 : 0.05) << name; // published to two digits
    // Nothing in these shapes is padded, so that only norms (f32 for bf16) and corrections differ.
    EXPECT_NEAR(packed, recipe, 0.005 * recipe) << name;
  }
}

// "1.1 GB" of E2B, mobile: with the encoder sections of the LiteRT bundle, 332 MB. By the recipe
// the towers take what the file's budget says: vision 189.1 MB, audio 150.6 MB.
TEST(MemoryFacts, MobileTowersAreThoseOfTheFile) {
  ModelShape shape = shapeOf(config("gemma-4-E2B"));
  for (const EncoderShape &encoder : shape.encoders) {
    bool vision = encoder.modality == "vision";
    double bytes = 0;
    for (const EncoderTensor &tensor : encoder.tensors) {
      llvm::StringRef name = tensor.name;
      double count = double(tensor.n * tensor.k * tensor.count);
      bool plain = !tensor.matrix || tensor.part == EncoderPart::Projector ||
                   name.starts_with("patch_embedder") || name == "output_proj" ||
                   name == "relative_k_proj" || name == "input_proj_linear";
      int bits = vision ? 8 : name == "linear_start" ? 4 : 2;
      // Clip bounds are gone in the mobile file.
      if (tensor.part == EncoderPart::ClipBounds)
        continue;
      // Floats: bf16, of audio and of projectors f32.
      double width = vision && tensor.part == EncoderPart::Tower ? 2 : 4;
      bytes += plain ? count * width : count * bits / 8 + double(tensor.n * tensor.count) * 4;
    }
    EXPECT_NEAR(bytes / 1e6, vision ? 189.1 : 150.6, vision ? 1.5 : 8) << encoder.modality;
  }
}

// Files of the official Q4_0 checkpoints: linears at 18 bytes of 32 weights, both tables at 210 of
// 256, the per-layer model projection in bf16, norms and the router in f32; about 16 MB of
// tokenizer beside it.
TEST(MemoryFacts, OfficialQ4FilesHaveTheirSize) {
  for (auto [name, gb] : {std::pair("gemma-4-E2B", 3.35),
                          {"gemma-4-E4B", 5.15},
                          {"gemma-4-26B-A4B", 14.4},
                          {"gemma-4-31B", 17.7}}) {
    Sums sums = textSums(shapeOf(config(name)));
    double linears = double(sums.perLayerLinears + sums.attention + sums.mlp + sums.experts);
    double bytes = linears * 18 / 32 + double(sums.embedding + sums.perLayerTable) * 210 / 256 +
                   double(sums.perLayerModelProjection) * 2 + double(sums.norms + sums.router) * 4 +
                   16e6;
    EXPECT_NEAR(bytes / 1e9, gb, 0.05) << name;
  }
}

// An image of 280 soft tokens and its two markers; a clip of 30 s.
TEST(MemoryFacts, InputsTakePositionsOfTheContext) {
  ModelShape shape = shapeOf(config("gemma-4-E2B"));
  EXPECT_EQ(encoderPositions(shape.encoders, {"text"}), 0);
  EXPECT_EQ(encoderPositions(shape.encoders, {"text", "vision"}), 282);
  EXPECT_EQ(encoderPositions(shape.encoders, {"text", "vision", "audio"}), 282 + 752);
  EXPECT_EQ(softTokenBytes(shape.encoders, {"text", "vision"}, 1536), 280 * 1536 * 4);
  EXPECT_TRUE(shapeOf(config("gemma-4-31B")).encoders.size() == 1); // no audio
}

} // namespace
