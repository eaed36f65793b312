#include "passes/Cost/QualityModel.h"

#include <algorithm>
#include <cmath>
#include <utility>

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
  case WeightFormat::W4G128:
    return uniformError(expectedAbsMax(128), 7.5);
  // Relative errors of the encoders on formats.md 6.1, which is nearly normal.
  case WeightFormat::Q4K:
    return 0.06909 * 0.06909;
  case WeightFormat::Q6K:
    return 0.01725 * 0.01725;
  case WeightFormat::NF4:
    return 0.0925 * 0.0925;
  }
  return 1;
}

double activationErrorPrior(WeightFormat format) {
  const WeightFormatInfo &facts = info(format);
  if (!facts.isInteger)
    return 0;
  // Activations have outliers: the largest of a whole row is taken as 6 deviations, of a group as a
  // normal one. (gemma4-tiny, whose inputs are all normalised, behaves as if it were 4.)
  return uniformError(facts.group ? expectedAbsMax(facts.group) : 6, 127);
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
    return 0.5;
  if (role == "v")
    return 2.0;
  if (role == "o")
    return 1.2;
  if (role == "gate")
    return 0.8;
  if (role == "up")
    return 0.7;
  if (role == "down" || role == "expert_down")
    return 1.1;
  if (role == "expert_gate_up")
    return 1.5;
  if (role == "per_layer_input_gate" || role == "per_layer_projection")
    return 0.3;
  if (role == "router")
    return 1.0;
  return 0;
}

// Shares of what belongs to no layer.
static double globalShare(const std::string &role) {
  if (role == "embedding")
    return 0.20; // input and head
  if (role == "per_layer_table")
    return 0.03;
  if (role == "per_layer_model_projection")
    return 0.02;
  return 0;
}

double sensitivity(const ModelShape &model, const TensorShape &tensor) {
  if (double share = globalShare(tensor.role); share > 0)
    return totalSensitivity * share;
  double own = roleWeight(tensor.role);
  if (own == 0 || tensor.layer < 0)
    return 0;
  // The layers share what is left, evenly.
  constexpr double layersShare = 0.75;
  double roles = 0;
  for (const TensorShape &other : model.tensors)
    if (other.layer == tensor.layer)
      roles += roleWeight(other.role);
  double layers = double(std::max<size_t>(model.layers.size(), 1));
  return totalSensitivity * layersShare / layers * own / roles;
}

double kvSensitivity(const ModelShape &model, bool global) {
  int64_t readers = 0;
  for (const LayerShape &layer : model.layers)
    readers += layer.global == global;
  double all = double(model.layers.size());
  return all == 0 ? 0 : totalSensitivity * 0.3 * double(readers) / all;
}

// --- whole plans ---

namespace {

// 95 % quantile of Student's t (Cornish-Fisher expansion; within 1 % from 3 degrees on).
double studentQuantile(double degrees) {
  constexpr double z = 1.6449;
  double first = (z * z * z + z) / 4;
  double second = (5 * std::pow(z, 5) + 16 * z * z * z + 3 * z) / 96;
  return z + first / degrees + second / (degrees * degrees);
}

double lnOf(double value) { return std::log(std::max(value, 1e-12)); }

struct Line {
  double constant = 0, slope = 1;
};

Line fitLine(std::span<const double> x, std::span<const double> y) {
  double n = double(x.size()), meanX = 0, meanY = 0, squares = 0, products = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    meanX += x[i] / n;
    meanY += y[i] / n;
  }
  for (size_t i = 0; i < x.size(); ++i) {
    squares += (x[i] - meanX) * (x[i] - meanX);
    products += (x[i] - meanX) * (y[i] - meanY);
  }
  Line line;
  line.slope = squares > 0 ? products / squares : 1;
  line.constant = meanY - line.slope * meanX;
  return line;
}

double deviationOf(const KlLink &link, std::span<const double> x, std::span<const double> y,
                   int64_t parameters) {
  double squares = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    double u = x[i] - link.centre;
    double residual = y[i] - (link.constant + link.slope * u + link.curvature * u * u);
    squares += residual * residual;
  }
  return std::sqrt(squares / double(std::max<int64_t>(int64_t(x.size()) - parameters, 1)));
}

} // namespace

