// Expected quality lost, as KL divergence to the uncompressed model in nats per token. The estimate
// is linear: the sum over tensors of the relative squared error of the format (measured on the
// weights when they are there, else a prior for normally distributed weights) times a prior weight
// of the tensor's role. It is an estimate without calibration on the model at hand: the interval is
// a factor of `intervalFactor` to both sides, and is printed with it.
#pragma once

#include "passes/Cost/ModelShape.h"

namespace gcompile {

constexpr double intervalFactor = 4;

// Relative squared error of rounding normally distributed weights with k values a row. `source` is
// the format that they lie in: formats that hold it exactly lose nothing.
double weightErrorPrior(WeightFormat format, int64_t k, WeightFormat source);
// Relative squared error of int8 activations of that format's grouping; 0 for float formats.
double activationErrorPrior(WeightFormat format);
double kvErrorPrior(KvFormat format);

// KL per unit of relative squared error. All tensors of a model together sum to `totalSensitivity`.
// Chosen so that channel-wise and group-wise 4-bit rounding of a few-billion-parameter model come
// out at about 0.15 and 0.05 nats and 8-bit below 0.01, as published comparisons of
// rounding-to-nearest find.
constexpr double totalSensitivity = 8;
double sensitivity(const ModelShape &model, const TensorShape &tensor);
// One of K or V of all layers of a scope that read it.
double kvSensitivity(const ModelShape &model, bool global);

struct QualityEstimate {
  double kl = 0, low = 0, high = 0;
};
QualityEstimate qualityOf(double loss);

} // namespace gcompile
