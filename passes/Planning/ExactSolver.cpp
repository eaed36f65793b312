#include "passes/Planning/ExactSolver.h"

#include "passes/Planning/GreedySolver.h"
#include "passes/Planning/PreparedProblem.h"

namespace gcompile {

SolveResult ExactSolver::solve(const PlanProblem &problem) const {
  SolveResult result = PreparedProblem(problem).solve(problem.budgetBytes, options);
  if (result.complete)
    return result;
  SolveResult greedy = GreedySolver().solve(problem);
  if (greedy.solution && (!result.solution || greedy.cost.objective < result.cost.objective)) {
    result.solution = greedy.solution;
    result.cost = greedy.cost;
    result.bound = std::min(result.bound, result.cost.objective);
  }
  return result;
}

} // namespace gcompile
