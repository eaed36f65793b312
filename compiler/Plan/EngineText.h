// The forecast over engines in a plan file: what is shown of it, without the blocks.
#pragma once

#include "compiler/Plan/EngineForecast.h"

#include <string>

namespace gcompile {

namespace plan {
class Engines;
}

void writeEngines(const EngineForecast &forecast, plan::Engines &out);

// Files may come from anywhere: says what is wrong with it, empty when nothing is.
std::string readEngines(const plan::Engines &in, EngineForecast &out);

} // namespace gcompile
