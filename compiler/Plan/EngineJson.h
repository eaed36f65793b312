// The forecast over engines as JSON, and as lines of the table.
#pragma once

#include "compiler/Plan/EngineForecast.h"

#include "llvm/Support/JSON.h"

namespace gcompile {

llvm::json::Object enginesJson(const EngineForecast &forecast);

// "cpu 12.0, gpu 43.1, best split 43.9 tok/s (cpu 2, gpu 106 blocks)"; "" where nothing is
// predicted.
std::string engineLine(const EngineForecast &forecast, bool decode);
// Why no split is given; "" when one is.
std::string missingSplit(const EngineForecast &forecast);

} // namespace gcompile
