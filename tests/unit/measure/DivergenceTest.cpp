// KL against values worked out by hand, and the statistics over positions.
#include "compiler/Measure/Divergence.h"

#include <cmath>
#include <gtest/gtest.h>

using namespace gcompile;

namespace {

std::vector<float> logitsOf(std::initializer_list<double> probabilities, float shift = 0) {
  std::vector<float> logits;
  for (double p : probabilities)
    logits.push_back(float(std::log(p)) + shift);
  return logits;
}

TEST(KlDivergence, OfTwoCoins) {
  // 0.5 ln(0.5/0.25) + 0.5 ln(0.5/0.75) = 0.5 ln(4/3)
  EXPECT_NEAR(klDivergence(logitsOf({0.5, 0.5}), logitsOf({0.25, 0.75})), 0.5 * std::log(4.0 / 3),
              1e-7);
  // The other way round: 0.25 ln(1/2) + 0.75 ln(3/2)
  EXPECT_NEAR(klDivergence(logitsOf({0.25, 0.75}), logitsOf({0.5, 0.5})),
              0.25 * std::log(0.5) + 0.75 * std::log(1.5), 1e-7);
}

TEST(KlDivergence, IgnoresWhatSoftmaxIgnores) {
  std::vector<float> p = logitsOf({0.7, 0.2, 0.1});
  EXPECT_EQ(klDivergence(p, p), 0);
  EXPECT_NEAR(klDivergence(p, logitsOf({0.7, 0.2, 0.1}, 25)), 0, 1e-6);
  EXPECT_NEAR(klDivergence(logitsOf({0.5, 0.5}, -9), logitsOf({0.25, 0.75}, 12)),
              0.5 * std::log(4.0 / 3), 1e-5);
}

TEST(KlDivergence, IsNoNumberForLogitsThatAreNone) {
  std::vector<float> p = logitsOf({0.5, 0.5});
  EXPECT_TRUE(std::isnan(klDivergence(p, {std::vector<float>{NAN, 0}})));
  EXPECT_TRUE(std::isnan(klDivergence({std::vector<float>{INFINITY, 0}}, p)));
}

TEST(DivergenceMeter, MeanTailAgreement) {
  DivergenceMeter meter;
  std::vector<float> same = logitsOf({0.6, 0.4}), flipped = logitsOf({0.4, 0.6});
  meter.beginWindow();
  for (int i = 0; i < 99; ++i)
    meter.add(same, same);
  meter.add(same, flipped, 1);
  Divergence result = meter.result();
  double kl = 0.6 * std::log(1.5) + 0.4 * std::log(2.0 / 3);
  EXPECT_EQ(result.positions, 100);
  EXPECT_NEAR(result.mean, kl / 100, 1e-7);
  EXPECT_EQ(result.p99, 0);
  EXPECT_NEAR(result.p999, kl, 1e-6);
  EXPECT_NEAR(result.worst, kl, 1e-6);
  EXPECT_DOUBLE_EQ(result.top1Agreement, 0.99);
  // One position told what followed: token 1, 0.4 to the reference and 0.6 to the candidate.
  EXPECT_NEAR(result.referencePerplexity, 1 / 0.4, 1e-5);
  EXPECT_NEAR(result.perplexity, 1 / 0.6, 1e-5);
  // √(s²/n) of one value kl among 99 zeros: kl/100 to first order.
  EXPECT_NEAR(result.standardError, kl / 100, kl / 2000);
}

TEST(DivergenceMeter, WindowsThatDifferWidenTheError) {
  DivergenceMeter meter;
  std::vector<float> p = logitsOf({0.6, 0.4}), q = logitsOf({0.4, 0.6});
  for (int window = 0; window < 4; ++window) {
    meter.beginWindow();
    for (int i = 0; i < 100; ++i)
      meter.add(p, window % 2 ? q : p);
  }
  double kl = klDivergence(p, q);
  // Window means are 0, kl, 0, kl: deviation kl/√3, over 4 windows.
  EXPECT_NEAR(meter.result().standardError, kl / std::sqrt(3.0) / 2, 1e-6);
}

TEST(DivergenceMeter, NotANumberIsNeverHidden) {
  DivergenceMeter meter;
  std::vector<float> p = logitsOf({0.6, 0.4});
  meter.add(p, p);
  meter.add(p, {std::vector<float>{NAN, 0}});
  Divergence result = meter.result();
  EXPECT_TRUE(std::isnan(result.mean));
  EXPECT_TRUE(std::isnan(result.worst));
}

} // namespace
