// Exact, with a proof: couplings contracted, dominated options dropped, a Lagrangian bound with one
// multiplier for bytes and one for the time limit when it binds, options fixed by reduced cost, and
// a dynamic programme over what is left (Knapsack.h). The bound is proven whether or not the search
// came to its end; docs/planning.md says what the certificate means.
#pragma once

#include "passes/Planning/Solver.h"

namespace gcompile {

struct ExactOptions {
  // The search ends when (objective − bound) ≤ relativeGap · |objective|.
  double relativeGap = 1e-10;
  // Partial solutions that are looked at before it ends without; about ten million a second.
  size_t stateLimit = 6'000'000;
};

class ExactSolver final : public Solver {
public:
  explicit ExactSolver(const ExactOptions &options = {}) : options(options) {}

  std::string name() const override { return "exact"; }
  // Never worse than GreedySolver.
  SolveResult solve(const PlanProblem &problem) const override;

private:
  ExactOptions options;
};

} // namespace gcompile
