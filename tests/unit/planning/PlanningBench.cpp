// planning-bench: time and gap of the solvers on instances of the published sizes, and of the
// front. Times are printed, never asserted.
#include "passes/Planning/ExactSolver.h"
#include "passes/Planning/Explain.h"
#include "passes/Planning/ParetoFront.h"
#include "passes/Planning/Solvers.h"
#include "tests/unit/planning/Instances.h"

#include <cmath>
#include <cstdio>
#include <ctime>

using namespace gcompile;

// Of the processor, not of the clock: other programs may be running.
template <typename Work>
static double secondsOf(Work work) {
  std::clock_t start = std::clock();
  work();
  return double(std::clock() - start) / CLOCKS_PER_SEC;
}

static void solve(const char *solver, const PlanProblem &problem, std::string_view size,
                  double bits) {
  SolveResult result;
  double seconds = secondsOf([&] { result = makeSolver(solver)->solve(problem); });
  std::string fault = result.solution ? verify(problem, *result.solution) : "no solution";
  double gap = (result.cost.objective - result.bound) / std::abs(result.cost.objective);
  std::printf("%-8.*s %5zu %5.2f %-5s %-7s %9.1f %12.6g %10.2e %s%s\n", int(size.size()),
              size.data(), problem.items.size(), bits,
              std::isfinite(problem.maxSeconds) ? "speed" : "", solver, 1e3 * seconds,
              result.cost.objective, result.solution ? gap : NAN,
              result.complete ? "" : "(stopped)", fault.c_str());
}

// The same problem with a time limit half way between the fastest plan within the budget and the
// one that is best without a limit.
static PlanProblem withSpeedLimit(PlanProblem problem) {
  Evaluation best = ExactSolver().solve(problem).cost;
  PlanProblem fast = problem;
  fast.lossPerSecond = 1e6;
  double fastest = ExactSolver().solve(fast).cost.seconds;
  problem.maxSeconds = fastest + 0.5 * (best.seconds - fastest);
  return problem;
}

static void benchSolvers() {
  std::printf("%-8s %5s %5s %-5s %-7s %9s %12s %10s\n", "size", "items", "bits", "limit", "solver",
              "ms", "objective", "gap");
  for (bool speed : {false, true})
    for (std::string_view size : modelInstanceNames())
      for (double bits : {2.8, 3.3, 4.5, 7.0}) {
        PlanProblem problem = modelInstance(size, 24, bits, 1);
        if (speed)
          problem = withSpeedLimit(problem);
        solve("greedy", problem, size, bits);
        solve("exact", problem, size, bits);
      }
}

static void benchFronts() {
  for (std::string_view size : modelInstanceNames())
    for (bool speed : {false, true}) {
      PlanProblem problem = modelInstance(size, 24, 4, 1);
      if (speed)
        problem = withSpeedLimit(problem);
      std::vector<FrontPoint> front;
      double seconds = secondsOf([&] { front = solveFront(problem, {}); });
      double worst = 0;
      for (const FrontPoint &point : front)
        worst = std::max(worst, (point.cost.objective - point.bound) / point.cost.objective);
      std::printf("front of %.*s%s: %zu points, worst gap %.1e, %.2f s\n", int(size.size()),
                  size.data(), speed ? " with a speed limit" : "", front.size(), worst, seconds);
    }
}

static void benchExplain() {
  PlanProblem problem = modelInstance("E2B", 24, 3.5, 1);
  SolveResult result = ExactSolver().solve(problem);
  double slowest = 0, total = 0;
  size_t flips = 0, explained = 0;
  for (size_t item = 0; item < problem.items.size(); item += 10, ++explained) {
    Explanation why;
    double seconds = secondsOf([&] { why = explain(problem, *result.solution, item); });
    slowest = std::max(slowest, seconds);
    total += seconds;
    flips += why.withLess.has_value() + why.withMore.has_value();
  }
  std::printf("explain on E2B: %zu items, mean %.1f ms, slowest %.1f ms, %zu flips found\n",
              explained, 1e3 * total / double(explained), 1e3 * slowest, flips);
}

// planning-bench [solve|front|explain]: all without a word.
int main(int count, char **arguments) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  std::string_view what = count > 1 ? arguments[1] : "";
  if (what.empty() || what == "solve")
    benchSolvers();
  if (what.empty() || what == "front")
    benchFronts();
  if (what.empty() || what == "explain")
    benchExplain();
}
