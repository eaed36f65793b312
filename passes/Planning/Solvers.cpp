#include "passes/Planning/Solvers.h"

#include "passes/Planning/ExactSolver.h"
#include "passes/Planning/GraphSolver.h"
#include "passes/Planning/GreedySolver.h"

namespace gcompile {

std::unique_ptr<Solver> makeSolver(std::string_view name) {
  if (name == "exact")
    return std::make_unique<ExactSolver>();
  if (name == "greedy")
    return std::make_unique<GreedySolver>();
  if (name == "graph")
    return std::make_unique<GraphSolver>();
  return nullptr;
}

std::vector<std::string_view> solverNames() { return {"exact", "greedy", "graph"}; }

} // namespace gcompile