double KlLink::kl(double damage) const {
  if (damage <= 0)
    return 0;
  double x = lnOf(damage), inside = std::clamp(x, least, most), u = inside - centre;
  double y = constant + slope * u + curvature * u * u;
  return std::exp(y + (slope + 2 * curvature * u) * (x - inside));
}

double KlLink::intervalFactor(double damage) const {
  double width = deviation * 1.6449;
  if (plans > 0) {
    double parameters = curvature == 0 ? 2 : 3, n = double(plans);
    double spread =
        deviation * studentQuantile(std::max(n - parameters, 1.0)) * std::sqrt(1 + parameters / n);
    width = std::hypot(spread, 1.6449 * textDeviation);
  }
  // Beyond what was seen, half of the way counts as not known.
  if (damage > 0) {
    double x = lnOf(damage);
    width += 0.5 * std::max({0.0, least - x, x - most}) * (plans > 0 ? 1 : 0);
  }
  return std::exp(width);
}

KlLink fitKlLink(std::span<const WholePlan> plans) {
  std::vector<double> x, y;
  for (const WholePlan &plan : plans)
    if (plan.damage > 0 && plan.kl > 0) {
      x.push_back(lnOf(plan.damage));
      y.push_back(lnOf(plan.kl));
    }
  KlLink link;
  if (x.empty())
    return link;
  auto [least, most] = std::minmax_element(x.begin(), x.end());
  link.least = *least;
  link.most = *most;
  link.centre = (*least + *most) / 2;
  link.plans = int64_t(x.size());
  if (x.size() < 4 || *most - *least < 0.5) {
    double sum = 0;
    for (size_t i = 0; i < x.size(); ++i)
      sum += y[i] - x[i];
    link.constant = sum / double(x.size()) + link.centre;
    link.deviation = std::max(deviationOf(link, x, y, 1), 0.5);
    return link;
  }
  Line line = fitLine(x, y);
  link.slope = std::max(line.slope, 0.05);
  link.constant = line.constant + line.slope * link.centre;
  link.deviation = deviationOf(link, x, y, 2);
  if (x.size() < 7)
    return link;

  // Degree 2: the part of u² and y that lines in u do not explain.
  std::vector<double> u, square;
  for (double value : x) {
    u.push_back(value - link.centre);
    square.push_back(u.back() * u.back());
  }
  Line ofSquare = fitLine(u, square), ofY = fitLine(u, y);
  double products = 0, squares = 0;
  for (size_t i = 0; i < u.size(); ++i) {
    double a = square[i] - ofSquare.constant - ofSquare.slope * u[i];
    double b = y[i] - ofY.constant - ofY.slope * u[i];
    products += a * b;
    squares += a * a;
  }
  if (squares <= 0)
    return link;
  KlLink curved = link;
  curved.curvature = products / squares;
  curved.slope = ofY.slope - curved.curvature * ofSquare.slope;
  curved.constant = ofY.constant - curved.curvature * ofSquare.constant;
  curved.deviation = deviationOf(curved, x, y, 3);
  double reach = (*most - *least) / 2;
  bool increasing = curved.slope - 2 * std::abs(curved.curvature) * reach > 0.05;
  return increasing && curved.deviation < link.deviation ? curved : link;
}

// --- a model ---

std::string_view name(QualityBasis basis) {
  switch (basis) {
  case QualityBasis::Prior:
    return "prior";
  case QualityBasis::Weights:
    return "weights";
  case QualityBasis::Calibration:
    return "calibration";
  case QualityBasis::Sensitivities:
    return "sensitivities";
  }
  return "prior";
}

std::optional<QualityBasis> parseQualityBasis(std::string_view text) {
  for (QualityBasis value : {QualityBasis::Prior, QualityBasis::Weights, QualityBasis::Calibration,
                             QualityBasis::Sensitivities})
    if (name(value) == text)
      return value;
  return std::nullopt;
}

