// The quality model: monotony, a check of its prior, and the link from damage to KL.
#include "passes/Cost/QualityModel.h"
#include "passes/Cost/MemoryModel.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

using namespace gcompile;

namespace {

TEST(QualityModel, FewerBitsNeverCostLess) {
  const WeightFormat order[] = {WeightFormat::F32,   WeightFormat::F16,   WeightFormat::BF16,
                                WeightFormat::W8G32, WeightFormat::W8,    WeightFormat::W4G32,
                                WeightFormat::W4,    WeightFormat::W2G64, WeightFormat::W2};
  double last = -1;
  for (WeightFormat format : order) {
    double error = weightErrorPrior(format, 1536, WeightFormat::F32) + activationErrorPrior(format);
    EXPECT_GT(error, last) << name(format);
    last = error;
  }
  EXPECT_EQ(weightErrorPrior(WeightFormat::BF16, 1536, WeightFormat::BF16), 0);
}

// A check of the prior against rounding that is done here, value by value.
TEST(QualityModel, PriorOfFourBitsIsThatOfRoundingNormalValues) {
  uint64_t state = 88172645463325252ull;
  auto uniform = [&] {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return double(state >> 11) / double(1ull << 53);
  };
  auto normal = [&] {
    double sum = -6;
    for (int i = 0; i < 12; ++i)
      sum += uniform();
    return sum;
  };
  double error = 0, power = 0;
  for (int block = 0; block < 4000; ++block) {
    double x[32], largest = 0;
    for (double &value : x)
      value = normal(), largest = std::max(largest, std::abs(value));
    double scale = largest / 7.5;
    for (double value : x) {
      double code = std::clamp(std::nearbyint(value / scale), -8.0, 7.0);
      error += (value - code * scale) * (value - code * scale);
      power += value * value;
    }
  }
  double measured = error / power;
  EXPECT_NEAR(weightErrorPrior(WeightFormat::W4G32, 1536, WeightFormat::F32), measured,
              0.25 * measured);
}

TEST(QualityModel, SensitivitiesSumToTheTotal) {
  ModelShape model;
  for (int l = 0; l < 5; ++l) {
    model.layers.push_back({l == 4, true, 1, 256, 1024});
    for (const char *role : {"q", "k", "v", "o", "gate", "up", "down"})
      model.tensors.push_back({"t", role, l, 64, 64});
  }
  for (const char *role : {"embedding", "per_layer_table", "per_layer_model_projection"})
    model.tensors.push_back({"t", role, -1, 64, 64});
  double sum = 0;
  for (const TensorShape &tensor : model.tensors)
    sum += sensitivity(model, tensor);
  EXPECT_NEAR(sum, totalSensitivity, 1e-9);
}

ModelShape oneTensor() {
  ModelShape model;
  model.layers.push_back({true, true, 1, 64, 128});
  model.tensors.push_back({"t", "up", 0, 128, 64});
  return model;
}

TEST(KlLink, FindsThePowerLawThatPlansFollow) {
  std::vector<WholePlan> plans;
  for (double damage : {0.001, 0.004, 0.02, 0.1, 0.3, 1.0, 2.0})
    plans.push_back({damage, 1.5 * std::pow(damage, 1.1)});
  KlLink link = fitKlLink(plans);
  for (double damage : {0.002, 0.05, 0.7})
    EXPECT_NEAR(link.kl(damage), 1.5 * std::pow(damage, 1.1), 1e-9);
  EXPECT_NEAR(link.deviation, 0, 1e-9);
  EXPECT_EQ(link.plans, 7);
  // Outside of what was seen: on along the line, and less sure.
  EXPECT_NEAR(link.kl(1e-4), 1.5 * std::pow(1e-4, 1.1), 1e-9);
  EXPECT_GT(link.intervalFactor(1e-4), link.intervalFactor(1e-3));
  EXPECT_EQ(link.kl(0), 0);
}

TEST(KlLink, BendsWhereTheDataDoAndStaysIncreasing) {
  std::vector<WholePlan> plans;
  for (double x = -6; x <= 0.01; x += 0.5)
    plans.push_back({std::exp(x), std::exp(0.2 + 1.05 * x + 0.03 * x * x)});
  KlLink link = fitKlLink(plans);
  EXPECT_NEAR(link.curvature, 0.03, 1e-9);
  EXPECT_NEAR(link.kl(0.1),
              std::exp(0.2 + 1.05 * std::log(0.1) + 0.03 * std::pow(std::log(0.1), 2)), 1e-9);
  double last = 0;
  for (double x = -12; x < 4; x += 0.1) {
    EXPECT_GT(link.kl(std::exp(x)), last);
    last = link.kl(std::exp(x));
  }
}

TEST(KlLink, IntervalHoldsNineOfTenDraws) {
  // ln KL scatters by 0.3 around a line: with textDeviation beside it at least 90 % fall inside.
  uint64_t state = 42;
  auto normal = [&] {
    double sum = -6;
    for (int i = 0; i < 12; ++i) {
      state = state * 6364136223846793005ull + 1442695040888963407ull;
      sum += double(state >> 11) / double(1ull << 53);
    }
    return sum;
  };
  int inside = 0, all = 0;
  for (int trial = 0; trial < 200; ++trial) {
    std::vector<WholePlan> plans;
    for (int i = 0; i < 16; ++i) {
      double x = -6.0 + 0.4 * i;
      plans.push_back({std::exp(x), std::exp(x + 0.3 * normal())});
    }
    KlLink link = fitKlLink(plans);
    for (int i = 0; i < 20; ++i, ++all) {
      double x = -6.0 + 0.3 * i, kl = std::exp(x + 0.3 * normal()),
             factor = link.intervalFactor(std::exp(x));
      double guess = link.kl(std::exp(x));
      inside += guess / factor <= kl && kl <= guess * factor;
    }
  }
  EXPECT_GE(double(inside) / all, 0.90);
  EXPECT_LE(double(inside) / all, 0.99); // and it is no wider than it has to be
}

TEST(KlLink, FewPlansGiveAWideLineOfSlopeOne) {
  std::vector<WholePlan> plans = {{0.1, 0.2}, {0.11, 0.22}};
  KlLink link = fitKlLink(plans);
  EXPECT_NEAR(link.kl(0.05), 0.1, 1e-9);
  EXPECT_GE(link.intervalFactor(0.1), 2);
  EXPECT_EQ(fitKlLink({}).kl(0.3), 0.3);
}

TEST(QualityModel, DamagesLieBetweenWhatWasMeasured) {
  ModelShape model = oneTensor();
  QualityModel quality(model);
  TensorQuality &known = quality.tensors["t"];
  known.errors = {{WeightFormat::W8, 1e-4}, {WeightFormat::W4G32, 0.005},
                  {WeightFormat::W4, 0.01}, {WeightFormat::W2G64, 0.1},
                  {WeightFormat::W2, 0.2},  {WeightFormat::BF16, 0}};
  known.probes = {{0.01, 0.02}, {0.2, 0.8}};
  known.rowActivations = 0.003;
  known.groupActivations = 0.001;
  const TensorShape &tensor = model.tensors.front();
  EXPECT_NEAR(quality.damage(tensor, WeightFormat::W4), 0.023, 1e-12);
  EXPECT_NEAR(quality.damage(tensor, WeightFormat::W2), 0.803, 1e-12);
  // Half the error costs half as much where nothing was measured below.
  EXPECT_NEAR(quality.damage(tensor, WeightFormat::W4G32), 0.01 + 0.001, 1e-12);
  EXPECT_NEAR(quality.damage(tensor, WeightFormat::W8), 0.0002 + 0.003, 1e-12);
  // Between: a line in logarithms, slope ln 40 / ln 20.
  EXPECT_NEAR(quality.damage(tensor, WeightFormat::W2G64),
              0.02 * std::pow(10, std::log(40.0) / std::log(20.0)) + 0.001, 1e-9);
  EXPECT_EQ(quality.damage(tensor, WeightFormat::BF16), 0);
}

TEST(QualityModel, SaysHowSureItIs) {
  QualityModel quality(oneTensor());
  double last = 1e9;
  for (QualityBasis basis : {QualityBasis::Prior, QualityBasis::Weights, QualityBasis::Calibration,
                             QualityBasis::Sensitivities}) {
    quality.basis = basis;
    if (basis == QualityBasis::Sensitivities) {
      std::vector<WholePlan> plans;
      for (double damage : {0.01, 0.02, 0.05, 0.1, 0.2, 0.4})
        plans.push_back({damage, damage * (damage < 0.06 ? 1.1 : 0.95)});
      quality.link = fitKlLink(plans);
    }
    QualityEstimate estimate = quality.estimate(0.1);
    EXPECT_EQ(estimate.basis, basis);
    EXPECT_LT(estimate.low, estimate.kl);
    EXPECT_LT(estimate.kl, estimate.high);
    EXPECT_LT(estimate.high / estimate.low, last) << name(basis);
    EXPECT_EQ(parseQualityBasis(name(basis)), basis);
    last = estimate.high / estimate.low;
  }
  EXPECT_EQ(parseQualityBasis("guess"), std::nullopt);
}

// A part that was measured is as sure as a text allows; the rest keeps its own interval.
TEST(QualityModel, AddsWhatWasMeasuredBesideIt) {
  KlLink prior;
  prior.deviation = 0.8;
  QualityEstimate alone = estimateKl(prior, QualityBasis::Weights, 0.001);
  QualityEstimate both = estimateKl(prior, QualityBasis::Weights, 0.001, 0.004);
  double ofText = std::exp(1.6449 * textDeviation);
  EXPECT_NEAR(both.kl, 0.005, 1e-12);
  EXPECT_NEAR(both.low, alone.low + 0.004 / ofText, 1e-12);
  EXPECT_NEAR(both.high, alone.high + 0.004 * ofText, 1e-12);
  QualityEstimate measured = estimateKl(prior, QualityBasis::Weights, 0, 0.004);
  EXPECT_NEAR(measured.kl, 0.004, 1e-12);
  EXPECT_NEAR(measured.high, 0.004 * ofText, 1e-12);
  // A link that was fitted takes it as one effect more.
  std::vector<WholePlan> plans;
  for (double damage : {0.01, 0.02, 0.05, 0.1, 0.2, 0.4})
    plans.push_back({damage, damage * 1.1});
  KlLink fitted = fitKlLink(plans);
  QualityEstimate sum = estimateKl(fitted, QualityBasis::Sensitivities, 0.07);
  QualityEstimate parts = estimateKl(fitted, QualityBasis::Sensitivities, 0.03, 0.04);
  EXPECT_NEAR(parts.kl, sum.kl, 1e-12);
  EXPECT_NEAR(parts.low, sum.low, 1e-12);
  EXPECT_NEAR(parts.high, sum.high, 1e-12);
}

} // namespace
