// Why an item has its format: facts that can be worked out by hand.
#include "passes/Planning/Explain.h"
#include "passes/Planning/ExactSolver.h"

#include "tests/unit/planning/Instances.h"

#include <gtest/gtest.h>

using namespace gcompile;

namespace {

// Two tensors: `a` gains 8 for 100 bytes more, `b` gains 5 for 100 bytes more.
PlanProblem twoTensors(int64_t budget) {
  PlanProblem problem;
  problem.items = {{"a", "q", ItemKind::Weight, 0, 1, 1, {{"w2", 100, 8, 0}, {"w4", 200, 0, 0}}},
                   {"b", "k", ItemKind::Weight, 0, 1, 1, {{"w2", 100, 5, 0}, {"w4", 200, 0, 0}}}};
  problem.budgetBytes = budget;
  return problem;
}

TEST(Explain, FindsTheBudgetsWhereTheChoiceChanges) {
  PlanProblem problem = twoTensors(350);
  PlanSolution plan{{1, 0}}; // `a` is worth more
  Explanation a = explain(problem, plan, 0, {.maxSolves = 40, .resolutionBytes = 1});
  EXPECT_EQ(a.best, 1u);
  ASSERT_TRUE(a.withLess);
  EXPECT_EQ(a.withLess->keptBytes, 300); // one of the two at 4 bits
  EXPECT_EQ(a.withLess->flippedBytes, 299);
  EXPECT_EQ(a.withLess->choice, 0u);
  EXPECT_FALSE(a.withMore);
  ASSERT_TRUE(a.runnerUp);
  EXPECT_EQ(*a.runnerUp, 0u);
  EXPECT_DOUBLE_EQ(a.runnerUpCost, 3);   // then `b` takes w4
  EXPECT_DOUBLE_EQ(a.lossPerByte, 0.05); // half of b's step of 5 for 100 bytes fits

  Explanation b = explain(problem, plan, 1, {.maxSolves = 40, .resolutionBytes = 1});
  EXPECT_FALSE(b.withLess);
  ASSERT_TRUE(b.withMore);
  EXPECT_EQ(b.withMore->keptBytes, 399);
  EXPECT_EQ(b.withMore->flippedBytes, 400);
  EXPECT_EQ(b.withMore->choice, 1u);
}

TEST(Explain, SaysWhenThePlanIsNotTheBest) {
  PlanProblem problem = twoTensors(300);
  Explanation why = explain(problem, {{0, 1}}, 0);
  EXPECT_EQ(why.choice, 0u);
  EXPECT_EQ(why.best, 1u);
  EXPECT_DOUBLE_EQ(why.runnerUpCost, -3);
}

TEST(Explain, HasNoRunnerUpWithoutAnotherOption) {
  PlanProblem problem = twoTensors(200);
  Explanation why = explain(problem, {{0, 0}}, 0);
  EXPECT_FALSE(why.runnerUp);
  EXPECT_LE(why.solves, ExplainOptions().maxSolves);
}

// The ends of each interval, solved again to the last digit, show the change.
TEST(Explain, FlipsAreTrueOnE2B) {
  PlanProblem problem = modelInstance("E2B", 12, 3.5, 1);
  SolveResult plan = ExactSolver().solve(problem);
  ASSERT_TRUE(plan.solution);
  int flips = 0, agreed = 0;
  for (size_t item = 0; item < problem.items.size(); item += 23) {
    Explanation why = explain(problem, *plan.solution, item);
    EXPECT_EQ(why.best, why.choice);
    EXPECT_GT(why.lossPerByte, 0);
    EXPECT_LE(why.solves, ExplainOptions().maxSolves);
    if (why.runnerUp) {
      EXPECT_NE(*why.runnerUp, why.choice);
      EXPECT_GE(why.runnerUpCost, -1e-6 * plan.cost.objective);
    }
    for (const std::optional<FlipPoint> &flip : {why.withLess, why.withMore}) {
      if (!flip)
        continue;
      ++flips;
      EXPECT_NE(flip->choice, why.choice);
      PlanProblem varied = problem;
      varied.budgetBytes = flip->flippedBytes;
      agreed += ExactSolver().solve(varied).solution->choice[item] == flip->choice;
    }
  }
  EXPECT_GT(flips, 10);
  EXPECT_GE(agreed, flips * 9 / 10); // plans that are equal to a ten-millionth may differ
}

} // namespace
