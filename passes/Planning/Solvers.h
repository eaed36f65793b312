// The solvers by name.
#pragma once

#include "passes/Planning/Solver.h"

#include <memory>
#include <string_view>
#include <vector>

namespace gcompile {

// Null when there is no solver of that name.
std::unique_ptr<Solver> makeSolver(std::string_view name);

// All names, the one to use by default first.
std::vector<std::string_view> solverNames();

} // namespace gcompile
