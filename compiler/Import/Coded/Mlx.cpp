// MLX: words of 32 bits, low codes first, affine groups or the microscaled floats.
#include "compiler/Import/Coded/Recognisers.h"
#include "compiler/Import/Coded/SmallFloats.h"

using llvm::Error;
using llvm::Expected;
using llvm::StringRef;
using llvm::Twine;

namespace gcompile {

namespace {

struct MlxScheme {
  int64_t bits = 0, groupSize = 0;
  std::string mode = "affine";
};

Expected<MlxScheme> parseScheme(const llvm::json::Object &object, MlxScheme scheme,
                                const std::string &what) {
  JsonReader reader(object, what);
  Expected<int64_t> bits = reader.integerOr("bits", 2, 8, scheme.bits);
  if (!bits)
    return bits.takeError();
  Expected<int64_t> size = reader.integerOr("group_size", 1, 1 << 20, scheme.groupSize);
  if (!size)
    return size.takeError();
  Expected<std::string> mode = reader.textOr("mode", scheme.mode);
  if (!mode)
    return mode.takeError();
  return MlxScheme{*bits, *size, *mode};
}

// The scheme's own entry for a module, under the name in the file.
Expected<MlxScheme> schemeOf(const llvm::json::Object &config, const MlxScheme &usual,
                             const CodedModule &module) {
  const llvm::json::Value *own = config.get(module.name);
  if (!own)
    return usual;
  if (std::optional<bool> flag = own->getAsBoolean()) {
    if (!*flag)
      return moduleError(module, "the tensors are quantized, but config.json says they are not");
    return usual;
  }
  if (const llvm::json::Object *object = own->getAsObject())
    return parseScheme(*object, usual, "config.json: quantization " + inQuotes(module.name));
  return moduleError(module, "config.json: quantization has an entry that is no object");
}

Error describe(CodedBuilder &builder, const CodedModule &module, const MlxScheme &scheme,
               const TensorInfo &weight, const TensorInfo &scales) {
  size_t rank = weight.shape.size();
  if (weight.type != TensorType::U32 || (rank != 2 && rank != 3) || scales.shape.size() != rank)
    return moduleError(module, describeTensor(weight) + " with " + describeTensor(scales) +
                                   ", expected U32 words and as many dimensions of scales");
  CodedTensor tensor;
  tensor.codes = &weight;
  tensor.rows = rank == 3 ? weight.shape[0] * weight.shape[1] : weight.shape[0];
  tensor.bits = unsigned(scheme.bits);
  tensor.groupColumns = scheme.groupSize;
  tensor.scales.tensor = &scales;
  tensor.scales.type = scales.type;
  tensor.scales.groups = scales.shape.back();
  tensor.columns = scales.shape.back() * scheme.groupSize;
  if (scheme.bits == 0 || scheme.bits == 7 || scheme.groupSize == 0 ||
      tensor.columns * scheme.bits != weight.shape.back() * 32)
    return moduleError(module, describeTensor(weight) + " with " + describeTensor(scales) +
                                   "; config.json says " + Twine(scheme.bits) +
                                   " bits in groups of " + Twine(scheme.groupSize));
  if (scheme.mode == "affine") {
    const TensorInfo *biases = module.part("biases");
    if (!biases)
      biases = module.part("qbiases");
    if (!biases || biases->type != scales.type)
      return moduleError(module, "affine codes need biases of the type of the scales beside them");
    tensor.biases = tensor.scales;
    tensor.biases.tensor = biases;
    return builder.add(module, std::move(tensor));
  }
  tensor.numbers = CodeNumbers::Table;
  bool nv = scheme.mode == "nvfp4", wide = scheme.mode == "mxfp8";
  if ((!nv && !wide && scheme.mode != "mxfp4") || scheme.bits != (wide ? 8 : 4) ||
      scheme.groupSize != (nv ? 16 : 32) || scales.type != TensorType::U8)
    return moduleError(module, "mode " + inQuotes(scheme.mode) + " of " + Twine(scheme.bits) +
                                   " bits in groups of " + Twine(scheme.groupSize) + " with " +
                                   describeTensor(scales) +
                                   " is not read; affine, mxfp4, mxfp8 and nvfp4 are");
  tensor.table = wide ? tableOf(floatFromE4M3, 8) : tableOf(floatFromE2M1, 4);
  tensor.scales.type = nv ? TensorType::F8E4M3 : TensorType::F8E8M0;
  return builder.add(module, std::move(tensor));
}

} // namespace

Error describeMlx(CodedBuilder &builder, const QuantConfig &config) {
  Expected<MlxScheme> usual = parseScheme(*config.object, {}, "config.json: quantization");
  if (!usual)
    return usual.takeError();
  for (const CodedModule &module : builder.modules()) {
    const TensorInfo *weight = module.part("weight"), *scales = module.part("scales");
    if (!weight || !scales)
      continue;
    Expected<MlxScheme> scheme = schemeOf(*config.object, *usual, module);
    if (!scheme)
      return scheme.takeError();
    if (Error error = describe(builder, module, *scheme, *weight, *scales))
      return error;
  }
  return Error::success();
}

} // namespace gcompile
