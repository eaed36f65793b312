// Every published size on every shipped profile: a plan that holds, or the smallest budget that
// would and that indeed does.
#include "compiler/Driver/ChooseModel.h"
#include "compiler/Driver/EncoderPhases.h"
#include "compiler/Import/ModelConfig.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>

using namespace gcompile;
using testing::HasSubstr;

namespace {

struct Fixture {
  std::map<std::string, Candidate> candidates;
  Fixture() {
    CompilerInvocation options;
    for (const std::string &name : presetNames())
      candidates.emplace(name, llvm::cantFail(loadCandidate(name, options)));
  }
};
Fixture &fixture() {
  static Fixture shared;
  return shared;
}

DeviceProfile profileOf(const std::string &name) {
  return llvm::cantFail(loadProfile(name, {profileFolders("").back()}));
}

void check(const PlanOutcome &outcome, const std::string &what) {
  if (!outcome.plan) {
    EXPECT_GT(outcome.smallestBudgetBytes, outcome.budgetBytes) << what;
    EXPECT_FALSE(outcome.suggestion.empty()) << what;
    EXPECT_THAT(outcome.message, HasSubstr("the smallest needs")) << what;
    return;
  }
  EXPECT_LE(outcome.plan->memory.peak(), outcome.budgetBytes) << what;
  EXPECT_GT(outcome.plan->memory.weights + outcome.plan->memory.encoders, 0) << what;
  EXPECT_GE(outcome.plan->predicted.kl, 0) << what;
}

// 345 pairs, at the budget that the device leaves to one app. Profiles differ in budget and speed
// alone, so that every pair is planned once, quickly.
TEST(PresetMatrix, EverySizeOnEveryProfile) {
  std::vector<std::string> folders = {profileFolders("").back()};
  int plans = 0, refusals = 0;
  for (const std::string &name : profileNames(folders)) {
    if (name == "host")
      continue;
    DeviceProfile profile = profileOf(name);
    for (const auto &[model, candidate] : fixture().candidates) {
      CompilerInvocation options;
      PlanRequest request = llvm::cantFail(requestFor(candidate, profile, options));
      llvm::Expected<PlanOutcome> outcome = planModel(request);
      ASSERT_TRUE(bool(outcome)) << llvm::toString(outcome.takeError());
      check(*outcome, model + " on " + name);
      (outcome->plan ? plans : refusals) += 1;
    }
  }
  EXPECT_GT(plans, 200);
  EXPECT_GT(refusals, 20); // 31B does not fit a phone
}

PlanOutcome planned(const std::string &model, const std::string &profileName, int64_t budget,
                    std::vector<std::string> modalities, int64_t context = 4096) {
  DeviceProfile profile = profileOf(profileName);
  CompilerInvocation options;
  options.budgetBytes = budget;
  options.modalities = std::move(modalities);
  options.context = context;
  options.contextGiven = true;
  PlanRequest request =
      llvm::cantFail(requestFor(fixture().candidates.at(model), profile, options));
  return llvm::cantFail(planModel(request));
}

TEST(PresetMatrix, TheExampleOfExpertsOnACard) {
  PlanOutcome outcome = planned("gemma-4-26B-A4B", "rtx4090", 20000000000, {"text"});
  ASSERT_TRUE(outcome.plan);
  check(outcome, "26B-A4B on rtx4090");
}

TEST(PresetMatrix, WhatIsSaidToFitFits) {
  for (const std::string &model : presetNames()) {
    PlanOutcome none = planned(model, "pixel9", 100000000, {"text"});
    ASSERT_FALSE(none.plan) << model;
    PlanOutcome enough = planned(model, "pixel9", none.smallestBudgetBytes, {"text"});
    EXPECT_TRUE(enough.plan) << model << " at " << none.smallestBudgetBytes;
    PlanOutcome less = planned(model, "pixel9", none.smallestBudgetBytes - 1, {"text"});
    EXPECT_FALSE(less.plan) << model;
  }
}

// Towers are loaded and dropped: the peak is the largest phase, not the sum.
TEST(PresetMatrix, TowersArePhases) {
  PlanOutcome text = planned("gemma-4-E2B", "pixel9", 1600000000, {"text"});
  PlanOutcome all = planned("gemma-4-E2B", "pixel9", 1600000000, {"text", "vision", "audio"});
  ASSERT_TRUE(text.plan && all.plan);
  EXPECT_TRUE(text.plan->phases.empty());
  ASSERT_EQ(all.plan->phases.size(), 3u);
  ASSERT_EQ(all.plan->encoders.size(), 2u);
  int64_t largest = 0, sum = 0;
  for (const PlanPhase &phase : all.plan->phases) {
    largest = std::max(largest, phase.memory.peak());
    sum += phase.memory.peak();
    bool tower = phase.name != "text";
    EXPECT_EQ(phase.memory.encoders > 0, tower) << phase.name;
    EXPECT_EQ(phase.memory.weights > 0, !tower) << phase.name;
    EXPECT_GT(phase.memory.kvCache, 0) << phase.name; // of earlier turns
  }
  EXPECT_EQ(all.plan->memory.peak(), largest);
  EXPECT_LT(all.plan->memory.peak(), sum);
  EXPECT_LE(largest, 1600000000);
  // As stored: 168.5 and 307.2 million parameters in bf16 (norms and clip bounds among them).
  EXPECT_NEAR(double(all.plan->encoders[0].bytes), 337.1e6, 1e6);
  EXPECT_NEAR(double(all.plan->encoders[1].bytes), 614.4e6, 1e6);
  // Soft tokens that wait for prefill cost text a little.
  EXPECT_GE(all.plan->predicted.kl, text.plan->predicted.kl);
}

TEST(PresetMatrix, TowersAreRoundedWhenMemoryIsShort) {
  // The audio tower takes 614 MB as stored, 154 MB in four bits, and most of what it computes with
  // comes on top.
  PlanOutcome outcome = planned("gemma-4-E2B", "pixel9", 620000000, {"text", "audio"});
  ASSERT_TRUE(outcome.plan);
  EXPECT_NE(outcome.plan->encoders[0].format, WeightFormat::BF16);
  EXPECT_LE(outcome.plan->memory.peak(), 620000000);
}

// The tower of 31B does not fit where text alone could not either; the smallest budget counts both.
TEST(PresetMatrix, TheSmallestBudgetCountsTheTower) {
  // A short context of E2B in 2 bits needs less than the vision phase of the same model.
  PlanOutcome none = planned("gemma-4-E2B", "pixel9", 1000000, {"text", "vision"}, 512);
  ASSERT_FALSE(none.plan);
  PlanOutcome enough =
      planned("gemma-4-E2B", "pixel9", none.smallestBudgetBytes, {"text", "vision"}, 512);
  EXPECT_TRUE(enough.plan);
}

TEST(PresetMatrix, RefusesWhatAModelHasNot) {
  const ModelShape &large = fixture().candidates.at("gemma-4-31B").shape;
  auto refusal = [](const ModelShape &model, std::vector<std::string> modalities, int64_t context) {
    return llvm::toString(checkModalities(model, modalities, context));
  };
  EXPECT_THAT(refusal(large, {"text", "audio"}, 4096), HasSubstr("has no audio"));
  EXPECT_EQ(refusal(large, {"text", "vision"}, 4096), "");
  EXPECT_THAT(refusal(large, {"text", "vision"}, 282), HasSubstr("takes 282 positions"));
  EXPECT_EQ(refusal(large, {"text"}, 1), "");
}

} // namespace
