// From what import knows to what the cost models and the planner need.
#pragma once

#include "compiler/Import/Gemma4Tensors.h"
#include "passes/Cost/ModelShape.h"

namespace gcompile {

// Roles as plans spell them: "q", "down", "per_layer_table"; every vector is "norm".
std::string planRole(TensorRole role);

ModelShape shapeOf(const ModelConfig &config);

} // namespace gcompile
