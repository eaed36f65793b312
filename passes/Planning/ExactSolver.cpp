#include "passes/Planning/ExactSolver.h"

#include "passes/Planning/ChoiceGroups.h"
#include "passes/Planning/GreedySolver.h"
#include "passes/Planning/Knapsack.h"

#include <algorithm>
#include <cassert>
#include <cmath>

namespace gcompile {

static Knapsack knapsackOf(const PlanProblem &problem, const std::vector<ChoiceGroup> &groups,
                           bool timed) {
  Knapsack knapsack;
  knapsack.resources = timed ? 2 : 1;
  knapsack.limit = {problem.budgetBytes - problem.fixedBytes, timed ? picosecondsLeft(problem) : 0};
  for (const ChoiceGroup &group : groups) {
    std::vector<KnapsackOption> &options = knapsack.groups.emplace_back();
    for (const Choice &choice : group.choices)
      options.push_back({{choice.bytes, timed ? choice.picoseconds : 0}, choice.cost});
  }
  return knapsack;
}

SolveResult ExactSolver::solve(const PlanProblem &problem) const {
  assert(check(problem).empty() && "solve() needs a problem that makes sense");
  Contraction contraction = contract(problem);
  if (contraction.inconsistent > 0)
    return {};
  bool timed = std::isfinite(problem.maxSeconds);
  for (ChoiceGroup &group : contraction.groups)
    dropDominated(group.choices, timed);
  SolveResult result;
  findSmallest(problem, contraction.groups, result);
  if (result.smallestBytes > problem.budgetBytes)
    return result;
  SearchResult found = searchKnapsack(knapsackOf(problem, contraction.groups, timed),
                                      {options.relativeGap, options.stateLimit});
  result.complete = found.complete;
  result.bound = found.bound + problem.lossPerSecond * problem.fixedSeconds;
  if (found.solution) {
    std::vector<size_t> choice(found.solution->option.begin(), found.solution->option.end());
    result.solution = expand(problem, contraction.groups, choice);
    result.cost = evaluate(problem, *result.solution);
  }
  if (!found.complete) {
    SolveResult greedy = GreedySolver().solve(problem);
    if (greedy.solution && (!result.solution || greedy.cost.objective < result.cost.objective)) {
      result.solution = greedy.solution;
      result.cost = greedy.cost;
    }
  }
  if (result.solution) // the objective is summed in another order than the search's
    result.bound = std::min(result.bound, result.cost.objective);
  return result;
}

} // namespace gcompile
