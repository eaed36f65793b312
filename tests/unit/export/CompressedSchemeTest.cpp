// Which scheme of compressed-tensors a planned format becomes, and the configuration of a mix.
#include "compiler/Export/CompressedScheme.h"

#include "llvm/Support/raw_ostream.h"

#include <gmock/gmock.h>

using namespace gcompile;
using testing::ElementsAre;

namespace {

TEST(CompressedScheme, NearestToThePlan) {
  using enum CompressedScheme;
  auto of = [](WeightFormat planned, int64_t columns,
               std::optional<WeightFormat> native = std::nullopt) {
    return schemeFor(planned, native, columns);
  };
  EXPECT_EQ(of(WeightFormat::W4, 256), Int4Channel);
  EXPECT_EQ(of(WeightFormat::W4G32, 256), Int4Group32);
  EXPECT_EQ(of(WeightFormat::W4G128, 256), Int4Group128);
  EXPECT_EQ(of(WeightFormat::W4G128, 192), Int4Group32);
  EXPECT_EQ(of(WeightFormat::W4G32, 40), Int8Channel); // groups have to divide rows
  EXPECT_EQ(of(WeightFormat::W2, 256), Int4Group32);
  EXPECT_EQ(of(WeightFormat::W2, 256, WeightFormat::W2), Int4Channel);
  EXPECT_EQ(of(WeightFormat::Q4K, 256), Int4Group32);
  EXPECT_EQ(of(WeightFormat::NF4, 64), Int4Group32);
  EXPECT_EQ(of(WeightFormat::W8, 40), Int8Channel);
  EXPECT_EQ(of(WeightFormat::Q6K, 256), Int8Channel);
  EXPECT_EQ(of(WeightFormat::W8G32, 256), Int8Group32);
  EXPECT_EQ(of(WeightFormat::BF16, 256), Plain);
  EXPECT_TRUE(hasSameGrid(Int4Group32, WeightFormat::W4G32));
  EXPECT_FALSE(hasSameGrid(Int4Group32, WeightFormat::Q4K));
}

TEST(CompressedScheme, KeepsCodesOfGridsThatItHolds) {
  using enum CompressedScheme;
  EXPECT_TRUE(keepsCodes(Int4Channel, WeightFormat::W4));
  EXPECT_TRUE(keepsCodes(Int4Channel, WeightFormat::W2));
  EXPECT_TRUE(keepsCodes(Int4Group32, WeightFormat::W4)); // the row's scale for each group
  EXPECT_TRUE(keepsCodes(Int4Group32, WeightFormat::W4G128));
  EXPECT_TRUE(keepsCodes(Int4Group32, WeightFormat::W2G64));
  EXPECT_TRUE(keepsCodes(Int8Channel, WeightFormat::W4));
  EXPECT_FALSE(keepsCodes(Int4Channel, WeightFormat::W4G32));
  EXPECT_FALSE(keepsCodes(Int4Group128, WeightFormat::W4G32));
  EXPECT_FALSE(keepsCodes(Int4Group32, WeightFormat::W8));
  for (WeightFormat none : {WeightFormat::F32, WeightFormat::BF16, WeightFormat::Q4K,
                            WeightFormat::Q6K, WeightFormat::NF4})
    EXPECT_FALSE(keepsCodes(Int8Group32, none)) << name(none);
}

TEST(CompressedScheme, UnitsAreWhatIsFused) {
  auto text = [](const char *name) {
    std::optional<CompressedUnit> unit = unitOfWeight(name);
    return unit ? unit->modules + " " + std::to_string(unit->layer) : std::string("none");
  };
  EXPECT_EQ(text("layers.3.self_attn.q_proj.weight"), "self_attn\\.(q|k|v)_proj 3");
  EXPECT_EQ(text("layers.3.self_attn.v_proj.weight"), "self_attn\\.(q|k|v)_proj 3");
  EXPECT_EQ(text("layers.12.mlp.up_proj.weight"), "mlp\\.(gate|up)_proj 12");
  EXPECT_EQ(text("layers.0.mlp.down_proj.weight"), "mlp\\.down_proj 0");
  EXPECT_EQ(text("layers.0.per_layer_input_gate.weight"), "per_layer_input_gate 0");
  EXPECT_EQ(text("layers.4.experts.gate_up_proj"), text("layers.4.experts.down_proj"));
  EXPECT_EQ(text("layers.4.experts.down_proj"), "experts\\.\\d+\\.(gate|up|down)_proj 4");
  EXPECT_EQ(text("per_layer_model_projection.weight"), "per_layer_model_projection -1");
  for (const char *other : {"embed_tokens.weight", "layers.0.input_layernorm.weight", "norm.weight",
                            "layers.x.mlp.down_proj.weight", "layers.0.self_attn.q_proj",
                            "layers.0.router.proj.weight"})
    EXPECT_EQ(text(other), "none") << other;
}

std::string textOf(const llvm::json::Value *value) {
  std::string text;
  if (value)
    llvm::raw_string_ostream(text) << *value;
  return text;
}

TEST(CompressedScheme, OneSchemeTargetsTheClass) {
  llvm::json::Object config =
      quantizationConfig({{{"mlp\\.down_proj", 0}, CompressedScheme::Int4Group32},
                          {{"per_layer_model_projection", -1}, CompressedScheme::Plain}});
  EXPECT_EQ(config.getString("format"), "pack-quantized");
  const llvm::json::Object &group = *config.getObject("config_groups")->getObject("group_0");
  EXPECT_EQ(textOf(group.get("targets")), R"(["Linear"])");
  EXPECT_EQ(
      textOf(group.get("weights")),
      R"({"dynamic":false,"group_size":32,"num_bits":4,"strategy":"group","symmetric":true,"type":"int"})");
  EXPECT_EQ(textOf(group.get("input_activations")), "null");
  EXPECT_EQ(textOf(&(*config.getArray("ignore"))[0]), R"("re:.*per_layer_model_projection$")");
}

TEST(CompressedScheme, MixedSchemesAreListsOfExpressions) {
  llvm::json::Object config =
      quantizationConfig({{{"mlp\\.down_proj", 0}, CompressedScheme::Int4Channel},
                          {{"mlp\\.down_proj", 2}, CompressedScheme::Int4Channel},
                          {{"mlp\\.down_proj", 1}, CompressedScheme::Int8Channel}});
  EXPECT_EQ(config.getString("format"), "mixed-precision");
  const llvm::json::Object &groups = *config.getObject("config_groups");
  EXPECT_EQ(textOf(groups.getObject("group_0")->get("targets")),
            R"(["re:.*layers\\.(0|2)\\.mlp\\.down_proj$"])");
  const llvm::json::Object &eight = *groups.getObject("group_1");
  EXPECT_EQ(textOf(eight.get("targets")), R"(["re:.*layers\\.(1)\\.mlp\\.down_proj$"])");
  EXPECT_EQ(eight.getString("format"), "int-quantized");
  EXPECT_EQ(eight.getObject("input_activations")->getString("strategy"), "token");
}

} // namespace
