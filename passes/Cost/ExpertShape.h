// What the shapes of a model say of its experts: stacks of matrices of which a token reads some.
#pragma once

#include "passes/Cost/ModelShape.h"

namespace gcompile {

struct ExpertShape {
  int64_t experts = 0, perToken = 0; // 0: none
  int64_t intermediate = 0;          // of one expert
};
ExpertShape expertsOf(const ModelShape &model);

// Matrices that a tensor stacks, each packed for itself: 1, but for experts.
int64_t matricesOf(const ModelShape &model, const TensorShape &tensor);
// Bytes of a tensor in a format, stacks with their padding, and rounded up to the alignment that it
// has inside the weights section.
int64_t packedBytes(const ModelShape &model, const TensorShape &tensor, WeightFormat format);
int64_t residentBytes(const ModelShape &model, const TensorShape &tensor, WeightFormat format);

// Experts of all layers; bytes of one in a slot of the cache of experts on storage
// (docs/decisions/0012), and of what one of its two tensors takes there.
int64_t expertsInAll(const ModelShape &model);
int64_t expertBlockBytes(const ModelShape &model, WeightFormat gateUp, WeightFormat down);
int64_t expertPartBytes(const ModelShape &model, const TensorShape &tensor, WeightFormat format);
inline bool isExpert(const TensorShape &tensor) {
  return tensor.role == "expert_gate_up" || tensor.role == "expert_down";
}

} // namespace gcompile
