#include "passes/Planning/Explain.h"

#include "passes/Planning/Solvers.h"

#include <algorithm>

namespace gcompile {
namespace {

class Search {
public:
  Search(const PlanProblem &problem, size_t item, const ExplainOptions &options)
      : varied(problem), item(item), maxSolves(options.maxSolves),
        solver(makeSolver(solverNames().front())),
        resolution(options.resolutionBytes > 0 ? options.resolutionBytes
                                               : std::max<int64_t>(problem.budgetBytes / 4096, 1)) {
  }

  SolveResult solveAt(int64_t budget) {
    varied.budgetBytes = budget;
    ++solves;
    return solver->solve(varied);
  }

  // Steps away from `budget` with doubling steps until the choice is another, then halves the
  // interval.
  std::optional<FlipPoint> flip(size_t choice, int64_t budget, int64_t limit,
                                size_t solvesAllowed) {
    size_t last = std::min(maxSolves, solves + solvesAllowed);
    FlipPoint point{budget, budget, choice};
    bool found = false;
    for (int64_t step = resolution; !found && point.keptBytes != limit && solves < last;
         step *= 4) {
      int64_t next =
          limit < budget ? std::max(limit, budget - step) : std::min(limit, budget + step);
      found = differs(choice, next, point);
    }
    if (!found)
      return std::nullopt;
    while (distance(point) > resolution && solves < last)
      differs(choice, point.keptBytes + (point.flippedBytes - point.keptBytes) / 2, point);
    return point;
  }

  PlanProblem varied;
  size_t item, maxSolves, solves = 0;

private:
  static int64_t distance(const FlipPoint &point) {
    return std::abs(point.flippedBytes - point.keptBytes);
  }

  bool differs(size_t choice, int64_t budget, FlipPoint &point) {
    SolveResult result = solveAt(budget);
    if (!result.solution || result.solution->choice[item] == choice) {
      point.keptBytes = budget;
      return false;
    }
    point.flippedBytes = budget;
    point.choice = result.solution->choice[item];
    return true;
  }

  std::unique_ptr<Solver> solver;
  int64_t resolution;
};

} // namespace

Explanation explain(const PlanProblem &problem, const PlanSolution &solution, size_t item,
                    const ExplainOptions &options) {
  Explanation result;
  result.choice = result.best = solution.choice[item];
  Search search(problem, item, options);
  SolveResult best = search.solveAt(problem.budgetBytes);
  if (best.solution)
    result.best = best.solution->choice[item];

  PlanOption &taken = search.varied.items[item].options[result.choice];
  taken.supported = false;
  if (check(search.varied).empty()) {
    SolveResult other = search.solveAt(problem.budgetBytes);
    if (other.solution) {
      result.runnerUp = other.solution->choice[item];
      result.runnerUpCost = other.cost.objective - evaluate(problem, solution).objective;
    }
  }
  taken.supported = true;
  if (result.best == result.choice) {
    int64_t most = problem.fixedBytes;
    for (const PlanItem &each : problem.items) {
      int64_t largest = 0;
      for (const PlanOption &option : each.options)
        largest = std::max(largest, option.supported ? option.bytes : 0);
      most += largest;
    }
    size_t half = (options.maxSolves - std::min(options.maxSolves, search.solves)) / 2;
    if (best.smallestBytes < problem.budgetBytes)
      result.withLess = search.flip(result.choice, problem.budgetBytes, best.smallestBytes, half);
    if (most > problem.budgetBytes)
      result.withMore = search.flip(result.choice, problem.budgetBytes, most, half);
  }
  result.solves = search.solves;
  return result;
}

} // namespace gcompile
