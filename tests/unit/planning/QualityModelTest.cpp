// The quality model: monotony, and a check of its prior.
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

} // namespace