// Damage at an error between measured ones: straight lines in logarithms; proportional beyond them.
static double between(std::span<const std::pair<double, double>> probes, double error) {
  constexpr double least = 1e-12;
  std::vector<std::pair<double, double>> points; // logarithms
  for (auto [x, y] : probes)
    if (x > 0)
      points.push_back({std::log(x), std::log(std::max(y, least))});
  if (points.empty() || error <= 0)
    return 0;
  std::sort(points.begin(), points.end());
  // More error never costs less.
  for (size_t i = 1; i < points.size(); ++i)
    points[i].second = std::max(points[i].second, points[i - 1].second);
  double x = std::log(error);
  if (x <= points.front().first)
    return std::exp(points.front().second + x - points.front().first);
  if (x >= points.back().first)
    return std::exp(points.back().second + x - points.back().first);
  size_t i = 1;
  while (points[i].first < x)
    ++i;
  auto [x0, y0] = points[i - 1];
  auto [x1, y1] = points[i];
  return std::exp(y0 + (y1 - y0) * (x - x0) / (x1 - x0));
}

// Standard deviations of ln KL around an estimate that was not fitted to whole plans of the model
// (docs/quality-model.md has what these bases gave on a model that could be measured).
static double priorDeviation(QualityBasis basis) {
  switch (basis) {
  case QualityBasis::Prior:
    return 1.0;
  case QualityBasis::Weights:
    return 0.8;
  default:
    return 0.75;
  }
}

QualityModel::QualityModel(ModelShape shape) : model(std::move(shape)) {}

double QualityModel::errorOf(const TensorShape &tensor, WeightFormat format,
                             const TensorQuality *known) const {
  if (auto native = nativeFormats.find(tensor.name);
      native != nativeFormats.end() && native->second == format)
    return 0;
  if (known)
    if (auto found = known->errors.find(format); found != known->errors.end())
      return found->second;
  auto source = sourceFormats.find(tensor.name);
  return weightErrorPrior(format, tensor.k,
                          source == sourceFormats.end() ? WeightFormat::BF16 : source->second);
}

double QualityModel::damage(const TensorShape &tensor, WeightFormat format) const {
  auto found = tensors.find(tensor.name);
  const TensorQuality *known = found == tensors.end() ? nullptr : &found->second;
  double error = errorOf(tensor, format, known);
  // Tables are read by row: their values are never multiplied by rounded activations.
  bool rounds = info(format).isInteger && tensor.role != "per_layer_table" &&
                !staticInputs.contains(tensor.name);
  if (known && !known->probes.empty()) {
    double activations = info(format).group ? known->groupActivations : known->rowActivations;
    return between(known->probes, error) + (rounds ? activations : 0);
  }
  return (error + (rounds ? activationErrorPrior(format) : 0)) * sensitivity(model, tensor);
}

double QualityModel::kvDamage(bool global, KvFormat format) const {
  if (auto found = caches.find({global, format}); found != caches.end())
    return found->second;
  return kvErrorPrior(format) * kvSensitivity(model, global);
}

KlLink QualityModel::estimateLink() const {
  KlLink used = link;
  if (used.plans == 0)
    used.deviation = priorDeviation(basis);
  return used;
}

QualityEstimate QualityModel::estimate(double damage) const {
  return estimateKl(estimateLink(), basis, damage);
}

QualityEstimate estimateKl(const KlLink &link, QualityBasis basis, double damage, double measured) {
  double all = damage + measured, kl = link.kl(all);
  // A fitted link was measured like `measured`. Any other is uncertain of its own part alone; both
  // ends are reached together, since texts that one part minds the other minds too.
  if (link.plans > 0 || measured <= 0) {
    double factor = link.intervalFactor(all);
    return {kl, kl / factor, kl * factor, basis};
  }
  double factor = link.intervalFactor(damage), ofText = std::exp(1.6449 * textDeviation);
  double part = measured / all;
  return {kl, kl * ((1 - part) / factor + part / ofText),
          kl * ((1 - part) * factor + part * ofText), basis};
}

} // namespace gcompile
