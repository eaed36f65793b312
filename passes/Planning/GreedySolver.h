// Greedy over the convex hulls of the options (the multiple-choice knapsack of Sinha and Zoltners):
// start from the smallest, take the best reduction of the objective per byte, then fill what is
// left and try exchanges. The same hulls give the bound of the linear relaxation, so the gap that
// is printed is honest. A speed limit is met by pricing time, with the price found by bisection.
#pragma once

#include "passes/Planning/Solver.h"

namespace gcompile {

class GreedySolver final : public Solver {
public:
  std::string name() const override { return "greedy"; }
  SolveResult solve(const PlanProblem &problem) const override;
};

} // namespace gcompile
