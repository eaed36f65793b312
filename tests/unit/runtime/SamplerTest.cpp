#include "runtime/core/Sampler.h"

#include "runtime/core/Exponential.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

namespace gcompile::runtime {
namespace {

constexpr float nan = std::numeric_limits<float>::quiet_NaN();
constexpr float infinity = std::numeric_limits<float>::infinity();

struct Drawn {
  Status status;
  int32_t token;
};

Drawn draw(const std::vector<float> &logits, gc_sampling sampling, uint64_t position = 0,
           std::vector<uint32_t> suppressed = {}) {
  std::vector<Candidate> candidates(logits.size());
  Message message;
  int32_t token = -1;
  SamplerInput input = {logits.data(), uint32_t(logits.size()), suppressed.data(),
                        uint32_t(suppressed.size()), position};
  Status status = sample(input, sampling, candidates.data(), token, message);
  return {status, token};
}

std::vector<double> frequencies(const std::vector<float> &logits, gc_sampling sampling,
                                std::vector<uint32_t> suppressed = {}) {
  constexpr int draws = 40000;
  std::vector<double> counts(logits.size());
  for (int i = 0; i < draws; ++i)
    counts[size_t(draw(logits, sampling, uint64_t(i), suppressed).token)] += 1.0 / draws;
  return counts;
}

TEST(Sampler, GreedyTakesTheFirstOfTheBest) {
  EXPECT_EQ(draw({1, 3, 3, 2}, {0, 1, 0, 0}).token, 1);
  EXPECT_EQ(draw({1, 3, 3, 2}, {0, 1, 0, 0}, 0, {1}).token, 2);
  EXPECT_EQ(draw({nan, -5, nan}, {0, 1, 0, 0}).token, 1);
  EXPECT_EQ(draw({-infinity, -infinity}, {0, 1, 0, 0}).token, 0);
  EXPECT_EQ(draw({1, 3, 2}, {0.7f, 1, 1, 0}).token, 1); // top-k of one
}

TEST(Sampler, SaysWhenNothingCanBeChosen) {
  for (float temperature : {0.0f, 1.0f}) {
    EXPECT_EQ(draw({nan, nan}, {temperature, 1, 0, 0}).status, GC_NOTHING_TO_SAMPLE);
    EXPECT_EQ(draw({1, 2}, {temperature, 1, 0, 0}, 0, {0, 1}).status, GC_NOTHING_TO_SAMPLE);
  }
}

TEST(Sampler, RefusesParametersOutOfRange) {
  for (gc_sampling bad :
       {gc_sampling{-1, 1, 0, 0}, gc_sampling{nan, 1, 0, 0}, gc_sampling{infinity, 1, 0, 0},
        gc_sampling{1, 1.5f, 0, 0}, gc_sampling{1, nan, 0, 0}, gc_sampling{1, 1, -1, 0}})
    EXPECT_EQ(draw({1, 2}, bad).status, GC_BAD_ARGUMENT);
}

TEST(Sampler, DrawsInProportionToTheSoftmax) {
  std::vector<float> logits = {0, std::log(2.0f), std::log(4.0f), nan, std::log(1.0f)};
  std::vector<double> seen = frequencies(logits, {1, 1, 0, 5}),
                      expected = {0.125, 0.25, 0.5, 0, 0.125};
  for (size_t i = 0; i < expected.size(); ++i)
    EXPECT_NEAR(seen[i], expected[i], 0.01) << i; // four standard deviations of 40,000 draws
  // Half the temperature squares the ratios: 1 4 16 1.
  seen = frequencies(logits, {0.5f, 1, 0, 5});
  expected = {1 / 22.0, 4 / 22.0, 16 / 22.0, 0, 1 / 22.0};
  for (size_t i = 0; i < expected.size(); ++i)
    EXPECT_NEAR(seen[i], expected[i], 0.01) << i;
}

TEST(Sampler, TopKKeepsTheBestK) {
  std::vector<double> seen = frequencies({0, 3, 1, 2}, {1, 1, 2, 1});
  EXPECT_EQ(seen[0] + seen[2], 0);
  EXPECT_NEAR(seen[1], 1 / (1 + std::exp(-1.0)), 0.01);
}

TEST(Sampler, GreedyLooksOnWhenTheBestAreSuppressed) {
  std::vector<float> logits(100);
  for (size_t i = 0; i < 100; ++i)
    logits[i] = float(i % 50);
  EXPECT_EQ(draw(logits, {0, 1, 0, 0}).token, 49);
  EXPECT_EQ(draw(logits, {0, 1, 0, 0}, 0, {49}).token, 99);
  EXPECT_EQ(draw(logits, {0, 1, 0, 0}, 0, {99, 49}).token, 48);
  logits[70] = nan;
  EXPECT_EQ(draw(logits, {0, 1, 0, 0}, 0, {99, 49}).token, 48);
}

TEST(Sampler, SharesEquallyAmongInfiniteLogits) {
  std::vector<double> seen = frequencies({infinity, 3, infinity, nan}, {1, 1, 0, 9});
  EXPECT_EQ(seen[1] + seen[3], 0);
  EXPECT_NEAR(seen[0], 0.5, 0.01);
}

TEST(Sampler, TopPKeepsTheShortestListThatReachesP) {
  std::vector<float> logits = {std::log(0.1f), std::log(0.5f), std::log(0.15f), std::log(0.25f)};
  std::vector<double> seen = frequencies(logits, {1, 0.7f, 0, 1}); // 0.5 + 0.25 reach it
  EXPECT_EQ(seen[0] + seen[2], 0);
  EXPECT_NEAR(seen[1], 2.0 / 3, 0.01);
  EXPECT_NEAR(frequencies(logits, {1, 0, 0, 1})[1], 1, 1e-9); // at least one stays
  // After top-k the shares are those of what is left: 0.5/0.75 alone reaches 0.6.
  EXPECT_NEAR(frequencies(logits, {1, 0.6f, 2, 1})[1], 1, 1e-9);
}

TEST(Sampler, NeverDrawsSuppressedTokens) {
  std::vector<double> seen = frequencies({5, 1, 9, 1}, {1, 1, 0, 1}, {2, 0, 2});
  EXPECT_EQ(seen[0] + seen[2], 0);
  EXPECT_NEAR(seen[1], 0.5, 0.01);
}

TEST(Sampler, HandlesInfiniteLogits) {
  EXPECT_EQ(draw({1, infinity, 2}, {1, 1, 0, 0}).token, 1);
  EXPECT_EQ(draw({-infinity, 0, -infinity}, {1, 1, 0, 3}).token, 1);
  EXPECT_EQ(draw({-infinity, -infinity}, {1, 1, 0, 0}).status, GC_OK);
}

TEST(Sampler, SeedAndPositionDecideAlone) {
  std::vector<float> logits(1000);
  std::mt19937 random(3);
  for (float &logit : logits)
    logit = float(random() % 1000) / 500;
  int sameForOtherSeed = 0, sameForOtherPosition = 0;
  for (uint64_t position = 0; position < 200; ++position) {
    int32_t token = draw(logits, {1, 0.95f, 64, 42}, position).token;
    EXPECT_EQ(token, draw(logits, {1, 0.95f, 64, 42}, position).token);
    sameForOtherSeed += token == draw(logits, {1, 0.95f, 64, 43}, position).token;
    sameForOtherPosition += token == draw(logits, {1, 0.95f, 64, 42}, position + 1).token;
  }
  EXPECT_LT(sameForOtherSeed, 20);
  EXPECT_LT(sameForOtherPosition, 20);
}

TEST(Sampler, ChoosesAsSortingWould) {
  std::mt19937 random(9);
  for (int round = 0; round < 300; ++round) {
    std::vector<float> logits(1 + random() % 300);
    for (float &logit : logits)
      logit = float(int(random() % 40)) / 4;
    gc_sampling sampling = {0.5f + float(random() % 20) / 10, float(random() % 100) / 100,
                            int32_t(random() % 20), random()};
    uint64_t position = random();
    std::vector<uint32_t> order(logits.size());
    for (uint32_t i = 0; i < order.size(); ++i)
      order[i] = i;
    std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
      return std::pair(-logits[a], a) < std::pair(-logits[b], b);
    });
    if (sampling.top_k && size_t(sampling.top_k) < order.size())
      order.resize(size_t(sampling.top_k));
    std::vector<double> weights;
    double total = 0, kept = 0;
    for (uint32_t token : order) {
      weights.push_back(
          std::exp((double(logits[token]) - logits[order[0]]) / double(sampling.temperature)));
      total += weights.back();
    }
    size_t count = 0;
    while (count < order.size() &&
           (count == 0 || kept < double(sampling.top_p) * total * (1 - 1e-12)))
      kept += weights[count++];
    double left = uniformDraw(sampling.seed, position) * kept;
    size_t at = 0;
    while (at + 1 < count && (left -= weights[at]) >= 0)
      ++at;
    EXPECT_EQ(draw(logits, sampling, position).token, int32_t(order[at])) << round;
  }
}

