#include "passes/Planning/Explain.h"

#include "passes/Planning/PreparedProblem.h"

#include <algorithm>
#include <cstdlib>

namespace gcompile {

// Close enough for a choice: differences below a millionth of the objective are no reason.
constexpr ExactOptions effort = {.relativeGap = 1e-7, .stateLimit = 300'000};

namespace {

// Looks for the budget where an item changes its choice.
class FlipSearch {
public:
  FlipSearch(const PreparedProblem &prepared, size_t item, size_t choice, int64_t budget,
             const ExplainOptions &options)
      : prepared(prepared), item(item), choice(choice), budget(budget),
        resolution(options.resolutionBytes > 0 ? options.resolutionBytes
                                               : std::max<int64_t>(budget / 1024, 1)) {}

  // Steps away from the budget, each step four times the one before, until the choice is another,
  // then halves the interval.
  std::optional<FlipPoint> towards(int64_t limit, size_t maxSolves) {
    size_t last = solves + maxSolves;
    FlipPoint point{budget, budget, choice};
    for (int64_t step = resolution; point.flippedBytes == budget; step *= 4) {
      if (point.keptBytes == limit || solves >= last)
        return std::nullopt;
      test(limit < budget ? std::max(limit, budget - step) : std::min(limit, budget + step), point);
    }
    while (std::abs(point.flippedBytes - point.keptBytes) > resolution && solves < last)
      test(point.keptBytes + (point.flippedBytes - point.keptBytes) / 2, point);
    return point;
  }

  size_t solves = 0;

private:
  void test(int64_t at, FlipPoint &point) {
    ++solves;
    SolveResult result = prepared.solve(at, effort);
    // A budget that only just fits may not be solved; it tells nothing.
    if (!result.solution || result.solution->choice[item] == choice) {
      point.keptBytes = at;
    } else {
      point.flippedBytes = at;
      point.choice = result.solution->choice[item];
    }
  }

  const PreparedProblem &prepared;
  size_t item, choice;
  int64_t budget, resolution;
};

} // namespace

// Where more bytes help nothing: what the best plan without a budget needs.
static int64_t largestUsefulBytes(const PreparedProblem &prepared, const PlanProblem &problem) {
  int64_t all = problem.fixedBytes;
  for (const PlanItem &item : problem.items) {
    int64_t most = 0;
    for (const PlanOption &option : item.options)
      most = std::max(most, option.supported ? option.bytes : 0);
    all += most;
  }
  SolveResult best = prepared.solve(all, effort);
  return best.solution ? best.cost.bytes : problem.budgetBytes;
}

Explanation explain(const PlanProblem &problem, const PlanSolution &solution, size_t item,
                    const ExplainOptions &options) {
  Explanation result;
  result.choice = result.best = solution.choice[item];
  PreparedProblem prepared(problem);
  SolveResult best = prepared.solve(problem.budgetBytes, effort);
  result.solves = 1;
  if (auto relaxed = prepared.relaxAt(problem.budgetBytes))
    result.lossPerByte = relaxed->lossPerByte;
  // Equally good plans may differ in this item: then the plan asked about is as good as the best.
  double objective = evaluate(problem, solution).objective;
  if (best.solution && best.cost.objective < objective - 1e-6 * std::abs(objective))
    result.best = best.solution->choice[item];

  PlanProblem without = problem;
  without.items[item].options[result.choice].supported = false;
  if (check(without).empty()) {
    SolveResult other = PreparedProblem(without).solve(problem.budgetBytes, effort);
    ++result.solves;
    if (other.solution) {
      result.runnerUp = other.solution->choice[item];
      result.runnerUpCost = other.cost.objective - objective;
    }
  }
  if (result.best != result.choice)
    return result;
  FlipSearch search(prepared, item, result.choice, problem.budgetBytes, options);
  std::optional<int64_t> smallest = prepared.smallestBudget(effort);
  int64_t largest = largestUsefulBytes(prepared, problem);
  result.solves += 2;
  size_t left = options.maxSolves - std::min(options.maxSolves, result.solves);
  if (smallest && *smallest < problem.budgetBytes)
    result.withLess = search.towards(*smallest, left / 2);
  if (largest > problem.budgetBytes)
    result.withMore = search.towards(largest, left - left / 2);
  result.solves += search.solves;
  return result;
}

} // namespace gcompile
