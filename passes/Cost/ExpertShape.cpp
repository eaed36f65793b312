#include "passes/Cost/ExpertShape.h"

#include "ir/Format/Stack.h"

#include <cmath>

namespace gcompile {

ExpertShape expertsOf(const ModelShape &model) {
  ExpertShape shape;
  for (const TensorShape &tensor : model.tensors)
    if (tensor.role == "expert_down" && model.hidden > 0) {
      shape.experts = tensor.n / model.hidden;
      shape.perToken = std::llround(tensor.readFraction * double(shape.experts));
      shape.intermediate = tensor.k;
      break;
    }
  return shape;
}

int64_t matricesOf(const ModelShape &model, const TensorShape &tensor) {
  if (tensor.role == "expert_down" && model.hidden > 0)
    return tensor.n / model.hidden;
  if (int64_t inner = expertsOf(model).intermediate; inner && tensor.role == "expert_gate_up")
    return tensor.n / (2 * inner);
  return 1;
}

int64_t packedBytes(const ModelShape &model, const TensorShape &tensor, WeightFormat format) {
  int64_t matrices = matricesOf(model, tensor);
  return stackedBytes(format, matrices, tensor.n / matrices, tensor.k);
}

int64_t residentBytes(const ModelShape &model, const TensorShape &tensor, WeightFormat format) {
  constexpr int64_t alignment = 128;
  return (packedBytes(model, tensor, format) + alignment - 1) / alignment * alignment;
}

int64_t expertsInAll(const ModelShape &model) {
  int64_t count = 0;
  for (const TensorShape &tensor : model.tensors)
    if (tensor.role == "expert_down")
      count += matricesOf(model, tensor);
  return count;
}

int64_t expertBlockBytes(const ModelShape &model, WeightFormat gateUp, WeightFormat down) {
  return expertBlock(gateUp, down, model.hidden, expertsOf(model).intermediate).bytes;
}

int64_t expertPartBytes(const ModelShape &model, const TensorShape &tensor, WeightFormat format) {
  return expertBlockPart(format, tensor.n / matricesOf(model, tensor), tensor.k);
}

} // namespace gcompile
