#include "passes/Cost/QualityModel.h"

#include <algorithm>
#include <cmath>

namespace gcompile {

// Expected largest magnitude of `count` standard normal values (Gumbel approximation, within 3 %
// from 16 values on).
static double expectedAbsMax(double count) {
  double a = std::sqrt(2 * std::log(2 * std::max(count, 2.0)));
  return a - (std::log(std::log(2 * std::max(count, 2.0))) + std::log(4 * M_PI) - 1.154) / (2 * a);
}

// Uniform rounding with `levels` steps from 0 to the largest magnitude: step² / 12.
static double uniformError(double largest, double levels) {
  double step = largest / levels;
  return step * step / 12;
}

static bool holdsExactly(WeightFormat format, WeightFormat source) {
  if (format == source || format == WeightFormat::F32)
    return true;
  return false;
}

double weightErrorPrior(WeightFormat format, int64_t k, WeightFormat source) {
  if (holdsExactly(format, source))
    return 0;
  const WeightFormatInfo &facts = info(format);
  double values = facts.group ? double(facts.group) : double(k);
  switch (format) {
  case WeightFormat::F32:
    return 0;
  case WeightFormat::BF16:
    return 1.3e-6; // 8 significant bits: (2^-8)²/12
  case WeightFormat::F16:
    return 2.0e-8;
  case WeightFormat::W8:
  case WeightFormat::W8G32:
    return uniformError(expectedAbsMax(values), 127);
  case WeightFormat::W4:
  case WeightFormat::W4G32:
    return uniformError(expectedAbsMax(values), 7.5);
  case WeightFormat::W2:
    return 0.19; // four asymmetric levels −2…1 with the best scale on a normal distribution
  case WeightFormat::W2G64:
    return 0.17;
  }
  return 1;
}

double activationErrorPrior(WeightFormat format) {
  const WeightFormatInfo &facts = info(format);
  if (!facts.isInteger)
    return 0;
  // Activations have outliers: the largest of a whole row is taken as 8 deviations, of a group as a
  // normal one.
  return uniformError(facts.group ? expectedAbsMax(facts.group) : 8, 127);
}

double kvErrorPrior(KvFormat format) {
  switch (format) {
  case KvFormat::F32:
    return 0;
  case KvFormat::F16:
    return 2.0e-8;
  case KvFormat::Kv8:
    return uniformError(expectedAbsMax(256), 127);
  case KvFormat::Kv4:
    return uniformError(expectedAbsMax(256), 7);
  }
  return 1;
}

// Prior weights inside a layer. Values and outputs feed the stream linearly, queries and keys pass
// a softmax, the gate a saturating gelu.
static double roleWeight(const std::string &role) {
  if (role == "q" || role == "k")
    return 0.7;
  if (role == "v")
    return 1.5;
  if (role == "o")
    return 1.2;
  if (role == "gate")
    return 0.8;
  if (role == "up")
    return 0.9;
  if (role == "down" || role == "expert_down")
    return 1.4;
  if (role == "expert_gate_up")
    return 1.7;
  if (role == "per_layer_input_gate" || role == "per_layer_projection")
    return 0.4;
  if (role == "router")
    return 1.0;
  return 0;
}

// Shares of what belongs to no layer.
static double globalShare(const std::string &role) {
  if (role == "embedding")
    return 0.12; // input and head
  if (role == "per_layer_table")
    return 0.05;
  if (role == "per_layer_model_projection")
    return 0.03;
  return 0;
}

double sensitivity(const ModelShape &model, const TensorShape &tensor) {
  if (double share = globalShare(tensor.role); share > 0)
    return totalSensitivity * share;
  double own = roleWeight(tensor.role);
  if (own == 0 || tensor.layer < 0)
    return 0;
  // The layers share what is left; the first and the last count half as much again.
  constexpr double layersShare = 0.8;
  int64_t count = int64_t(model.layers.size());
  auto layerWeight = [&](int64_t layer) { return layer == 0 || layer == count - 1 ? 1.5 : 1.0; };
  double roles = 0;
  for (const TensorShape &other : model.tensors)
    if (other.layer == tensor.layer)
      roles += roleWeight(other.role);
  double layers = double(count - 2) + 3.0;
  if (count < 2)
    layers = 1.5;
  return totalSensitivity * layersShare * layerWeight(tensor.layer) / layers * own / roles;
}

double kvSensitivity(const ModelShape &model, bool global) {
  int64_t readers = 0;
  for (const LayerShape &layer : model.layers)
    readers += layer.global == global;
  // Global layers carry what is far away: an error there weighs twice.
  double all = 0;
  for (const LayerShape &layer : model.layers)
    all += layer.global ? 2 : 1;
  return all == 0 ? 0 : totalSensitivity * 0.15 * double(readers) * (global ? 2 : 1) / all;
}

QualityEstimate qualityOf(double loss) {
  return {loss, loss / intervalFactor, loss * intervalFactor};
}

} // namespace gcompile
