#include "compiler/Export/CompressedScheme.h"

#include "ir/Format/Grid.h"

#include "llvm/ADT/StringExtras.h"

#include <set>
#include <vector>

using namespace llvm;

namespace gcompile {

const CompressedSchemeInfo &info(CompressedScheme scheme) {
  static const CompressedSchemeInfo table[] = {
      {"int4 channel", 4, 0, "pack-quantized", WeightFormat::W4},
      {"int4 group 128", 4, 128, "pack-quantized", WeightFormat::W4G128},
      {"int4 group 32", 4, 32, "pack-quantized", WeightFormat::W4G32},
      {"int8 channel", 8, 0, "int-quantized", WeightFormat::W8},
      {"int8 group 32", 8, 32, "pack-quantized", WeightFormat::W8G32},
      {"plain", 0, 0, "dense", WeightFormat::BF16}};
  return table[size_t(scheme)];
}

CompressedScheme schemeFor(WeightFormat planned, std::optional<WeightFormat> native,
                           int64_t columns) {
  CompressedScheme scheme = CompressedScheme::Plain;
  switch (planned) {
  case WeightFormat::F32:
  case WeightFormat::BF16:
  case WeightFormat::F16:
    return CompressedScheme::Plain;
  case WeightFormat::W4:
    return CompressedScheme::Int4Channel;
  case WeightFormat::W2: // there are no two bits: its codes are kept, or rounding is made finer
    if (native == WeightFormat::W2)
      return CompressedScheme::Int4Channel;
    scheme = CompressedScheme::Int4Group32;
    break;
  case WeightFormat::W4G128:
    scheme = CompressedScheme::Int4Group128;
    break;
  case WeightFormat::W4G32:
  case WeightFormat::W2G64:
  case WeightFormat::Q4K:
  case WeightFormat::NF4:
    scheme = CompressedScheme::Int4Group32;
    break;
  case WeightFormat::W8:
  case WeightFormat::Q6K:
    return CompressedScheme::Int8Channel;
  case WeightFormat::W8G32:
    scheme = CompressedScheme::Int8Group32;
    break;
  }
  // Groups have to divide rows.
  if (scheme == CompressedScheme::Int4Group128 && columns % 128 != 0)
    scheme = CompressedScheme::Int4Group32;
  return columns % 32 == 0 ? scheme : CompressedScheme::Int8Channel;
}

bool keepsCodes(CompressedScheme scheme, WeightFormat native) {
  const CompressedSchemeInfo &to = info(scheme);
  const WeightFormatInfo &from = info(native);
  bool oneScale = from.isInteger && (!from.block || blockLayout(native).subScaleColumns == 0);
  int64_t run = gridRuns(native).scale;
  return oneScale && from.bits <= to.bits && (run == 0 || (to.group && run % to.group == 0));
}

bool hasSameGrid(CompressedScheme scheme, WeightFormat planned) {
  return info(scheme).rounding == planned;
}

std::optional<CompressedUnit> unitOfWeight(StringRef name) {
  // Stacks of experts, which have no ".weight", are written as modules of their own.
  if (!name.consume_back(".weight") && !name.contains(".experts."))
    return std::nullopt;
  CompressedUnit unit;
  if (name.consume_front("layers.")) {
    auto [number, module] = name.split('.');
    if (number.getAsInteger(10, unit.layer) || unit.layer < 0)
      return std::nullopt;
    name = module;
  } else if (name == "per_layer_model_projection") {
    unit.modules = name.str();
    return unit;
  } else {
    return std::nullopt;
  }
  if (name == "self_attn.q_proj" || name == "self_attn.k_proj" || name == "self_attn.v_proj")
    unit.modules = "self_attn\\.(q|k|v)_proj";
  else if (name == "mlp.gate_proj" || name == "mlp.up_proj")
    unit.modules = "mlp\\.(gate|up)_proj";
  else if (name == "self_attn.o_proj" || name == "mlp.down_proj")
    unit.modules = name.str().insert(name.find('.'), "\\");
  else if (name == "experts.gate_up_proj" || name == "experts.down_proj")
    unit.modules = "experts\\.\\d+\\.(gate|up|down)_proj"; // one kernel runs all of them
  else if (name == "per_layer_input_gate" || name == "per_layer_projection")
    unit.modules = name.str();
  else
    return std::nullopt;
  return unit;
}

// Expressions hold whatever prefix a program gives its modules.
static json::Array patternsOf(const std::map<CompressedUnit, CompressedScheme> &units,
                              CompressedScheme scheme) {
  std::map<std::string, std::vector<std::string>> layers; // by modules
  for (const auto &[unit, given] : units)
    if (given == scheme)
      layers[unit.modules].push_back(unit.layer < 0 ? "" : std::to_string(unit.layer));
  json::Array patterns;
  for (const auto &[modules, numbers] : layers) {
    std::string prefix = "re:.*";
    if (!numbers.front().empty())
      prefix += "layers\\.(" + join(numbers, "|") + ")\\.";
    patterns.push_back(prefix + modules + "$");
  }
  return patterns;
}

static json::Object groupOf(CompressedScheme scheme, json::Array targets) {
  const CompressedSchemeInfo &facts = info(scheme);
  json::Object weights{
      {"num_bits", facts.bits},
      {"type", "int"},
      {"symmetric", true},
      {"strategy", facts.group ? "group" : "channel"},
      {"group_size", facts.group ? json::Value(facts.group) : json::Value(nullptr)},
      {"dynamic", false}};
  json::Value activations = nullptr;
  if (scheme == CompressedScheme::Int8Channel)
    activations = json::Object{{"num_bits", 8},       {"type", "int"},         {"symmetric", true},
                               {"strategy", "token"}, {"group_size", nullptr}, {"dynamic", true}};
  return json::Object{{"targets", std::move(targets)},
                      {"weights", std::move(weights)},
                      {"input_activations", std::move(activations)},
                      {"output_activations", nullptr},
                      {"format", facts.format}};
}

json::Object quantizationConfig(const std::map<CompressedUnit, CompressedScheme> &units) {
  std::set<CompressedScheme> schemes;
  std::set<std::string> formats;
  for (const auto &[unit, scheme] : units)
    if (scheme != CompressedScheme::Plain) {
      schemes.insert(scheme);
      formats.insert(info(scheme).format);
    }
  json::Object groups;
  for (CompressedScheme scheme : schemes) {
    json::Array targets = schemes.size() == 1 ? json::Array{"Linear"} : patternsOf(units, scheme);
    groups["group_" + std::to_string(groups.size())] = groupOf(scheme, std::move(targets));
  }
  json::Array ignore = patternsOf(units, CompressedScheme::Plain);
  for (const char *name : {"lm_head", "re:.*router\\.proj$", "re:.*vision_tower.*",
                           "re:.*audio_tower.*", "re:.*embed_vision.*", "re:.*embed_audio.*"})
    ignore.push_back(name);
  return json::Object{{"quant_method", "compressed-tensors"},
                      {"format", formats.size() == 1 ? *formats.begin() : "mixed-precision"},
                      {"quantization_status", "compressed"},
                      {"version", "0.20.0"}, // whose packing this is
                      {"config_groups", std::move(groups)},
                      {"ignore", std::move(ignore)},
                      {"kv_cache_scheme", nullptr}};
}

} // namespace gcompile
