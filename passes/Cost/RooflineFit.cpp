#include "passes/Cost/RooflineFit.h"

#include <algorithm>
#include <cmath>

namespace gcompile {

double predictSeconds(const RooflineFit &fit, const RooflineSample &sample) {
  return sample.work / (fit.efficiency * sample.peakPerSecond) + sample.steps * fit.secondsPerStep;
}

static double squaredLogError(const RooflineFit &fit, std::span<const RooflineSample> samples) {
  double sum = 0;
  for (const RooflineSample &sample : samples) {
    double error = std::log(predictSeconds(fit, sample) / sample.seconds);
    sum += error * error;
  }
  return sum;
}

// The point of [low, high] where `cost` is least: a coarse search in equal ratios, because the cost
// of a small sample can have two valleys, then thirds of the best neighbourhood.
static double leastIn(double low, double high, const std::function<double(double)> &cost) {
  constexpr double step = 1.05;
  double best = low, least = cost(low);
  for (double x = low; x <= high; x *= step)
    if (double value = cost(x); value < least) {
      least = value;
      best = x;
    }
  double left = std::max(low, best / step), right = std::min(high, best * step);
  for (int i = 0; i < 40; ++i) {
    double a = left + (right - left) / 3, b = right - (right - left) / 3;
    if (cost(a) < cost(b))
      right = b;
    else
      left = a;
  }
  return (left + right) / 2;
}

// The best η at a given τ. It never exceeds 1: no device works faster than its peak.
static RooflineFit fitEfficiency(std::span<const RooflineSample> samples, double secondsPerStep) {
  RooflineFit fit{0, secondsPerStep};
  fit.efficiency = leastIn(1e-3, 1, [&](double efficiency) {
    return squaredLogError({efficiency, secondsPerStep}, samples);
  });
  return fit;
}

RooflineFit fitModelA(std::span<const RooflineSample> samples) { return fitEfficiency(samples, 0); }

RooflineFit fitModelC(std::span<const RooflineSample> samples, std::optional<StepCostPrior> prior) {
  auto cost = [&](double secondsPerStep) {
    double value = squaredLogError(fitEfficiency(samples, secondsPerStep), samples);
    if (prior) {
      double away = std::log(secondsPerStep / prior->secondsPerStep);
      value += prior->weight * away * away;
    }
    return value;
  };
  double secondsPerStep = leastIn(1e-8, 1e-2, cost);
  if (!prior && cost(0) <= cost(secondsPerStep))
    secondsPerStep = 0;
  return fitEfficiency(samples, secondsPerStep);
}

double meanError(const RooflineFit &fit, std::span<const RooflineSample> samples) {
  double sum = 0;
  for (const RooflineSample &sample : samples)
    sum += std::abs(predictSeconds(fit, sample) / sample.seconds - 1);
  return samples.empty() ? 0 : sum / double(samples.size());
}

double leaveOneOutError(std::span<const RooflineSample> samples, const Fitter &fitter) {
  double sum = 0;
  for (size_t i = 0; i < samples.size(); ++i) {
    std::vector<RooflineSample> others(samples.begin(), samples.end());
    others.erase(others.begin() + long(i));
    sum += meanError(fitter(others), samples.subspan(i, 1));
  }
  return samples.empty() ? 0 : sum / double(samples.size());
}

double leaveOneModelOutError(std::span<const RooflineSample> samples, const Fitter &fitter,
                             size_t &predicted) {
  double sum = 0;
  predicted = 0;
  for (const RooflineSample &sample : samples) {
    std::vector<RooflineSample> others;
    for (const RooflineSample &other : samples)
      if (other.model != sample.model)
        others.push_back(other);
    if (others.size() < 2)
      continue;
    sum += meanError(fitter(others), std::span(&sample, 1));
    ++predicted;
  }
  return predicted ? sum / double(predicted) : 0;
}

} // namespace gcompile
