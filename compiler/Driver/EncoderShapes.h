// From what import knows of the towers to what the memory model needs.
#pragma once

#include "compiler/Import/ModelConfig.h"
#include "passes/Cost/EncoderModel.h"

#include <vector>

namespace gcompile {

std::vector<EncoderShape> encoderShapes(const ModelConfig &config);

} // namespace gcompile
