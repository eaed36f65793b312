// GPTQ (v1 and v2), AutoRound's packings of it, and AWQ "gemm": words over transposed matrices.
#include "compiler/Import/Coded/Recognisers.h"

using llvm::Error;
using llvm::Expected;
using llvm::StringRef;
using llvm::Twine;

namespace gcompile {

namespace {

struct GptqScheme {
  std::string file; // what states it
  int64_t bits = 4, groupSize = -1;
  int addToZero = 0;
  bool awq = false, hasOverrides = false;
};

// llm-awq's own files call them w_bit and q_group_size.
Expected<GptqScheme> parseScheme(const QuantConfig &config) {
  const llvm::json::Object &object = *config.object;
  JsonReader reader(object, config.what);
  GptqScheme scheme;
  scheme.file = StringRef(config.what).split(':').first.str();
  Expected<int64_t> bits = reader.integer(object.get("w_bit") ? "w_bit" : "bits", 2, 8);
  if (!bits)
    return bits.takeError();
  scheme.bits = *bits;
  Expected<int64_t> size =
      reader.integerOr(object.get("q_group_size") ? "q_group_size" : "group_size", -1, 1 << 20, -1);
  if (!size)
    return size.takeError();
  scheme.groupSize = *size;
  for (StringRef key : {"dynamic", "extra_config"})
    if (const llvm::json::Object *overrides = object.getObject(key))
      scheme.hasOverrides |= !overrides->empty();
  return scheme;
}

// Bits of a module that has settings of its own: the ones that give the columns of the model.
int64_t bitsOf(const CodedBuilder &builder, const CodedModule &module, const GptqScheme &scheme,
               const TensorInfo &codes) {
  auto expected = builder.expectedShape(module.name + ".weight");
  if (scheme.hasOverrides && !scheme.awq && expected && expected->size() == 2)
    for (int64_t bits : {2, 3, 4, 8})
      if (codes.shape[0] * 32 == (*expected)[1] * bits)
        return bits;
  return scheme.bits;
}

Error describe(CodedBuilder &builder, const CodedModule &module, const GptqScheme &scheme) {
  const TensorInfo &codes = *module.part("qweight");
  const TensorInfo *scales = module.part("scales"), *zeros = module.part("qzeros");
  if (!scales || scales->shape.size() != 2 || codes.shape.size() != 2 ||
      codes.type != TensorType::I32 || codes.elements() == 0 || scales->elements() == 0)
    return moduleError(module, describeTensor(codes) +
                                   ", expected I32 of two dimensions with scales beside it");
  if (scales->type != TensorType::F16 && scales->type != TensorType::BF16 &&
      scales->type != TensorType::F32)
    return moduleError(module, describeTensor(*scales) + ", expected F16, BF16 or F32");
  CodedTensor tensor;
  int64_t bits = bitsOf(builder, module, scheme, codes);
  tensor.codes = &codes;
  tensor.bits = unsigned(bits);
  tensor.order = scheme.awq ? CodeOrder::AwqWords : CodeOrder::ColumnStream;
  tensor.rows = scheme.awq ? codes.shape[1] * 8 : codes.shape[1];
  tensor.columns = scheme.awq ? codes.shape[0] : codes.shape[0] * 32 / bits;
  tensor.scales.tensor = scales;
  tensor.scales.type = scales->type;
  tensor.scales.transposed = true;
  tensor.scales.groups = scales->shape[0];
  int64_t size = scheme.groupSize <= 0 ? tensor.columns : scheme.groupSize;
  int64_t groups = (tensor.columns - 1) / size + 1;
  if (scheme.hasOverrides && tensor.columns % scales->shape[0] == 0)
    size = tensor.columns / scales->shape[0];
  else if (groups != scales->shape[0])
    return moduleError(module, describeTensor(*scales) + "; " + scheme.file + " says group_size " +
                                   Twine(scheme.groupSize) + ", which for " +
                                   Twine(tensor.columns) + " columns is " + Twine(groups) +
                                   " groups");
  tensor.groupColumns = size;
  if (zeros) {
    tensor.zeros.tensor = zeros;
    tensor.zeros.order = scheme.awq ? ZeroOrder::AwqWords : ZeroOrder::AlongRows;
    tensor.zeros.add = scheme.addToZero;
  }
  tensor.groupIndex = module.part("g_idx");
  return builder.add(module, std::move(tensor));
}

Error describeAll(CodedBuilder &builder, const GptqScheme &scheme) {
  if (scheme.bits != 2 && scheme.bits != 3 && scheme.bits != 4 && scheme.bits != 8)
    return importError(scheme.file + " says " + Twine(scheme.bits) +
                       " bits, which GPTQ stores in planes that are not read; 2, 3, 4 and 8 are");
  for (const CodedModule &module : builder.modules())
    if (module.part("qweight"))
      if (Error error = describe(builder, module, scheme))
        return error;
  return Error::success();
}

} // namespace

Error describeGptq(CodedBuilder &builder, const QuantConfig &config) {
  Expected<GptqScheme> scheme = parseScheme(config);
  if (!scheme)
    return scheme.takeError();
  StringRef format = config.object->getString("checkpoint_format").value_or("gptq");
  if (format != "gptq" && format != "gptq_v2")
    return importError(scheme->file + ": GPTQ checkpoint_format " + inQuotes(format) +
                       " is not read; gptq and gptq_v2 are");
  scheme->addToZero = format == "gptq" ? 1 : 0;
  return describeAll(builder, *scheme);
}

Error describeAwq(CodedBuilder &builder, const QuantConfig &config) {
  Expected<GptqScheme> scheme = parseScheme(config);
  if (!scheme)
    return scheme.takeError();
  std::string version = config.object->getString("version").value_or("gemm").lower();
  if (version != "gemm" || scheme->bits != 4)
    return importError(scheme->file + ": AWQ version " + inQuotes(version) + " of " +
                       Twine(scheme->bits) + " bits is not read; gemm of 4 bits is");
  scheme->awq = true;
  return describeAll(builder, *scheme);
}

Error describeAutoRound(CodedBuilder &builder, const QuantConfig &config) {
  StringRef packing = config.object->getString("packing_format").value_or("auto_round");
  if (packing.contains("llm_compressor"))
    return describeCompressedTensors(builder, config);
  Expected<GptqScheme> scheme = parseScheme(config);
  if (!scheme)
    return scheme.takeError();
  if (packing.contains("awq")) {
    scheme->awq = true;
    if (scheme->bits != 4)
      return importError(scheme->file + ": AWQ of " + Twine(scheme->bits) + " bits is not read");
  } else if (packing == "auto_round:auto_gptq") {
    scheme->addToZero = 1;
  } else if (packing != "auto_round" && packing != "auto_round:exllamav2" &&
             packing != "auto_round:gptqmodel") {
    return importError(scheme->file + ": packing_format " + inQuotes(packing) +
                       " is not read; auto_round, auto_round:auto_gptq and auto_round:auto_awq "
                       "are");
  }
  return describeAll(builder, *scheme);
}

} // namespace gcompile
