// Google's mobile QAT checkpoints (quant_method "gemma"): 2, 4 and 8 bit channel-wise, static
// scales of activations and caches. Widths are not in the file: the configuration gives them, the
// tensors confirm.
#include "compiler/Import/Coded/ModulePattern.h"
#include "compiler/Import/Coded/Recognisers.h"

using llvm::Error;
using llvm::Expected;
using llvm::StringRef;
using llvm::Twine;

namespace gcompile {

namespace {

struct WidthRule {
  ModulePattern pattern;
  unsigned bits;
};

class MobileWidths {
public:
  static Expected<MobileWidths> parse(const QuantConfig &config) {
    MobileWidths widths;
    JsonReader reader(*config.object, "config.json: quantization_config");
    Expected<int64_t> bits = reader.integerOr("num_bits", 2, 8, 4);
    if (!bits)
      return bits.takeError();
    widths.usual = unsigned(*bits);
    Expected<const llvm::json::Object *> rules = reader.child("module_quant_configs");
    if (!rules)
      return rules.takeError();
    if (!*rules)
      return widths;
    for (const std::string &key :
         keysInOrder(config.configText, {"quantization_config", "module_quant_configs"})) {
      Expected<ModulePattern> pattern = ModulePattern::parse(key);
      if (!pattern)
        return pattern.takeError();
      const llvm::json::Object *entry = (*rules)->getObject(key);
      std::optional<int64_t> own = entry ? entry->getInteger("num_bits") : std::nullopt;
      if (!own || (*own != 2 && *own != 4 && *own != 8))
        return importError("config.json: module_quant_configs " + inQuotes(key) +
                           " has no num_bits of 2, 4 or 8");
      widths.rules.push_back({std::move(*pattern), unsigned(*own)});
    }
    return widths;
  }

  // Bits of a module, and what said so.
  std::pair<unsigned, std::string> of(StringRef module) const {
    const WidthRule *best = nullptr;
    size_t earliest = StringRef::npos;
    for (const WidthRule &rule : rules)
      if (size_t at = rule.pattern.foundAt(module); at < earliest) {
        best = &rule;
        earliest = at;
      }
    return best ? std::pair(best->bits, "pattern " + inQuotes(best->pattern.text()))
                : std::pair(usual, std::string("num_bits"));
  }

private:
  unsigned usual = 4;
  // As one alternation, which is how transformers searches them: the leftmost match wins, and of
  // two in one place the earlier rule.
  std::vector<WidthRule> rules;
};

Error describe(CodedBuilder &builder, const MobileWidths &widths, const CodedModule &module,
               const TensorInfo &codes, const TensorInfo &scales) {
  auto [bits, reason] = widths.of(module.name);
  CodedTensor tensor;
  tensor.codes = &codes;
  tensor.bits = bits;
  bool signedBytes = codes.type == TensorType::I8;
  tensor.numbers = signedBytes ? CodeNumbers::TwosComplement : CodeNumbers::OffsetBinary;
  auto expected = builder.expectedShape(module.name + ".weight");
  if (codes.shape.size() != 2 || (codes.type != TensorType::U8 && !signedBytes))
    return moduleError(module, describeTensor(codes) + ", expected codes as U8 or I8 of two "
                                                       "dimensions");
  tensor.rows = codes.shape[0];
  tensor.columns = expected && expected->size() == 2 ? (*expected)[1] : codes.shape[1] * 8 / bits;
  int64_t width = (tensor.columns * bits + 7) / 8;
  if (signedBytes != (bits == 8) || width != codes.shape[1])
    return moduleError(module, describeTensor(codes) + ", but config.json (" + reason + ") says " +
                                   Twine(bits) + " bits, which for " + Twine(tensor.columns) +
                                   " columns is " + (bits == 8 ? "I8 " : "U8 ") +
                                   Twine(tensor.rows) + "x" + Twine(width));
  if (scales.type != TensorType::F32 || scales.shape.size() != 2 ||
      scales.shape[0] != tensor.rows || scales.shape[1] <= 0 ||
      tensor.columns % scales.shape[1] != 0)
    return moduleError(module, describeTensor(scales) + ", expected F32 with " +
                                   Twine(tensor.rows) + " rows and one scale per row or slice");
  tensor.scales.tensor = &scales;
  tensor.scales.groups = scales.shape[1];
  tensor.groupColumns = tensor.columns / scales.shape[1];
  return builder.add(module, std::move(tensor));
}

} // namespace

Error describeMobileQat(CodedBuilder &builder, const QuantConfig &config) {
  Expected<MobileWidths> widths = MobileWidths::parse(config);
  if (!widths)
    return widths.takeError();
  for (const CodedModule &module : builder.modules()) {
    const TensorInfo *codes = module.part("embedding_quantized");
    const TensorInfo *scales = module.part("embedding_scale");
    if (!codes && !scales) {
      scales = module.part("weight_scale");
      codes = scales ? module.part("weight") : nullptr;
    }
    if (!codes && !scales)
      continue;
    if (!codes || !scales)
      return moduleError(module,
                         codes ? "there are codes but no scales" : "there are scales but no codes");
    if (Error error = describe(builder, *widths, module, *codes, *scales))
      return error;
    if (Error error =
            builder.takeScales(module, "input_activation_scale", "output_activation_scale", {}))
      return error;
  }
  return builder.takeCacheScales(CacheCodes::MobileQat);
}

} // namespace gcompile
