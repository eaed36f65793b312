// bitsandbytes: 4-bit codes of a table (NF4, FP4) in blocks that run across rows, and int8 rows.
#include "compiler/Import/Coded/Recognisers.h"

#include <bit>
#include <cmath>
#include <cstring>

using llvm::Error;
using llvm::Expected;
using llvm::StringRef;
using llvm::Twine;

namespace gcompile {

namespace {

constexpr uint64_t mostStateBytes = 4096;

struct QuantState {
  int64_t blockSize = 0, nestedBlock = 0;
  float nestedOffset = 0;
  llvm::SmallVector<int64_t, 2> shape;
};

Expected<QuantState> parseState(const CodedBuilder &builder, const CodedModule &module,
                                const TensorInfo &tensor) {
  if (tensor.type != TensorType::U8 || tensor.bytes > mostStateBytes)
    return moduleError(module, describeTensor(tensor) + ", expected at most " +
                                   Twine(mostStateBytes) + " bytes of JSON");
  std::string text(tensor.bytes, '\0');
  if (Error error =
          builder.raw().read(tensor, 0, {reinterpret_cast<uint8_t *>(text.data()), text.size()}))
    return std::move(error);
  Expected<llvm::json::Value> value = parseHostileJson(text, tensor.name);
  if (!value)
    return value.takeError();
  const llvm::json::Object *object = value->getAsObject();
  if (!object)
    return moduleError(module, inQuotes(tensor.name) + " is no JSON object");
  JsonReader reader(*object, tensor.name);
  QuantState state;
  Expected<int64_t> block = reader.integer("blocksize", 1, 1 << 20);
  if (!block)
    return block.takeError();
  state.blockSize = *block;
  Expected<int64_t> nested = reader.integerOr("nested_blocksize", 1, 1 << 20, 0);
  if (!nested)
    return nested.takeError();
  state.nestedBlock = *nested;
  Expected<double> offset = reader.numberOr("nested_offset", -1e30, 1e30, 0);
  if (!offset)
    return offset.takeError();
  state.nestedOffset = float(*offset);
  Expected<std::vector<int64_t>> shape = reader.integers("shape", 1, int64_t(1) << 32);
  if (!shape)
    return shape.takeError();
  state.shape.assign(shape->begin(), shape->end());
  if (state.shape.size() != 2 || !std::has_single_bit(uint64_t(state.blockSize)))
    return moduleError(module, inQuotes(tensor.name) + " has a shape of " +
                                   Twine(state.shape.size()) + " dimensions and blocks of " +
                                   Twine(state.blockSize) + ", expected two and a power of two");
  return state;
}

Error describe4Bit(CodedBuilder &builder, const CodedModule &module, const TensorInfo &stateInfo) {
  const TensorInfo *weight = module.part("weight"), *absmax = module.part("weight.absmax"),
                   *map = module.part("weight.quant_map");
  if (!weight || !absmax || !map || weight->type != TensorType::U8 ||
      map->type != TensorType::F32 || map->elements() != 16)
    return moduleError(module, "4-bit codes need weight U8, weight.absmax and weight.quant_map of "
                               "16 floats");
  Expected<QuantState> state = parseState(builder, module, stateInfo);
  if (!state)
    return state.takeError();
  CodedTensor tensor;
  tensor.codes = weight;
  tensor.rows = state->shape[0];
  tensor.columns = state->shape[1];
  tensor.bits = 4;
  tensor.order = CodeOrder::FlatHighNibble;
  tensor.numbers = CodeNumbers::Table;
  auto table = std::make_shared<std::vector<float>>(16);
  if (Error error = builder.raw().read(*map, 0, {reinterpret_cast<uint8_t *>(table->data()), 64}))
    return error;
  for (float value : *table)
    if (!std::isfinite(value))
      return moduleError(module, inQuotes(map->name) + " holds NaN or infinity");
  tensor.table = table;
  // Blocks run across rows; what divides neither way would need a scale per value.
  int64_t block = state->blockSize;
  tensor.scales.tensor = absmax;
  tensor.scales.type = TensorType::F32;
  if (tensor.columns % block == 0) {
    tensor.groupColumns = block;
    tensor.scales.groups = tensor.columns / block;
  } else if (block % tensor.columns == 0) {
    tensor.groupColumns = tensor.columns;
    tensor.scales.rowsPerEntry = block / tensor.columns;
  } else {
    return moduleError(module, "blocks of " + Twine(block) + " values do not divide rows of " +
                                   Twine(tensor.columns));
  }
  if (absmax->type == TensorType::U8) {
    tensor.scales.nestedTable = module.part("weight.nested_quant_map");
    tensor.scales.nestedScale = module.part("weight.nested_absmax");
    if (!tensor.scales.nestedTable || !tensor.scales.nestedScale)
      return moduleError(module, describeTensor(*absmax) +
                                     " is quantized twice, but nested_quant_map or nested_absmax "
                                     "is missing");
    tensor.scales.nestedBlock = state->nestedBlock;
    tensor.scales.nestedOffset = state->nestedOffset;
  } else if (absmax->type != TensorType::F32) {
    return moduleError(module, describeTensor(*absmax) + ", expected F32 or U8");
  }
  builder.consume(map);
  builder.consume(&stateInfo);
  return builder.add(module, std::move(tensor));
}

Error describeInt8(CodedBuilder &builder, const CodedModule &module, const TensorInfo &scales) {
  const TensorInfo *weight = module.part("weight");
  if (!weight || weight->type != TensorType::I8 || weight->shape.size() != 2 ||
      scales.type != TensorType::F32)
    return moduleError(module, "int8 needs weight I8 of two dimensions and SCB F32");
  if (const TensorInfo *format = module.part("weight_format")) {
    uint8_t code = 255;
    if (format->type == TensorType::U8 && format->elements() == 1)
      if (Error error = builder.raw().read(*format, 0, code))
        return error;
    if (code != 0)
      return moduleError(module, inQuotes(format->name) + " is " + Twine(int(code)) +
                                     ", expected 0 (rows)");
    builder.consume(format);
  }
  CodedTensor tensor;
  tensor.codes = weight;
  tensor.rows = weight->shape[0];
  tensor.columns = tensor.groupColumns = weight->shape[1];
  tensor.bits = 8;
  tensor.numbers = CodeNumbers::TwosComplement;
  tensor.scales.tensor = &scales;
  tensor.factor = 127;
  tensor.divideByFactor = true;
  return builder.add(module, std::move(tensor));
}

} // namespace

Error describeBitsAndBytes(CodedBuilder &builder, const QuantConfig &) {
  for (const CodedModule &module : builder.modules()) {
    if (const TensorInfo *scales = module.part("SCB"))
      if (Error error = describeInt8(builder, module, *scales))
        return error;
    for (StringRef suffix :
         {"weight.quant_state.bitsandbytes__nf4", "weight.quant_state.bitsandbytes__fp4"})
      if (const TensorInfo *state = module.part(suffix))
        if (Error error = describe4Bit(builder, module, *state))
          return error;
  }
  return Error::success();
}

} // namespace gcompile
