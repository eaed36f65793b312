// The seam between a planning problem and whoever solves it. A solver is deterministic: the same
// problem gives the same solution.
#pragma once

#include "passes/Planning/PlanProblem.h"

#include <optional>
#include <string>

namespace gcompile {

struct SolveResult {
  std::optional<PlanSolution> solution; // none: nothing fits
  Evaluation cost;                      // of the solution
  double bound = 0;                     // no valid solution has a lower objective
  int64_t smallestBytes = 0;            // least bytes of any supported choice, budget or not
  PlanSolution smallest;                // the choice that has them, with the least objective
  // False when the solver gave up looking: without a solution it is then not proven that nothing
  // fits; with one, the gap to `bound` may be larger than what was aimed at.
  bool complete = true;
};

class Solver {
public:
  virtual ~Solver() = default;
  virtual std::string name() const = 0;
  // Requires check(problem) to be empty.
  virtual SolveResult solve(const PlanProblem &problem) const = 0;
};

} // namespace gcompile
