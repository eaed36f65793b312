// The front of quality against bytes.
#include "passes/Planning/ParetoFront.h"

#include "tests/unit/planning/BruteForce.h"
#include "tests/unit/planning/Instances.h"

#include <gtest/gtest.h>

#include <random>

using namespace gcompile;

namespace {

// Six tensors of rising sensitivity with formats of 2, 4 and 8 bits.
PlanProblem sixTensors() {
  PlanProblem problem;
  std::mt19937 random(7);
  for (int i = 0; i < 6; ++i) {
    PlanItem item;
    item.name = "t" + std::to_string(i);
    double loss = 1 + double(random() % 1000) / 100;
    int64_t size = 50 + int64_t(random() % 100);
    item.options = {{"w2", size, loss, 0}, {"w4", 2 * size, loss / 8, 0}, {"w8", 4 * size, 0, 0}};
    problem.items.push_back(item);
  }
  problem.fixedBytes = 11;
  return problem;
}

TEST(ParetoFront, PointsAreValidMonotoneAndBounded) {
  PlanProblem problem = sixTensors();
  std::vector<FrontPoint> front = solveFront(problem, {.points = 64});
  ASSERT_GT(front.size(), 20u);
  for (size_t i = 0; i < front.size(); ++i) {
    const FrontPoint &point = front[i];
    problem.budgetBytes = point.cost.bytes;
    EXPECT_EQ(verify(problem, point.solution), "");
    EXPECT_EQ(evaluate(problem, point.solution).objective, point.cost.objective);
    std::optional<BruteForceResult> best = bruteForce(problem);
    ASSERT_TRUE(best);
    EXPECT_LE(point.bound, best->cost.objective + 1e-9);
    if (i > 0) {
      EXPECT_GT(point.cost.bytes, front[i - 1].cost.bytes);
      EXPECT_LT(point.cost.objective, front[i - 1].cost.objective);
    }
  }
  EXPECT_EQ(front.back().cost.objective, 0); // everything in w8
}

TEST(ParetoFront, StaysWithinTheBytesAskedFor) {
  PlanProblem problem = sixTensors();
  std::vector<FrontPoint> all = solveFront(problem, {.points = 64});
  ASSERT_GT(all.size(), 8u);
  FrontOptions options{.minBytes = all[2].cost.bytes, .maxBytes = all[6].cost.bytes, .points = 64};
  std::vector<FrontPoint> part = solveFront(problem, options);
  ASSERT_FALSE(part.empty());
  EXPECT_GE(part.front().cost.bytes, options.minBytes);
  EXPECT_LE(part.back().cost.bytes, options.maxBytes);
  options.maxBytes = problem.fixedBytes;
  EXPECT_TRUE(solveFront(problem, options).empty());
}

TEST(ParetoFront, HasTwoHundredProvenPointsForE2B) {
  PlanProblem problem = modelInstance("E2B", 12, 4, 3);
  std::vector<FrontPoint> front = solveFront(problem);
  EXPECT_GE(front.size(), 200u);
  EXPECT_LE(front.size(), FrontOptions().points);
  for (const FrontPoint &point : front) {
    problem.budgetBytes = point.cost.bytes;
    EXPECT_EQ(verify(problem, point.solution), "");
    EXPECT_LE(point.bound, point.cost.objective);
    EXPECT_LE(point.cost.objective - point.bound, 1e-3 * point.cost.objective);
  }
}

TEST(ParetoFront, KeepsTheSpeedLimit) {
  PlanProblem problem = sixTensors();
  for (PlanItem &item : problem.items)
    for (PlanOption &option : item.options)
      option.seconds = double(option.bytes) * 1e-3;
  problem.maxSeconds = 1;
  std::vector<FrontPoint> front = solveFront(problem, {.points = 64});
  ASSERT_GT(front.size(), 5u);
  for (const FrontPoint &point : front) {
    problem.budgetBytes = point.cost.bytes;
    EXPECT_EQ(verify(problem, point.solution), "");
    EXPECT_LE(point.bound, bruteForce(problem)->cost.objective + 1e-9);
  }
  problem.maxSeconds = 1e-3;
  EXPECT_TRUE(solveFront(problem).empty());
}

} // namespace
