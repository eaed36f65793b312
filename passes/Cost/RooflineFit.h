// Fits two ways of predicting a time to measurements. Model A, the naive roofline: t = W / (η·P),
// work over a share of the peak. Model C: t = W / (η·P) + n·τ, which gives every step of n a fixed
// cost. A step is a launch (decodeLaunches of DecodeTime.h) or, more coarsely, a layer; layers of
// different models have different numbers of launches. Least squares on the logarithm of time, so
// that fast and slow devices count alike. For decoding W is bytes and P bytes per second, for
// prefill operations and operations per second. Times are seconds.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace gcompile {

struct RooflineSample {
  double work = 0;          // bytes of one token, or operations of a prompt
  double peakPerSecond = 0; // of the device's memory or arithmetic
  double steps = 0;         // n: launches, or layers · micro-batches
  double seconds = 0;       // measured
  std::string model;        // for leaving one model out
};

struct RooflineFit {
  double efficiency = 0;     // η, 0 … 1
  double secondsPerStep = 0; // τ; 0 in model A
};

double predictSeconds(const RooflineFit &fit, const RooflineSample &sample);

// What other groups of measurements say of τ. Few measurements of similar models cannot tell η from
// τ; then τ should stay where it is elsewhere. Enters as one more squared logarithm,
// weight · log²(τ / secondsPerStep). The weight is the variance of a measurement about the model
// over the variance of log τ between groups.
struct StepCostPrior {
  double secondsPerStep = 0;
  double weight = 0;
};

// Both want at least one sample; model C without a prior wants two.
RooflineFit fitModelA(std::span<const RooflineSample> samples);
RooflineFit fitModelC(std::span<const RooflineSample> samples,
                      std::optional<StepCostPrior> prior = std::nullopt);

using Fitter = std::function<RooflineFit(std::span<const RooflineSample>)>;

// Mean of |predicted / measured − 1|.
double meanError(const RooflineFit &fit, std::span<const RooflineSample> samples);

// The same, each sample predicted by a fit of the others.
double leaveOneOutError(std::span<const RooflineSample> samples, const Fitter &fitter);

// The same, each sample predicted by a fit of all samples of other models, where two of them are
// left. `predicted` receives how many samples were;
// without any the error is 0.
double leaveOneModelOutError(std::span<const RooflineSample> samples, const Fitter &fitter,
                             size_t &predicted);

} // namespace gcompile
