// Published results and what is left of them: against the published pairs themselves, and the order
// and words of the choice.
#include "compiler/Driver/ChooseModel.h"

#include "compiler/Import/ModelConfig.h"

#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace gcompile;
using testing::HasSubstr;

namespace {

const std::vector<std::string> text = {"text"};

PublishedQuality shipped() { return llvm::cantFail(PublishedQuality::load()); }

TEST(PublishedQuality, HoldsWhatTheModelCardSays) {
  PublishedQuality quality = shipped();
  // Read in the card, not in the file.
  EXPECT_EQ(quality.score("gemma-4-31B", "mmlu_pro"), 85.2);
  EXPECT_EQ(quality.score("gemma-4-26B-A4B", "aime_2026"), 88.3);
  EXPECT_EQ(quality.score("gemma-4-12B", "gpqa_diamond"), 78.8);
  EXPECT_EQ(quality.score("gemma-4-E4B", "livecodebench_v6"), 52.0);
  EXPECT_EQ(quality.score("gemma-4-E2B", "mmmlu"), 67.4);
  EXPECT_EQ(quality.score("google/gemma-4-E2B-it", "bbeh"), 21.9);
  EXPECT_EQ(quality.score("gemma-4-E2B", "hle"), std::nullopt); // not published
  EXPECT_EQ(quality.score("gemma4-tiny", "mmlu_pro"), std::nullopt);
}

// The mean of E2B by hand: (60.0 + 37.5 + 44.0 + 43.4 + 24.5 + 21.9 + 67.4) / 7.
TEST(PublishedQuality, UncompressedModelsKeepTheirMean) {
  std::optional<ExpectedScore> score = shipped().expect("gemma-4-E2B", text, 0, 0, 0);
  ASSERT_TRUE(score);
  EXPECT_EQ(score->benchmarks, 7);
  EXPECT_NEAR(score->published, 298.7 / 7, 1e-9);
  EXPECT_NEAR(score->expected, 298.7 / 7, 1e-9);
  EXPECT_NEAR(score->high, 298.7 / 7, 1e-9);
  std::optional<ExpectedScore> vision =
      shipped().expect("gemma-4-E2B", {"text", "vision"}, 0, 0, 0);
  ASSERT_TRUE(vision);
  EXPECT_NEAR(vision->published, (298.7 + 44.2 + 52.4 + 23.5) / 10, 1e-9);
}

TEST(PublishedQuality, LargerSizesArePublishedBetterAndLossOnlyGrows) {
  PublishedQuality quality = shipped();
  double before = 0;
  for (const char *model :
       {"gemma-4-E2B", "gemma-4-E4B", "gemma-4-12B", "gemma-4-26B-A4B", "gemma-4-31B"}) {
    double published = quality.expect(model, text, 0, 0, 0)->published;
    EXPECT_GT(published, before) << model;
    before = published;
  }
  for (double kl = 0.01; kl < 4; kl *= 1.5) {
    ExpectedScore at = *quality.expect("gemma-4-12B", text, kl, kl / 4, kl * 4);
    ExpectedScore further = *quality.expect("gemma-4-12B", text, kl * 1.5, kl / 4, kl * 4);
    EXPECT_LT(further.expected, at.expected);
    EXPECT_LE(at.low, at.expected);
    EXPECT_LE(at.expected, at.high);
    EXPECT_LE(at.high, at.published);
  }
  // Chance is never lost: 10 + 25 + 25 points over seven benchmarks remain of noise.
  EXPECT_NEAR(quality.expect("gemma-4-12B", text, 100, 100, 100)->expected, 60.0 / 7, 1e-6);
}

// The loss reproduces the published pairs of KL and score that it was fitted to; and no other
// constants do so much better that these could be a slip.
TEST(PublishedQuality, LossFitsThePublishedPairs) {
  const PublishedQuality quality = shipped();
  const ScoreLoss &loss = quality.loss();
  ASSERT_EQ(loss.points.size(), 7u);
  auto squares = [&](double factor, double exponent) {
    double sum = 0;
    for (const ScoreLoss::Point &point : loss.points) {
      double kept = std::exp(-factor * std::pow(point.kl, exponent));
      double score = loss.chance + (loss.referenceScore - loss.chance) * kept;
      sum += (score - point.score) * (score - point.score);
    }
    return sum;
  };
  for (const ScoreLoss::Point &point : loss.points) {
    double score = loss.chance + (loss.referenceScore - loss.chance) * loss.kept(point.kl);
    EXPECT_NEAR(score, point.score, 1.05) << "KL " << point.kl;
  }
  double best = 1e9;
  for (double factor = 0.5; factor < 2; factor += 0.01)
    for (double exponent = 1; exponent < 3; exponent += 0.01)
      best = std::min(best, squares(factor, exponent));
  EXPECT_LE(squares(loss.factor, loss.exponent), 1.1 * best);
}

TEST(PublishedQuality, RefusesWhatMakesNoSense) {
  std::string good = llvm::cantFail(readPresetFile("quality.json"));
  auto refusal = [&](const std::string &from, const std::string &to) -> std::string {
    std::string changed = good;
    size_t at = changed.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    changed.replace(at, from.size(), to);
    llvm::Expected<PublishedQuality> quality = PublishedQuality::parse(changed, "test");
    return quality ? "" : llvm::toString(quality.takeError());
  };
  EXPECT_EQ(refusal("85.2", "85.3"), "");
  EXPECT_THAT(refusal("85.2", "852"), HasSubstr("is no score"));
  EXPECT_THAT(refusal("85.2", "\"85.2\""), HasSubstr("is no score"));
  EXPECT_THAT(refusal("\"model\": \"gemma-4-31B\"", "\"model\": \"gemma-4-99B\""),
              HasSubstr("no published size"));
  EXPECT_THAT(
      refusal("\"score\": 85.2, \"source\": \"card\"", "\"score\": 85.2, \"source\": \"x\""),
      HasSubstr("names no source"));
  EXPECT_THAT(refusal("\"benchmark\": \"mmlu_pro\"", "\"benchmark\": \"mmlu\""),
              HasSubstr("is not listed"));
  EXPECT_THAT(refusal("\"factor\": 1.05", "\"factor\": -1"), HasSubstr("'factor'"));
  // A benchmark that counts needs all sizes.
  EXPECT_THAT(refusal("\"name\": \"hle\", \"title\": \"HLE, no tools\", \"unit\": \"percent\", "
                      "\"chance\": 0, \"modality\": \"text\", \"counts\": false",
                      "\"name\": \"hle\", \"title\": \"HLE, no tools\", \"unit\": \"percent\", "
                      "\"chance\": 0, \"modality\": \"text\", \"counts\": true"),
              HasSubstr("has no result of"));
  EXPECT_FALSE(PublishedQuality::parse("[]", "test"));
  EXPECT_FALSE(PublishedQuality::parse("{", "test"));
}

Considered planned(const char *model, double kl, int64_t bytes = 1000000000) {
  Considered one;
  one.model = model;
  one.feasible = true;
  one.peakBytes = bytes;
  one.kl = kl;
  one.score = shipped().expect(model, text, kl, kl / 4, kl * 4);
  return one;
}

TEST(ChooseModel, ASmallModelWellRoundedBeatsALargeOneRoundedAway) {
  EXPECT_TRUE(isBetter(planned("gemma-4-E2B", 0.1), planned("gemma-4-E4B", 1.5)));
  EXPECT_TRUE(isBetter(planned("gemma-4-E4B", 0.3), planned("gemma-4-E2B", 0.02)));
  EXPECT_TRUE(isBetter(planned("gemma-4-26B-A4B", 0.05), planned("gemma-4-12B", 0.05)));
  Considered broken;
  EXPECT_TRUE(isBetter(planned("gemma-4-E2B", 5), broken)); // whatever fits
  Considered own = planned("gemma4-tiny", 0);
  EXPECT_FALSE(own.score);
  EXPECT_TRUE(isBetter(planned("gemma-4-E2B", 1), own)); // nothing is published of it
}

TEST(ChooseModel, SaysWhyInWords) {
  Considered absent;
  absent.model = "gemma-4-31B";
  absent.peakBytes = 8000000000;
  std::string why =
      explainChoice({planned("gemma-4-E2B", 0.1), planned("gemma-4-E4B", 1.5), absent});
  EXPECT_THAT(why, HasSubstr("in 7 benchmarks"));
  EXPECT_THAT(why, HasSubstr("gemma-4-E2B rather than gemma-4-E4B: the other is"));
  EXPECT_THAT(why, HasSubstr("does not fit: it needs at least this"));
  why = explainChoice({planned("gemma-4-E2B", 0.1), planned("gemma-4-E4B", 0.3)});
  EXPECT_THAT(why, HasSubstr("gemma-4-E4B rather than gemma-4-E2B: its plan loses more"));
  EXPECT_THAT(why, HasSubstr("not for certain"));
  why = explainChoice({planned("gemma-4-E2B", 0.1), absent});
  EXPECT_THAT(why, HasSubstr("the only one that fits"));
  EXPECT_EQ(explainChoice({}), "");
}

} // namespace
