// ModelOpt (NVFP4, FP8) and plain "fp8" checkpoints: the tensors tell the form, quant_algo
// confirms.
#include "compiler/Import/Coded/Recognisers.h"
#include "compiler/Import/Coded/SmallFloats.h"

using llvm::Error;
using llvm::Expected;
using llvm::StringRef;
using llvm::Twine;

namespace gcompile {

namespace {

Error describeFp8(CodedBuilder &builder, const CodedModule &module, const TensorInfo &weight,
                  const TensorInfo &scales, int64_t block) {
  CodedTensor tensor;
  tensor.codes = &weight;
  tensor.rows = weight.shape[0];
  tensor.columns = weight.shape[1];
  tensor.bits = 8;
  tensor.numbers = CodeNumbers::Table;
  tensor.table = tableOf(floatFromE4M3, 8);
  tensor.groupColumns = tensor.columns;
  tensor.scales.tensor = &scales;
  tensor.scales.type = scales.type;
  if (scales.type != TensorType::F32 && scales.type != TensorType::BF16)
    return moduleError(module, describeTensor(scales) + ", expected F32 or BF16");
  if (scales.elements() == 1) {
    tensor.scales.rowsPerEntry = std::max<int64_t>(1, tensor.rows);
  } else if (block && scales.shape.size() == 2) {
    tensor.scales.rowsPerEntry = tensor.groupColumns = block;
    tensor.scales.groups = scales.shape[1];
  }
  if (Error error = builder.add(module, std::move(tensor)))
    return error;
  return builder.takeScales(module, "input_scale", "", {false, false});
}

Error describeNvfp4(CodedBuilder &builder, const CodedModule &module, const TensorInfo &weight,
                    const TensorInfo &scales) {
  const TensorInfo *second = module.part("weight_scale_2");
  if (!second || scales.shape.size() != 2)
    return moduleError(module, describeTensor(weight) +
                                   " needs weight_scale of two dimensions and weight_scale_2");
  CodedTensor tensor;
  tensor.codes = &weight;
  tensor.rows = weight.shape[0];
  tensor.columns = weight.shape[1] * 2;
  tensor.bits = 4;
  tensor.numbers = CodeNumbers::Table;
  tensor.table = tableOf(floatFromE2M1, 4);
  tensor.groupColumns = 16;
  tensor.scales.tensor = &scales;
  tensor.scales.type = TensorType::F8E4M3;
  tensor.scales.groups = scales.shape[1];
  Expected<std::optional<float>> factor = builder.scalar(second);
  if (!factor)
    return factor.takeError();
  tensor.factor = **factor;
  if (Error error = builder.add(module, std::move(tensor)))
    return error;
  return builder.takeScales(module, "input_scale", "", {false, false});
}

} // namespace

Error describeModelOpt(CodedBuilder &builder, const QuantConfig &config) {
  StringRef algorithm = config.object->getString("quant_algo").value_or("");
  if (const llvm::json::Object *inner = config.object->getObject("quantization"))
    algorithm = inner->getString("quant_algo").value_or(algorithm);
  for (const CodedModule &module : builder.modules()) {
    const TensorInfo *weight = module.part("weight"), *scales = module.part("weight_scale");
    if (!weight || !scales || weight->shape.size() != 2)
      continue;
    bool nv = weight->type == TensorType::U8 && scales->type == TensorType::F8E4M3;
    bool fp8 = weight->type == TensorType::F8E4M3;
    if (!nv && !fp8)
      return moduleError(module, describeTensor(*weight) + " with " + describeTensor(*scales) +
                                     " is neither NVFP4 nor FP8 of ModelOpt");
    if ((algorithm == "NVFP4" && !nv) || (algorithm == "FP8" && !fp8))
      return moduleError(module, describeTensor(*weight) + ", but " +
                                     StringRef(config.what).split(':').first + " says quant_algo " +
                                     inQuotes(algorithm));
    if (Error error = nv ? describeNvfp4(builder, module, *weight, *scales)
                         : describeFp8(builder, module, *weight, *scales, 0))
      return error;
  }
  return builder.takeCacheScales(CacheCodes::Other);
}

// quant_method "fp8": scales of blocks, to multiply with in spite of their name.
Error describeBlockFp8(CodedBuilder &builder, const QuantConfig &config) {
  JsonReader reader(*config.object, "config.json: quantization_config");
  Expected<std::vector<int64_t>> block = reader.integers("weight_block_size", 1, int64_t(1) << 20);
  if (!block)
    return block.takeError();
  if (block->size() == 2 && (*block)[0] != (*block)[1])
    return importError("config.json: weight_block_size is not square, which is not read");
  for (const CodedModule &module : builder.modules()) {
    const TensorInfo *weight = module.part("weight"), *scales = module.part("weight_scale_inv");
    if (!weight || !scales)
      continue;
    if (weight->type != TensorType::F8E4M3 || weight->shape.size() != 2)
      return moduleError(module, describeTensor(*weight) +
                                     ", expected F8_E4M3 of two dimensions beside "
                                     "weight_scale_inv");
    if (Error error =
            describeFp8(builder, module, *weight, *scales, block->empty() ? 0 : block->front()))
      return error;
  }
  return Error::success();
}

} // namespace gcompile
