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

  // A multiplier of bytes at which the relaxation at this budget is best: what a byte more is
  // worth, in units of the objective. None: nothing fits.
  std::optional<double> lossPerByte(int64_t budgetBytes) const;

  // The least bytes, fixed ones included, that a plan within the time limit has. None: no plan
  // meets it, or the search stopped before one was found. When it stopped early there may be a
  // smaller one.
  std::optional<int64_t> smallestBudget(const ExactOptions &options = {}) const;

  // Bytes (fixed ones included) and objective of the best plan at this price of a byte, the time
  // limit left out. Falling prices go along the front from the smallest plan to the best one.
  struct Priced {
    int64_t bytes;
    double objective;
  };
  Priced atPrice(double lossPerByte) const;

private:
  Knapsack knapsackAt(int64_t budgetBytes) const;

  const PlanProblem &problem;
  std::vector<ChoiceGroup> groups;
  Knapsack knapsack; // option indices are choices of the groups; the limit of bytes is open
  SolveResult smallest;
  bool inconsistent = false;
};

} // namespace gcompile
