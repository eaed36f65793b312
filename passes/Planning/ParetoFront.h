// The front of quality against bytes: what the objective is at its best for every budget, from the
// least bytes that anything fits to the most that still help.
#pragma once

#include "passes/Planning/PlanProblem.h"

#include <cstddef>
#include <limits>
#include <vector>

namespace gcompile {

struct FrontPoint {
  PlanSolution solution;
  Evaluation cost;  // cost.bytes is what the plan needs, at most the budget that it was solved for
  double bound = 0; // no plan within cost.bytes has a lower objective
};

struct FrontOptions {
  // Budgets to look at; what cannot be met or does not help is left out.
  int64_t minBytes = 0, maxBytes = std::numeric_limits<int64_t>::max();
  // Budgets that are solved. Fewer points come back where several have the same plan.
  size_t points = 256;
};

// Solves `problem` at `options.points` budgets (its own budgetBytes is not looked at; its speed
// limit is). The points come by rising bytes with strictly falling objective; each passes `verify`
// at a budget of its own bytes. Empty when nothing fits. Requires check(problem) to be empty.
std::vector<FrontPoint> solveFront(const PlanProblem &problem, const FrontOptions &options = {});

} // namespace gcompile
