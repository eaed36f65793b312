// A problem made ready to be solved at many budgets: couplings contracted and dominated options
// dropped once.
#pragma once

#include "passes/Planning/ChoiceGroups.h"
#include "passes/Planning/ExactSolver.h"
#include "passes/Planning/Knapsack.h"

#include <optional>

namespace gcompile {

class PreparedProblem {
public:
  // Requires check(problem) to be empty. `problem` must outlive this; its budgetBytes is not looked
  // at, all else is, and must not change.
  explicit PreparedProblem(const PlanProblem &problem);

  // Some coupling has no formats that all its members support: nothing fits any budget.
  bool isInconsistent() const { return inconsistent; }

  // As ExactSolver, but without the comparison with GreedySolver when the search stops early.
  SolveResult solve(int64_t budgetBytes, const ExactOptions &options = {}) const;

  // The relaxation at a budget.
  struct Relaxed {
    double bound = 0;       // no plan within the budget has a lower objective
    double lossPerByte = 0; // what a byte more is worth: how fast the bound falls
  };
  // None: nothing fits.
  std::optional<Relaxed> relaxAt(int64_t budgetBytes) const;

  // The least bytes, fixed ones included, that a plan within the time limit has. None: no plan
  // meets it, or the search stopped before one was found. When it stopped early there may be a
  // smaller one.
  std::optional<int64_t> smallestBudget(const ExactOptions &options = {}) const;

private:
  Knapsack knapsackAt(int64_t budgetBytes) const;

  const PlanProblem &problem;
  std::vector<ChoiceGroup> groups;
  Knapsack knapsack; // option indices are choices of the groups; the limit of bytes is open
  SolveResult smallest;
  bool inconsistent = false;
};

} // namespace gcompile
