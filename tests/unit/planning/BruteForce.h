// The oracle: the best of all combinations that verify, by definition.
#pragma once

#include "passes/Planning/PlanProblem.h"

#include <optional>

namespace gcompile {

struct BruteForceResult {
  PlanSolution solution;
  Evaluation cost;
};

// None: no combination is valid. Takes the product of the items' options in time.
inline std::optional<BruteForceResult> bruteForce(const PlanProblem &problem) {
  std::optional<BruteForceResult> best;
  PlanSolution solution{std::vector<size_t>(problem.items.size(), 0)};
  while (true) {
    if (verify(problem, solution).empty()) {
      Evaluation cost = evaluate(problem, solution);
      if (!best || cost.objective < best->cost.objective)
        best = BruteForceResult{solution, cost};
    }
    size_t i = 0;
    for (; i < solution.choice.size(); ++i) {
      if (++solution.choice[i] < problem.items[i].options.size())
        break;
      solution.choice[i] = 0;
    }
    if (i == solution.choice.size())
      return best;
  }
}

} // namespace gcompile
