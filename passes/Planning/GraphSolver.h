// Exact by shortest paths under resource limits in the layered choice graph (Boost.Graph's
// r_c_shortest_paths): a vertex between each two groups, an edge for each choice, bytes and time as
// resources, the objective as length. Shares nothing with the exact solver but the contraction of
// couplings, so that each checks the other.
//
// Bounds a partial path only by the least bytes and time of the rest, so the number of labels grows
// with the number of different sums, and Boost compares the labels of a vertex pair by pair: for
// problems of up to about 15 items of 5 choices; the limit of labels takes tens of seconds to
// reach. Bytes and picoseconds are whole numbers and never scaled. When there are more labels than
// the limit, the search stops: the result then holds no solution, `complete` is false and the bound
// is the sum of the least objectives.
#pragma once

#include "passes/Planning/Solver.h"

#include <cstddef>

namespace gcompile {

class GraphSolver final : public Solver {
public:
  explicit GraphSolver(size_t labelLimit = 100'000) : labelLimit(labelLimit) {}

  std::string name() const override { return "graph"; }
  SolveResult solve(const PlanProblem &problem) const override;

private:
  size_t labelLimit;
};

} // namespace gcompile
