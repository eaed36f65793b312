#include "passes/Planning/ParetoFront.h"

#include "passes/Planning/Solvers.h"

#include <algorithm>

namespace gcompile {

// The most bytes that any choice of supported options takes.
static int64_t largestBytes(const PlanProblem &problem) {
  int64_t total = problem.fixedBytes;
  for (const PlanItem &item : problem.items) {
    int64_t most = 0;
    for (const PlanOption &option : item.options)
      if (option.supported)
        most = std::max(most, option.bytes);
    total += most;
  }
  return total;
}

std::vector<FrontPoint> solveFront(const PlanProblem &problem, const FrontOptions &options) {
  std::unique_ptr<Solver> solver = makeSolver(solverNames().front());
  PlanProblem varied = problem;
  varied.budgetBytes = std::min(options.maxBytes, largestBytes(problem));
  SolveResult best = solver->solve(varied);
  if (!best.solution || options.points == 0)
    return {};
  int64_t high = best.cost.bytes, low = std::max(options.minBytes, best.smallestBytes);
  std::vector<FrontPoint> front;
  size_t steps = std::max<size_t>(options.points, 2) - 1;
  for (size_t i = 0; i <= steps && low <= high; ++i) {
    varied.budgetBytes = low + int64_t(double(high - low) * double(i) / double(steps));
    SolveResult result = solver->solve(varied);
    if (result.solution && (front.empty() || (result.cost.objective < front.back().cost.objective &&
                                              result.cost.bytes > front.back().cost.bytes)))
      front.push_back({*result.solution, result.cost, result.bound});
  }
  return front;
}

} // namespace gcompile
