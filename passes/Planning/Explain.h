// Why an item of a plan has the format that it has: what a byte is worth at this budget, the next
// best option and what it would cost, and the budgets at which the choice changes.
#pragma once

#include "passes/Planning/PlanProblem.h"

#include <cstddef>
#include <optional>

namespace gcompile {

// Between two budgets that were solved: at `keptBytes` the item still takes its choice, at
// `flippedBytes` it takes `choice`. They are at most `ExplainOptions::resolutionBytes` apart,
// unless the number of solves ran out first.
struct FlipPoint {
  int64_t keptBytes = 0, flippedBytes = 0;
  size_t choice = 0; // option index at `flippedBytes`
};

struct ExplainOptions {
  size_t maxSolves = 20;       // all together; each is one call of the exact solver
  int64_t resolutionBytes = 0; // 0: a 1024th of the budget
};

struct Explanation {
  size_t choice = 0; // of the item, in the plan that was asked about
  // What a byte more is worth: objective per byte, the slope of the linear relaxation at this
  // budget. 0 when the budget does not bind.
  double lossPerByte = 0;
  // The item's option in the best plan at this budget; differs from `choice` when the plan was
  // edited or came from another solver.
  size_t best = 0;
  // The item's option in the best plan that does not take `choice`, and how much higher the
  // objective of that plan is than that of the plan asked about. None: no other option fits.
  std::optional<size_t> runnerUp;
  double runnerUpCost = 0;
  // The nearest change of the choice that was found with a smaller and with a larger budget. None:
  // it keeps its choice down to the smallest budget that fits, or up to where more bytes help
  // nothing. Budgets between the solved ones are not looked at: an optimal plan may change its mind
  // and back again in between.
  std::optional<FlipPoint> withLess, withMore;
  size_t solves = 0;
};

// Requires check(problem) to be empty, verify(problem, solution) to pass, and an index of an item.
Explanation explain(const PlanProblem &problem, const PlanSolution &solution, size_t item,
                    const ExplainOptions &options = {});

} // namespace gcompile
