// The problem of a plan, rebuilt from what it keeps; faults of edited plans.
#include "compiler/Plan/PlanPrices.h"
#include "SamplePlan.h"
#include "compiler/Plan/PlanText.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace gcompile;
using testing::HasSubstr;

namespace {

std::string refusal(const Plan &plan) {
  llvm::Expected<PricedPlan> priced = pricedPlan(plan);
  return priced ? "" : llvm::toString(priced.takeError());
}

TEST(PlanPrices, GiveTheAccountAndTheObjectiveAgain) {
  Plan plan = samplePlan();
  PricedPlan priced = llvm::cantFail(pricedPlan(plan));
  ASSERT_EQ(priced.problem.items.size(), 8u); // five matrices, a table, two caches
  Evaluation cost = evaluate(priced.problem, priced.solution);
  EXPECT_EQ(cost.bytes, plan.memory.peak());
  EXPECT_NEAR(cost.objective, 0.124, 1e-12);
  EXPECT_EQ(priced.problem.items.back().name, "kv.global");
  EXPECT_EQ(verify(priced.problem, priced.solution), "");
}

TEST(PlanPrices, SurviveTheFile) {
  Plan plan = samplePlan();
  plan.optimality.fixedSeconds = 0.25;
  plan.optimality.lossPerSecond = 2; // 122 us of tensors and caches, and the fixed quarter second
  plan.optimality.lossPerStoredByte = 1e-7;
  plan.tensors[0].options[2].allowed = false;
  plan.couplings = {{"fused", {"layers.1.q.weight", "layers.1.down.weight"}}};
  PricedPlan before;
  plan.optimality.objective =
      0.124 + 2 * (0.25 + 8e-6 + 8e-6 + 4e-6 + 2e-6 + 4e-6 + 100e-6 + 1e-6 + 1e-6) + 1e-7 * 8000;
  before = llvm::cantFail(pricedPlan(plan));
  Plan read = llvm::cantFail(parsePlan(planText(plan), "test"));
  PricedPlan after = llvm::cantFail(pricedPlan(read));
  ASSERT_EQ(after.problem.items.size(), before.problem.items.size());
  for (size_t i = 0; i < after.problem.items.size(); ++i)
    for (size_t o = 0; o < after.problem.items[i].options.size(); ++o) {
      const PlanOption &a = before.problem.items[i].options[o];
      const PlanOption &b = after.problem.items[i].options[o];
      EXPECT_EQ(std::tie(a.format, a.bytes, a.loss, a.seconds, a.supported, a.storedBytes),
                std::tie(b.format, b.bytes, b.loss, b.seconds, b.supported, b.storedBytes));
    }
  ASSERT_EQ(after.problem.couplings.size(), 1u);
  EXPECT_EQ(after.problem.couplings[0].items, (std::vector<size_t>{2, 4}));
  EXPECT_EQ(evaluate(after.problem, after.solution).objective,
            evaluate(before.problem, before.solution).objective);
}

TEST(PlanPrices, RefuseWhatWasEditedSince) {
  Plan plan = samplePlan();
  plan.tensors[2].format = WeightFormat::W8;
  EXPECT_THAT(refusal(plan), HasSubstr("replay it with --plan"));
  plan = samplePlan();
  plan.tensors[2].format = WeightFormat::BF16;
  EXPECT_THAT(refusal(plan),
              HasSubstr("takes 'bf16' for 'layers.1.q.weight', which it does not price"));
  plan = samplePlan();
  plan.tensors[0].options[0].allowed = false;
  EXPECT_THAT(refusal(plan), HasSubstr("ruled out"));
  plan = samplePlan();
  plan.budgetBytes = 9000;
  EXPECT_THAT(refusal(plan), HasSubstr("9872 bytes, the budget is 9000"));
  plan = samplePlan();
  plan.couplings = {{"tied", {"embed.weight", "layers.1.q.weight"}}};
  EXPECT_THAT(refusal(plan), HasSubstr("must take one format (tied)"));
  plan.couplings = {{"tied", {"embed.weight", "head.weight"}}};
  EXPECT_THAT(refusal(plan), HasSubstr("names 'head.weight'"));
  plan = samplePlan();
  for (PlannedTensor &tensor : plan.tensors)
    tensor.options.clear();
  for (PlannedKv &kv : plan.kvCaches)
    kv.options.clear();
  EXPECT_THAT(refusal(plan), HasSubstr("keeps no prices"));
}

} // namespace
