// The greedy solver against brute force, on small random problems.
#include "passes/Planning/GreedySolver.h"

#include <gtest/gtest.h>

#include <optional>
#include <random>

using namespace gcompile;

namespace {

PlanProblem randomProblem(uint32_t seed) {
  std::mt19937 random(seed);
  auto below = [&](int n) { return int(random() % uint32_t(n)); };
  PlanProblem problem;
  int items = 1 + below(6);
  int64_t largest = 0;
  for (int i = 0; i < items; ++i) {
    PlanItem item;
    item.name = "item" + std::to_string(i);
    int options = 1 + below(5);
    int64_t most = 0;
    for (int o = 0; o < options; ++o) {
      PlanOption option;
      option.format = "f" + std::to_string(o);
      option.storedBytes = below(3) * 100;
      option.bytes = below(1000);
      option.loss = below(1000) / 100.0;
      option.seconds = below(100) / 1000.0;
      option.supported = o == 0 || below(5) != 0;
      most = std::max(most, option.bytes);
      item.options.push_back(option);
    }
    largest += most;
    problem.items.push_back(item);
  }
  if (items >= 3 && below(2))
    problem.couplings.push_back({"tied", {0, 2}});
  problem.fixedBytes = below(100);
  problem.budgetBytes = problem.fixedBytes + below(int(largest) + 2);
  problem.fixedSeconds = 0.01;
  problem.lossPerSecond = below(3) * 5.0;
  problem.lossPerStoredByte = below(2) * 1e-3;
  if (below(3) == 0)
    problem.maxSeconds = 0.01 + below(300) / 1000.0;
  return problem;
}

// The definition: the best of all combinations that verify.
std::optional<Evaluation> bruteForce(const PlanProblem &problem) {
  std::optional<Evaluation> best;
  PlanSolution solution{std::vector<size_t>(problem.items.size(), 0)};
  while (true) {
    if (verify(problem, solution).empty()) {
      Evaluation cost = evaluate(problem, solution);
      if (!best || cost.objective < best->objective)
        best = cost;
    }
    size_t i = 0;
    for (; i < solution.choice.size(); ++i) {
      if (++solution.choice[i] < problem.items[i].options.size())
        break;
      solution.choice[i] = 0;
    }
    if (i == solution.choice.size())
      return best;
  }
}

TEST(GreedySolver, AgreesWithBruteForceOnSmallProblems) {
  int feasible = 0, optimal = 0, missed = 0;
  double worst = 0;
  for (uint32_t seed = 0; seed < 3000; ++seed) {
    PlanProblem problem = randomProblem(seed);
    ASSERT_EQ(check(problem), "");
    SolveResult result = GreedySolver().solve(problem);
    std::optional<Evaluation> best = bruteForce(problem);
    if (!best) {
      EXPECT_FALSE(result.solution) << "seed " << seed;
      continue;
    }
    if (problem.maxSeconds < 1e9 && !result.solution) {
      ++missed; // two limits at once: greedy may miss a needle
      continue;
    }
    ASSERT_TRUE(result.solution) << "seed " << seed;
    EXPECT_EQ(verify(problem, *result.solution), "") << "seed " << seed;
    EXPECT_GE(result.cost.objective, best->objective - 1e-9) << "seed " << seed;
    EXPECT_LE(result.bound, best->objective + 1e-9) << "seed " << seed;
    ++feasible;
    optimal += result.cost.objective <= best->objective + 1e-9;
    worst = std::max(worst, result.cost.objective - best->objective);
  }
  EXPECT_GT(feasible, 1200);
  EXPECT_GT(optimal, feasible * 9 / 10) << "worst " << worst;
  EXPECT_LT(missed, 60);
}

TEST(GreedySolver, SaysWhatTheSmallestChoiceNeeds) {
  PlanProblem problem;
  problem.items = {
      {"a", "q", ItemKind::Weight, 0, 1, 1, {{"w4", 40, 1, 0}, {"w2", 20, 9, 0, false}}},
      {"b", "k", ItemKind::Weight, 0, 1, 1, {{"w4", 40, 1, 0}, {"w2", 20, 9, 0}}}};
  problem.fixedBytes = 5;
  problem.budgetBytes = 64;
  SolveResult result = GreedySolver().solve(problem);
  EXPECT_FALSE(result.solution);
  EXPECT_EQ(result.smallestBytes, 65);
  problem.budgetBytes = 65;
  EXPECT_TRUE(GreedySolver().solve(problem).solution);
}

TEST(GreedySolver, ReachesTheBoundWhenEverythingFits) {
  PlanProblem problem;
  problem.items = {{"a", "q", ItemKind::Weight, 0, 1, 1, {{"w4", 40, 1, 0}, {"bf16", 160, 0, 0}}}};
  problem.budgetBytes = 1000;
  SolveResult result = GreedySolver().solve(problem);
  ASSERT_TRUE(result.solution);
  EXPECT_EQ(result.cost.objective, 0);
  EXPECT_EQ(result.bound, 0);
}

TEST(GreedySolver, GivesTheSameSolutionForTheSameProblem) {
  for (uint32_t seed = 0; seed < 50; ++seed) {
    PlanProblem problem = randomProblem(seed);
    SolveResult a = GreedySolver().solve(problem), b = GreedySolver().solve(problem);
    ASSERT_EQ(a.solution.has_value(), b.solution.has_value());
    if (a.solution) {
      EXPECT_EQ(a.solution->choice, b.solution->choice);
    }
  }
}

TEST(PlanProblem, RefusesWhatMakesNoSense) {
  PlanProblem problem;
  problem.items = {{"a", "q", ItemKind::Weight, 0, 1, 1, {{"w4", 40, 1, 0, false}}}};
  EXPECT_EQ(check(problem), "item 'a' has no supported option");
  problem.items[0].options = {{"w4", -1, 1, 0}};
  EXPECT_NE(check(problem).find("-1 bytes"), std::string::npos);
  problem.items[0].options = {{"w4", 1, 1, 0}, {"w4", 2, 1, 0}};
  EXPECT_NE(check(problem).find("twice"), std::string::npos);
  problem.items[0].options = {{"w4", 1, 1, 0}};
  problem.couplings = {{"tied", {0, 3}}};
  EXPECT_NE(check(problem).find("names item 3 of 1"), std::string::npos);
}

TEST(PlanProblem, VerifyNamesEachFault) {
  PlanProblem problem;
  problem.items = {
      {"a", "q", ItemKind::Weight, 0, 1, 1, {{"w4", 40, 1, 0}, {"w8", 80, 0, 0, false}}},
      {"b", "k", ItemKind::Weight, 0, 1, 1, {{"w4", 40, 1, 0}, {"w2", 20, 9, 0}}}};
  problem.couplings = {{"tied", {0, 1}}};
  problem.budgetBytes = 79;
  EXPECT_NE(verify(problem, {{0}}).find("for 2 items"), std::string::npos);
  EXPECT_NE(verify(problem, {{1, 0}}).find("not supported"), std::string::npos);
  EXPECT_NE(verify(problem, {{0, 1}}).find("must take one format (tied)"), std::string::npos);
  EXPECT_NE(verify(problem, {{0, 0}}).find("needs 80 bytes, the budget is 79"), std::string::npos);
  problem.budgetBytes = 80;
  EXPECT_EQ(verify(problem, {{0, 0}}), "");
}

} // namespace