TEST(UniformDraw, IsUniform) {
  constexpr int draws = 100000, bins = 20;
  for (int mode = 0; mode < 2; ++mode) {
    std::vector<int> counts(bins);
    for (uint64_t i = 0; i < draws; ++i) {
      double value = mode ? uniformDraw(i, 17) : uniformDraw(1, i);
      ASSERT_GE(value, 0);
      ASSERT_LT(value, 1);
      ++counts[int(value * bins)];
    }
    double chiSquare = 0;
    for (int count : counts)
      chiSquare += (count - draws / bins) * double(count - draws / bins) / (double(draws) / bins);
    EXPECT_LT(chiSquare,
              50); // 19 degrees of freedom: above 44 once in a thousand; the draws are fixed
  }
}

TEST(Exponential, AgreesWithTheMathLibrary) {
  std::mt19937_64 random(1);
  std::uniform_real_distribution<double> wide(-707, 0), narrow(-20, 0);
  for (int i = 0; i < 200000; ++i) {
    double x = i % 2 ? wide(random) : narrow(random), expected = std::exp(x);
    ASSERT_NEAR(exponential(x) / expected, 1, 4e-15) << x;
  }
  EXPECT_EQ(exponential(0), 1);
  EXPECT_EQ(exponential(-800), 0);
  EXPECT_EQ(exponential(-std::numeric_limits<double>::infinity()), 0);
  EXPECT_EQ(exponential(std::numeric_limits<double>::quiet_NaN()), 0);
}

} // namespace
} // namespace gcompile::runtime
