// Plan files: what is read is what was written, and what no planner writes is refused.
#include "compiler/Plan/PlanText.h"
#include "SamplePlan.h"
#include "compiler/Plan/PlanReport.h"

#include "llvm/Support/FormatVariadic.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace gcompile;
using testing::HasSubstr;
using testing::Not;

namespace {

std::string json(const Plan &plan) {
  return llvm::formatv("{0}", llvm::json::Value(planJson(plan))).str();
}

// Replaces the first occurrence of `from` in the sample's file and reads it.
std::string refusalAfter(const std::string &from, const std::string &to) {
  std::string text = planText(samplePlan());
  size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  if (at == std::string::npos)
    return "";
  llvm::Expected<Plan> plan = parsePlan(text.replace(at, from.size(), to), "edited");
  return plan ? "" : llvm::toString(plan.takeError());
}

TEST(PlanText, SurvivesAFile) {
  Plan plan = samplePlan();
  Plan read = llvm::cantFail(parsePlan(planText(plan), "test"));
  EXPECT_EQ(json(plan), json(read));
  EXPECT_EQ(planText(plan), planText(read));
}

TEST(PlanText, KeepsTheLinkFromLossesToKl) {
  Plan plan = samplePlan();
  plan.predicted.klLink = KlLink{-1.25, 1.0 / 3, 0.01, -2, -7.5, 1.5, 0.055, 16};
  std::string text = planText(plan);
  Plan read = llvm::cantFail(parsePlan(text, "test"));
  ASSERT_TRUE(read.predicted.klLink);
  EXPECT_EQ(planText(read), text);
  EXPECT_EQ(read.predicted.klLink->kl(0.3), plan.predicted.klLink->kl(0.3));
  EXPECT_EQ(read.predicted.klLink->plans, 16);
  EXPECT_FALSE(llvm::cantFail(parsePlan(planText(samplePlan()), "old")).predicted.klLink);
  for (const char *broken : {"slope: nan", "slope: 1e300"}) {
    std::string changed = text;
    size_t at = changed.find("slope:"), end = changed.find('\n', at);
    llvm::Expected<Plan> refused = parsePlan(changed.replace(at, end - at, broken), "edited");
    ASSERT_FALSE(bool(refused)) << broken;
    EXPECT_THAT(llvm::toString(refused.takeError()), HasSubstr("kl_link"));
  }
}

TEST(PlanText, KeepsWhatStaticScalesCost) {
  Plan plan = samplePlan();
  EXPECT_THAT(json(plan), HasSubstr("\"static_cost\":null"));
  plan.predicted.staticCost = StaticCost{1.0 / 3, "abc"};
  std::string text = planText(plan);
  Plan read = llvm::cantFail(parsePlan(text, "test"));
  ASSERT_TRUE(read.predicted.staticCost);
  EXPECT_EQ(read.predicted.staticCost->activations, 1.0 / 3);
  EXPECT_EQ(read.predicted.staticCost->scales, "abc");
  EXPECT_EQ(planText(read), text);
  EXPECT_THAT(json(read), HasSubstr("\"static_cost\":{\"activations\":0.3333"));
  EXPECT_THAT(planReport(read, {}), HasSubstr("0.3333 of it static activations"));
  EXPECT_FALSE(llvm::cantFail(parsePlan(planText(samplePlan()), "old")).predicted.staticCost);
  // Nothing is charged: a cost of 0 stays known.
  plan.predicted.staticCost->activations = 0;
  read = llvm::cantFail(parsePlan(planText(plan), "test"));
  EXPECT_TRUE(read.predicted.staticCost);
  EXPECT_THAT(planReport(read, {}), Not(HasSubstr("static activations")));
  for (const char *broken : {"activations: nan", "activations: -1", "activations: 1e300"}) {
    std::string changed = text;
    size_t at = changed.find("activations: 0.333"), end = changed.find('\n', at);
    llvm::Expected<Plan> refused = parsePlan(changed.replace(at, end - at, broken), "edited");
    ASSERT_FALSE(bool(refused)) << broken;
    EXPECT_THAT(llvm::toString(refused.takeError()), HasSubstr("static_cost.activations is"));
  }
}

TEST(PlanText, KeepsTheForecastOverEngines) {
  for (bool handover : {true, false}) {
    Plan plan = samplePlan();
    plan.engines = sampleEngines(handover);
    std::string text = planText(plan);
    Plan read = llvm::cantFail(parsePlan(text, "test"));
    EXPECT_EQ(planText(read), text);
    EXPECT_EQ(json(read), json(plan));
  }
  EXPECT_FALSE(llvm::cantFail(parsePlan(planText(samplePlan()), "none")).engines);
  Plan plan = samplePlan();
  plan.engines = sampleEngines();
  for (auto [from, to, why] :
       {std::tuple("decode: 50", "decode: nan", "engines holds a figure"),
        std::tuple("decode: 50", "decode: -5", "engines holds a figure"),
        std::tuple("handovers: 2", "handovers: -2", "a count of -2"),
        std::tuple("compiled: \"cpu\"", "compiled: \"\"", "a name of 0 characters"),
        std::tuple("split_engines: \"gpu\"", "", "two of them")}) {
    std::string text = planText(plan);
    size_t at = text.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    llvm::Expected<Plan> refused =
        parsePlan(text.replace(at, std::string_view(from).size(), to), "edited");
    ASSERT_FALSE(bool(refused)) << to;
    EXPECT_THAT(llvm::toString(refused.takeError()), HasSubstr(why));
  }
}

TEST(PlanText, KeepsScalesOfActivations) {
  Plan plan = samplePlan();
  EXPECT_FALSE(llvm::cantFail(parsePlan(planText(plan), "old")).activations);
  plan.activations = Activations::Static;
  plan.activationScales = {{"layers.0.q.weight", {0.1f, 0}}, {"layers.1.down.weight", {1e-3f, 7}}};
  std::string text = planText(plan);
  Plan read = llvm::cantFail(parsePlan(text, "test"));
  EXPECT_EQ(read.activations, Activations::Static);
  EXPECT_EQ(read.activationScales, plan.activationScales);
  EXPECT_EQ(planText(read), text);
  EXPECT_THAT(json(plan), HasSubstr("\"activations\":\"static\""));
  auto refusal = [&](const std::string &from, const std::string &to) {
    std::string changed = text;
    changed.replace(changed.find(from), from.size(), to);
    llvm::Expected<Plan> refused = parsePlan(changed, "edited");
    return refused ? "" : llvm::toString(refused.takeError());
  };
  for (const char *scale :
       {"input_scale: -0.1", "input_scale: nan", "input_scale: inf", "input_scale: 1e-42"})
    EXPECT_THAT(refusal("input_scale: 0.1", scale), HasSubstr("no positive number")) << scale;
  EXPECT_THAT(refusal("\"static\"", "\"dynamic\""), HasSubstr("activations is not 'static'"));
  EXPECT_THAT(refusal("\"static\"", "\"fixed\""), HasSubstr("'dynamic' or 'static'"));
}

TEST(PlanText, SaysWhichKeysAreDerived) {
  Plan plan = samplePlan();
  plan.kvCaches[1].derivedKeys = true;
  EXPECT_THAT(planText(plan), HasSubstr("k: \"derived\"\n  v: \"f16\"\n"));
  EXPECT_THAT(json(plan), HasSubstr("\"k\":\"derived\""));
  Plan read = llvm::cantFail(parsePlan(planText(plan), "test"));
  EXPECT_EQ(planText(plan), planText(read));
  // K is read through V's format: that is the decision that a replay takes.
  EXPECT_EQ(read.globalK, KvFormat::F16);
  EXPECT_FALSE(read.kvCaches[0].derivedKeys);
  EXPECT_THAT(refusalAfter("v: \"kv8\"", "v: \"derived\""), HasSubstr("expected f32, f16, kv8 or"));
}

TEST(PlanText, WritesAnOptionALine) {
  EXPECT_THAT(planText(samplePlan()),
              HasSubstr("  options { format: \"w4\" bytes: 400 loss: 0.01 seconds: 4e-06 }\n"));
}

TEST(PlanText, RefusesWhatCannotBe) {
  EXPECT_THAT(refusalAfter("weights: 5800", "weights: -1"), HasSubstr("memory holds -1 bytes"));
  EXPECT_THAT(refusalAfter("weights: 5800", "weights: 9223372036854775807"),
              HasSubstr("memory holds"));
  EXPECT_THAT(refusalAfter("kl: 0.124", "kl: nan"), HasSubstr("no finite number"));
  EXPECT_THAT(refusalAfter("objective: 0.124", "objective: inf"), HasSubstr("no finite number"));
  EXPECT_THAT(refusalAfter("loss: 0.01 ", "loss: inf "), HasSubstr("price"));
  EXPECT_THAT(refusalAfter("bytes: 400 ", "bytes: -400 "), HasSubstr("price"));
  EXPECT_THAT(refusalAfter("capacity: 128", "capacity: -128"),
              HasSubstr("kv cache 'local' counts -128"));
  EXPECT_THAT(refusalAfter("model: \"sample\"", "model: \"\\377\""), HasSubstr("no UTF-8"));
  EXPECT_THAT(refusalAfter("term: \"weights\"", "term: \"\\300\""), HasSubstr("no UTF-8"));
  EXPECT_THAT(refusalAfter("version: 1", "version: 2"), HasSubstr("newer than this gcompile"));
  EXPECT_THAT(refusalAfter("version: 1", ""), HasSubstr("no version"));
  EXPECT_THAT(refusalAfter("format: \"w8\"\n", "format: \"w3\"\n"), HasSubstr("no weight format"));
  EXPECT_THAT(refusalAfter("context: 1024", "context: 0"), HasSubstr("context is 0"));
}

} // namespace
