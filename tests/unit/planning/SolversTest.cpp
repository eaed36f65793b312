// Every solver on the same problems, random and from files, against brute force: the answer passes
// `verify`, bound ≤ optimum ≤ answer, and the exact ones reach the optimum.
#include "passes/Planning/Solvers.h"
#include "passes/Planning/ExactSolver.h"
#include "passes/Planning/GraphSolver.h"
#include "passes/Planning/GreedySolver.h"

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

// Too many for brute force: two exact solvers that share no bound and no search.
TEST(Solvers, ExactAndGraphAgreeOnMediumProblems) {
  int feasible = 0;
  for (uint32_t seed = 0; seed < 40; ++seed) {
    InstanceShape shape{.family = allFamilies[seed % 5], .items = 15, .options = 5};
    shape.couplings = seed % 2;
    shape.speedLimit = seed % 4 == 3;
    shape.tightness = 0.1 + 0.08 * double(seed % 10);
    PlanProblem problem = randomInstance(shape, seed);
    SCOPED_TRACE(std::string(name(shape.family)) + ", seed " + std::to_string(seed));
    SolveResult exact = ExactSolver().solve(problem), graph = GraphSolver().solve(problem);
    ASSERT_TRUE(exact.complete);
    ASSERT_TRUE(graph.complete);
    ASSERT_EQ(exact.solution.has_value(), graph.solution.has_value());
    if (!exact.solution)
      continue;
    ++feasible;
    EXPECT_EQ(verify(problem, *exact.solution), "");
    EXPECT_EQ(verify(problem, *graph.solution), "");
    EXPECT_NEAR(exact.cost.objective, graph.cost.objective, scaleOf(graph.cost.objective));
  }
  EXPECT_GT(feasible, 25);
}

// Hundreds of items of every family: nothing to compare with, but the certificate has to hold
// together, and greedy must not be better.
TEST(Solvers, ExactProvesItsGapOnLargeProblems) {
  for (Family family : allFamilies)
    for (bool speedLimit : {false, true})
      for (uint32_t seed = 0; seed < 3; ++seed) {
        SCOPED_TRACE(std::string(name(family)) + (speedLimit ? ", speed limit" : "") + ", seed " +
                     std::to_string(seed));
        InstanceShape shape{.family = family, .items = 400, .options = 12};
        shape.speedLimit = speedLimit;
        shape.tightness = 0.2 + 0.2 * seed;
        PlanProblem problem = randomInstance(shape, seed);
        SolveResult exact = ExactSolver().solve(problem), greedy = GreedySolver().solve(problem);
        if (!exact.solution) {
          EXPECT_TRUE(exact.complete);
          EXPECT_FALSE(greedy.solution);
          continue;
        }
        EXPECT_EQ(verify(problem, *exact.solution), "");
        EXPECT_LE(exact.cost.objective - exact.bound, 1e-3 * std::abs(exact.cost.objective));
        if (greedy.solution) {
          EXPECT_LE(exact.cost.objective, greedy.cost.objective + scaleOf(greedy.cost.objective));
        }
        EXPECT_LE(greedy.bound, exact.cost.objective + scaleOf(exact.cost.objective));
      }
}

TEST(Solvers, ExactProvesTheOptimumForThePublishedSizes) {
  for (std::string_view size : modelInstanceNames())
    for (double bits : {3.3, 4.5}) {
      SCOPED_TRACE(std::string(size) + " at " + std::to_string(bits) + " bits");
      PlanProblem problem = modelInstance(size, 24, bits, 2);
      SolveResult exact = ExactSolver().solve(problem), greedy = GreedySolver().solve(problem);
      ASSERT_TRUE(exact.solution);
      EXPECT_TRUE(exact.complete);
      EXPECT_EQ(verify(problem, *exact.solution), "");
      EXPECT_LE(exact.cost.objective - exact.bound, 1e-9 * exact.cost.objective);
      EXPECT_LE(exact.cost.objective, greedy.cost.objective);
      EXPECT_LE(greedy.bound, exact.cost.objective);
    }
}

