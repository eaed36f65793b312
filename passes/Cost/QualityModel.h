// Expected quality lost, as KL divergence to the uncompressed model in nats per token, with an
// interval that says how well it is known.
//
// Every choice (a tensor's format, a layer type's cache format) has a damage, which adds up over a
// plan, so that solvers stay exact; the KL of a plan is a monotone function of the sum (KlLink). A
// damage is the relative squared error that a format makes times a sensitivity. What both rest on:
//
//   Prior          shapes alone: errors of normally distributed weights, sensitivities by role
//   Weights        errors measured on the weights
//   Calibration    errors measured on the weights, weighted by the inputs that the layers see
//   Sensitivities  damages and link measured as KL on the model itself
//
// docs/quality-model.md says where the figures come from and how well each basis does.
#pragma once

#include "passes/Cost/ModelShape.h"

#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace gcompile {

enum class QualityBasis : uint8_t { Prior, Weights, Calibration, Sensitivities };
std::string_view name(QualityBasis basis); // "prior", "weights", …
std::optional<QualityBasis> parseQualityBasis(std::string_view name);

struct QualityEstimate {
  double kl = 0, low = 0, high = 0; // low … high holds the true value 9 times of 10
  QualityBasis basis = QualityBasis::Prior;
};

// --- priors ---

// Relative squared error of rounding normally distributed weights with k values a row. `source` is
// the format that they lie in: formats that hold it exactly lose nothing.
double weightErrorPrior(WeightFormat format, int64_t k, WeightFormat source);
// Relative squared error of int8 activations of that format's grouping; 0 for float formats.
double activationErrorPrior(WeightFormat format);
double kvErrorPrior(KvFormat format);

// KL per unit of relative squared error. All tensors of a model together sum to `totalSensitivity`.
// It is anchored to published comparisons, each within one harness (docs/quality-model.md has the
// sources): KL over the error of the grid gives 4 to 10 for Llama-3-8B (Q8_0 to Q5_K_S), 8 for
// Llama-3.2-1B (Q4_K_M), 6 to 8 for MiniMax-M2 (2 and 3 bits), 3.5 to 4.5 for gemma4-tiny. How it
// is shared out among roles follows, half way, what was measured on gemma4-tiny.
constexpr double totalSensitivity = 6;
double sensitivity(const ModelShape &model, const TensorShape &tensor);
// One of K or V of all layers of a scope that read it.
double kvSensitivity(const ModelShape &model, bool global);

// --- whole plans ---

// ln KL as a polynomial of ln damage, of degree 1 or 2, increasing. Beyond the range that it was
// fitted on it goes on as a straight line, and the interval widens.
struct KlLink {
  double constant = 0, slope = 1, curvature = 0; // of x = ln damage − centre
  double centre = 0;
  double least = -100, most = 100; // ln damage
  double deviation = 0;            // standard deviation of ln KL around the link
  int64_t plans = 0;               // that it was fitted on; 0: a prior

  double kl(double damage) const;
  // Factor between the estimate and the ends of its 90 % interval.
  double intervalFactor(double damage) const;
};

// Standard deviation of ln KL of one plan between two texts of one kind: what calibration on one
// cannot know of the other. (gemma4-tiny: the KL on held-out documents is 1.25 times that on
// training documents.)
constexpr double textDeviation = 0.2;

struct WholePlan {
  double damage = 0, kl = 0;
};
// KL and interval of a plan of so much damage. `measured`: damage beside it that was measured on
// the model itself as KL, whatever the rest is based on.
QualityEstimate estimateKl(const KlLink &link, QualityBasis basis, double damage,
                           double measured = 0);

// Least squares of ln KL, the errors of all plans alike. Needs 4 plans of positive damage and KL;
// with fewer the slope is 1.
KlLink fitKlLink(std::span<const WholePlan> plans);

// --- a model ---

// What was found out about one tensor. `probes` are (relative squared error, damage), measured.
struct TensorQuality {
  std::map<WeightFormat, double> errors;
  std::vector<std::pair<double, double>> probes;
  // Damage of int8 activations with one scale a row, and with one a group.
  double rowActivations = 0, groupActivations = 0;
};

class QualityModel {
public:
  explicit QualityModel(ModelShape model); // priors; add what is known

  QualityBasis basis = QualityBasis::Prior;
  std::map<std::string, WeightFormat> sourceFormats; // by tensor; absent: bf16
  // Tensors that a quantized checkpoint holds on the grid of a format (docs/decisions/0009): that
  // format keeps them as they are.
  std::map<std::string, WeightFormat> nativeFormats;
  // Tensors whose inputs the model itself rounds to int8 (docs/decisions/0011): integer kernels
  // then take these codes and round nothing more.
  std::set<std::string> staticInputs;
  std::map<std::string, TensorQuality> tensors;
  std::map<std::pair<bool, KvFormat>, double> caches; // (global, format) → damage; absent: prior
  KlLink link;                                        // a prior unless Sensitivities

  // Damages in nats per token; never negative.
  double damage(const TensorShape &tensor, WeightFormat format) const;
  double kvDamage(bool global, KvFormat format) const;

  // The link with the deviation that estimates on this basis have.
  KlLink estimateLink() const;
  QualityEstimate estimate(double damage) const;

private:
  double errorOf(const TensorShape &tensor, WeightFormat format, const TensorQuality *known) const;
  ModelShape model;
};

} // namespace gcompile
