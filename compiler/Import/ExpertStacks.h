// Experts that lie apart in a file, as the stacks that the model has. Quantizers store a matrix for
// each expert ("layers.3.experts.5.gate_proj.weight"), MLX one stack each of gates, ups and downs
// ("layers.3.experts.switch_glu.gate_proj.weight"); the model has "layers.3.experts.gate_up_proj",
// whose row e holds the gate and below it the up of expert e, and "layers.3.experts.down_proj".
// Nothing is copied: rows are read where they lie, on their grid where they have one.
#pragma once

#include "compiler/Import/Gemma4Tensors.h"

namespace gcompile {

struct ExpertPart {
  std::string stack;             // "model.layers.3.experts.gate_up_proj"
  std::optional<int64_t> expert; // none: one tensor for all experts
  int64_t half = 0, halves = 1;  // which of how many matrices of a row of the stack
};
// None: it is no name of experts that lie apart.
std::optional<ExpertPart> expertPartOf(llvm::StringRef name);

// The shape of a tensor of this name in a stack of `stackShape`.
llvm::SmallVector<int64_t, 4> expertPartShape(const ExpertPart &part,
                                              llvm::ArrayRef<int64_t> stackShape);

// The checkpoint with its experts in stacks; as it is when none lies apart. `expected`: the tensors
// of the text model.
llvm::Expected<std::unique_ptr<Checkpoint>> joinExperts(std::unique_ptr<Checkpoint> checkpoint,
                                                        llvm::ArrayRef<TensorSpec> expected);

} // namespace gcompile
