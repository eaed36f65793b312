// Every solver on the same problems, random and from files, against brute force: the answer passes
// `verify`, bound ≤ optimum ≤ answer, and the exact ones reach the optimum.
#include "passes/Planning/Solvers.h"
#include "passes/Planning/ExactSolver.h"

#include "tests/unit/planning/BruteForce.h"
#include "tests/unit/planning/Instances.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <sstream>

using namespace gcompile;

namespace {

struct Tally {
  int feasible = 0, infeasible = 0, bindingTime = 0;
};

double scaleOf(double objective) { return 1e-9 * std::max(1.0, std::abs(objective)); }

void expectSame(const SolveResult &a, const SolveResult &b) {
  ASSERT_EQ(a.solution.has_value(), b.solution.has_value());
  if (a.solution) {
    EXPECT_EQ(a.solution->choice, b.solution->choice);
  }
  EXPECT_EQ(a.bound, b.bound);
}

// What every solver promises. `optimum`: none when nothing fits.
void expectSound(const Solver &solver, const PlanProblem &problem, std::optional<double> optimum) {
  SolveResult result = solver.solve(problem);
  bool exact = solver.name() != "greedy";
  if (!optimum) {
    EXPECT_FALSE(result.solution);
    EXPECT_TRUE(result.complete || !exact);
    return;
  }
  EXPECT_LE(result.bound, *optimum + scaleOf(*optimum));
  if (exact) {
    EXPECT_TRUE(result.complete);
    ASSERT_TRUE(result.solution);
  } else if (!result.solution) {
    EXPECT_FALSE(result.complete); // greedy may miss what meets two limits, but has to say so
    return;
  }
  EXPECT_EQ(verify(problem, *result.solution), "");
  Evaluation cost = evaluate(problem, *result.solution);
  EXPECT_EQ(cost.objective, result.cost.objective);
  EXPECT_GE(cost.objective, *optimum - scaleOf(*optimum));
  if (exact) {
    EXPECT_LE(cost.objective, *optimum + scaleOf(*optimum));
    EXPECT_LE(cost.objective - result.bound, 1e-3 * std::abs(*optimum) + 1e-12);
  }
  expectSame(result, solver.solve(problem));
}

void expectAllSound(const PlanProblem &problem, Tally &tally) {
  ASSERT_EQ(check(problem), "");
  std::optional<BruteForceResult> best = bruteForce(problem);
  ++(best ? tally.feasible : tally.infeasible);
  if (best && std::isfinite(problem.maxSeconds)) {
    PlanProblem untimed = problem;
    untimed.maxSeconds = std::numeric_limits<double>::infinity();
    tally.bindingTime += bruteForce(untimed)->cost.objective < best->cost.objective;
  }
  for (std::string_view name : solverNames()) {
    SCOPED_TRACE(name);
    expectSound(*makeSolver(name), problem,
                best ? std::optional(best->cost.objective) : std::nullopt);
  }
}

TEST(Solvers, AgreeWithBruteForceOnEveryFamily) {
  for (Family family : allFamilies) {
    Tally tally;
    for (uint32_t seed = 0; seed < 400; ++seed) {
      InstanceShape shape{.family = family, .items = 6, .options = 5};
      shape.couplings = seed % 2;
      shape.speedLimit = seed % 3 == 1;
      shape.unsupported = seed % 5 >= 3;
      shape.ratesOfExchange = seed % 7 >= 4;
      shape.tightness = double(seed % 11) / 10 - 0.05;
      PlanProblem problem = randomInstance(shape, seed);
      SCOPED_TRACE(std::string(name(family)) + ", seed " + std::to_string(seed) + "\n" +
                   printInstance(problem));
      expectAllSound(problem, tally);
      if (HasFailure())
        return;
    }
    EXPECT_GT(tally.feasible, 200) << name(family);
    EXPECT_GT(tally.infeasible, 20) << name(family);
    EXPECT_GT(tally.bindingTime, 10) << name(family);
  }
}

// Larger ones, where every choice still counts: two options each.
TEST(Solvers, AgreeWithBruteForceOnManyItems) {
  Tally tally;
  for (uint32_t seed = 0; seed < 200; ++seed) {
    InstanceShape shape{.family = allFamilies[seed % 5], .items = 15, .options = 2};
    shape.speedLimit = seed % 2;
    shape.tightness = 0.2 + 0.05 * double(seed % 9);
    PlanProblem problem = randomInstance(shape, seed);
    SCOPED_TRACE("seed " + std::to_string(seed) + "\n" + printInstance(problem));
    expectAllSound(problem, tally);
  }
  EXPECT_GT(tally.feasible, 100);
}

TEST(Solvers, AgreeWithTheOptimaInTheFiles) {
  std::vector<std::filesystem::path> files;
  for (const auto &entry : std::filesystem::directory_iterator(GC_PLANNING_INSTANCES))
    files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  int withOptimum = 0, withNothing = 0;
  for (const std::filesystem::path &file : files) {
    SCOPED_TRACE(file.filename());
    std::ifstream stream(file);
    std::stringstream text;
    text << stream.rdbuf();
    std::string error;
    std::optional<Instance> instance = parseInstance(text.str(), error);
    ASSERT_TRUE(instance) << error;
    withOptimum += instance->optimum.has_value();
    withNothing += instance->infeasible;
    ASSERT_TRUE(instance->optimum || instance->infeasible);
    for (std::string_view name : solverNames()) {
      SCOPED_TRACE(name);
      expectSound(*makeSolver(name), instance->problem, instance->optimum);
    }
  }
  EXPECT_GE(withOptimum, 6);
  EXPECT_GE(withNothing, 2);
}

TEST(Solvers, KnowTheirNames) {
  for (std::string_view name : solverNames())
    EXPECT_EQ(makeSolver(name)->name(), name);
  EXPECT_EQ(makeSolver("simplex"), nullptr);
  EXPECT_EQ(solverNames().front(), "exact");
}

TEST(Instances, ReadWhatIsPrinted) {
  for (uint32_t seed = 0; seed < 20; ++seed) {
    InstanceShape shape{.couplings = true, .speedLimit = seed % 2 == 1, .unsupported = true};
    PlanProblem problem = randomInstance(shape, seed);
    std::string text = printInstance(problem), error;
    std::optional<Instance> again = parseInstance(text, error);
    ASSERT_TRUE(again) << error;
    EXPECT_EQ(printInstance(again->problem), text);
  }
  std::string error;
  EXPECT_FALSE(parseInstance("item a\noption w4 12\n", error));
  EXPECT_EQ(error, "line 2: cannot be read: option w4 12");
}

} // namespace
