#include "passes/Planning/PreparedProblem.h"

#include <algorithm>
#include <cassert>
#include <cmath>

namespace gcompile {

PreparedProblem::PreparedProblem(const PlanProblem &problem) : problem(problem) {
  assert(check(problem).empty() && "a problem has to make sense");
  Contraction contraction = contract(problem);
  inconsistent = contraction.inconsistent > 0;
  if (inconsistent)
    return;
  groups = std::move(contraction.groups);
  bool timed = std::isfinite(problem.maxSeconds);
  knapsack.resources = timed ? 2 : 1;
  knapsack.limit = {0, timed ? picosecondsLeft(problem) : 0};
  for (ChoiceGroup &group : groups) {
    dropDominated(group.choices, timed);
    std::vector<KnapsackOption> &options = knapsack.groups.emplace_back();
    for (const Choice &choice : group.choices)
      options.push_back({{choice.bytes, timed ? choice.picoseconds : 0}, choice.cost});
  }
  findSmallest(problem, groups, smallest);
}

Knapsack PreparedProblem::knapsackAt(int64_t budgetBytes) const {
  Knapsack result = knapsack;
  result.limit[0] = budgetBytes - problem.fixedBytes;
  return result;
}

SolveResult PreparedProblem::solve(int64_t budgetBytes, const ExactOptions &options) const {
  SolveResult result = smallest;
  if (inconsistent || smallest.smallestBytes > budgetBytes)
    return result;
  SearchResult found =
      searchKnapsack(knapsackAt(budgetBytes), {options.relativeGap, options.stateLimit});
  result.complete = found.complete;
  result.bound = found.bound + problem.lossPerSecond * problem.fixedSeconds;
  if (!found.solution)
    return result;
  std::vector<size_t> choice(found.solution->option.begin(), found.solution->option.end());
  result.solution = expand(problem, groups, choice);
  result.cost = evaluate(problem, *result.solution);
  // The objective is summed in another order than the search's.
  result.bound = std::min(result.bound, result.cost.objective);
  return result;
}

std::optional<PreparedProblem::Relaxed> PreparedProblem::relaxAt(int64_t budgetBytes) const {
  if (inconsistent || smallest.smallestBytes > budgetBytes)
    return std::nullopt;
  std::optional<Relaxation> dual = solveDual(knapsackAt(budgetBytes));
  if (!dual)
    return std::nullopt;
  return Relaxed{dual->bound + problem.lossPerSecond * problem.fixedSeconds, dual->multiplier[0]};
}

std::optional<int64_t> PreparedProblem::smallestBudget(const ExactOptions &options) const {
  if (inconsistent)
    return std::nullopt;
  if (knapsack.resources == 1)
    return smallest.smallestBytes;
  Knapsack bytes = knapsack; // bytes become the cost, time the only limit
  bytes.resources = 1;
  bytes.limit = {knapsack.limit[1], 0};
  for (std::vector<KnapsackOption> &group : bytes.groups)
    for (KnapsackOption &option : group) {
      option.cost = double(option.use[0]);
      option.use = {option.use[1], 0};
    }
  SearchResult found = searchKnapsack(bytes, {options.relativeGap, options.stateLimit});
  if (!found.solution)
    return std::nullopt;
  int64_t total = problem.fixedBytes;
  for (size_t g = 0; g < groups.size(); ++g)
    total += groups[g].choices[found.solution->option[g]].bytes;
  return total;
}

} // namespace gcompile