// Stopped early, the answer is still valid and bounded, and the same every time.
TEST(Solvers, ExactIsBoundedWhenItIsStopped) {
  int stopped = 0;
  for (uint32_t seed = 0; seed < 20; ++seed) {
    InstanceShape shape{.family = Family::StronglyCorrelated, .items = 60, .options = 8};
    shape.speedLimit = true;
    PlanProblem problem = randomInstance(shape, seed);
    SolveResult full = ExactSolver().solve(problem);
    SolveResult little = ExactSolver({.stateLimit = 10}).solve(problem);
    expectSame(little, ExactSolver({.stateLimit = 10}).solve(problem));
    stopped += !little.complete;
    if (!full.solution || !full.complete)
      continue;
    EXPECT_LE(little.bound, full.cost.objective + scaleOf(full.cost.objective));
    if (little.solution) {
      EXPECT_EQ(verify(problem, *little.solution), "");
      EXPECT_GE(little.cost.objective, full.cost.objective - scaleOf(full.cost.objective));
    } else {
      EXPECT_FALSE(little.complete);
    }
  }
  EXPECT_GT(stopped, 5);
}

TEST(Solvers, GraphSaysWhenItHasTooManyLabels) {
  PlanProblem problem = modelInstance("E2B", 8, 4, 1);
  SolveResult result = GraphSolver(1000).solve(problem);
  EXPECT_FALSE(result.complete);
  EXPECT_FALSE(result.solution);
  EXPECT_LE(result.bound, ExactSolver().solve(problem).cost.objective);
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

TEST(PlanProblem, RefusesCouplingsThatMakeNoSense) {
  PlanProblem problem;
  problem.items = {{"a", "q", ItemKind::Weight, 0, 1, 1, {{"w4", 1, 1, 0}}},
                   {"b", "k", ItemKind::Weight, 0, 1, 1, {{"w4", 1, 1, 0}}}};
  problem.couplings = {{"tied", {0, 0}}};
  EXPECT_EQ(check(problem), "coupling 'tied' names item 'a' twice");
  problem.couplings = {{"only with", {0, 1}, {{"w4"}}}};
  EXPECT_EQ(check(problem), "coupling 'only with' has a row of 1 formats for 2 items");
  problem.couplings = {{"only with", {0, 1}, {{"w4", "w8"}}}};
  EXPECT_EQ(check(problem), "coupling 'only with' names format 'w8', which item 'b' does not have");
  problem.couplings = {{"only with", {0, 1}, {{"w4", ""}}}, {"again", {0, 1}}};
  EXPECT_EQ(check(problem), "");
  EXPECT_EQ(verify(problem, {{0, 0}}).substr(0, 15), "the plan needs ");
}

TEST(PlanProblem, RefusesTooManyJointChoices) {
  PlanProblem problem;
  Coupling coupling{"together", {}, {{}}};
  for (int i = 0; i < 10; ++i) {
    PlanItem item{"t" + std::to_string(i), "q", ItemKind::Weight, 0, 1, 1, {}};
    for (int o = 0; o < 4; ++o)
      item.options.push_back({"f" + std::to_string(o), o, 0, 0});
    problem.items.push_back(item);
    coupling.items.push_back(size_t(i));
    coupling.rows[0].push_back("");
  }
  problem.couplings = {coupling}; // any with any: 4^10
  EXPECT_EQ(check(problem), "the couplings around item 't0' connect too many items or leave more "
                            "than 65536 joint choices");
}

TEST(PlanProblem, RefusesSumsThatOverflow) {
  PlanProblem problem;
  for (int i = 0; i < 40; ++i)
    problem.items.push_back({"t" + std::to_string(i),
                             "q",
                             ItemKind::Weight,
                             0,
                             1,
                             1,
                             {{"w4", int64_t(1) << 56, 0, 0}}});
  EXPECT_NE(check(problem).find("more than 2^60"), std::string::npos);
  problem.items.resize(1);
  problem.items[0].options[0].seconds = 1e7;
  EXPECT_NE(check(problem).find("slowest options take"), std::string::npos);
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
