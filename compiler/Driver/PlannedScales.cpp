#include "compiler/Driver/PlannedScales.h"

#include "compiler/Driver/CalibrationText.h"
#include "compiler/Driver/ModelQuality.h"
#include "compiler/Driver/ProgressLine.h"
#include "compiler/Measure/ActivationRanges.h"
#include "compiler/Measure/StaticCosts.h"
#include "compiler/Support/KeptFile.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"

#include <bit>

namespace gcompile {

std::string PlannedScales::hash() const {
  auto bits = [](float scale) { return " " + llvm::utohexstr(std::bit_cast<uint32_t>(scale)); };
  std::string text;
  for (const auto &[tensor, scales] : byTensor)
    text += tensor + bits(scales.input) + bits(scales.output) + "\n";
  for (const auto &[layer, scales] : caches)
    text += std::to_string(layer) + bits(scales.kv8.key) + bits(scales.kv8.value) +
            bits(scales.kv4.key) + bits(scales.kv4.value) + "\n";
  return hashOf(text);
}

PlannedScales scalesOf(const Plan &plan) {
  return {plan.activations.value_or(Activations::Dynamic), plan.activationScales, plan.cacheScales};
}

std::string strayScales(const ModelShape &shape, const Plan &plan) {
  for (const auto &[layer, scales] : plan.cacheScales) {
    std::string which = "layer " + std::to_string(layer);
    if (layer < 0 || layer >= int64_t(shape.layers.size()) || !shape.layers[layer].ownsKv)
      return "cache_scales name " + which + ", which owns no cache";
    bool hasKey = scales.kv8.key != 0 || scales.kv4.key != 0;
    if (hasKey && shape.layers[layer].keyFromValue)
      return "cache_scales give " + which +
             " a scale of keys, which are formed from values there (docs/decisions/0007); leave "
             "out kv8_key and kv4_key";
  }
  for (const TensorShape &tensor : shape.tensors)
    if (plan.activationScales.count(tensor.name) &&
        llvm::is_contained({"norm", "per_layer_table", "expert_gate_up", "expert_down"},
                           llvm::StringRef(tensor.role)))
      return "'" + tensor.name +
             "' has activation scales, which only the matrix of a linear layer takes";
  return "";
}

// Runs `measure` on windows of the calibration text; `flag` asked for it.
template <typename Scales, typename Measure>
static llvm::Expected<Scales> calibrated(const ImportedModel &model,
                                         const CompilerInvocation &options, const char *flag,
                                         const char *what, Measure measure) {
  if (!model.checkpoint || !model.tensors)
    return llvm::createStringError(llvm::Twine(flag) + " static: '" + model.name +
                                   "' is known by its shapes alone; give the folder of its "
                                   "checkpoint to --model");
  if (options.calibration.empty())
    return llvm::createStringError(llvm::Twine(flag) + " static: '" + model.name +
                                   "' states no scales of " + what +
                                   "; give a text to measure them on with --calibration FILE");
  llvm::Expected<std::string> text = calibrationText(options);
  if (!text)
    return text.takeError();
  auto windows = calibrationTokens(model, *text, options);
  if (!windows)
    return windows.takeError();
  ObserveOptions observing;
  observing.jobs = options.jobs;
  ProgressLine line(options.quiet || options.json ? ProgressLine::Off : ProgressLine::WhenTerminal);
  auto progress = [&](uint64_t done, uint64_t total) {
    line.show("observe " + std::string(what), done, total);
  };
  observing.progress = progress;
  llvm::Expected<Scales> scales = measure(model, *windows, observing);
  line.clear();
  return scales;
}

llvm::Expected<PlannedScales> chooseScales(const ImportedModel &model, const ModelShape &shape,
                                           const CompilerInvocation &options,
                                           const Plan *replayed) {
  if (replayed)
    if (std::string why = strayScales(shape, *replayed); !why.empty())
      return llvm::createStringError("the plan cannot be replayed: " + why);
  if (replayed && replayed->activations)
    return scalesOf(*replayed);
  PlannedScales scales;
  std::map<std::string, ActivationScales> stated = statedActivationScales(model);
  scales.activations =
      options.activations.value_or(stated.empty() ? Activations::Dynamic : Activations::Static);
  if (scales.activations == Activations::Static)
    scales.byTensor = stated;
  if (scales.activations == Activations::Static && stated.empty() && !replayed) {
    auto measured = calibrated<std::map<std::string, ActivationScales>>(
        model, options, "--activations", "activations", measureActivationScales);
    if (!measured)
      return measured.takeError();
    scales.byTensor = std::move(*measured);
  }

  // Caches as activations, unless the user says otherwise or the checkpoint states scales for these
  // alone.
  if (options.kvScales.value_or(scales.activations) == Activations::Dynamic)
    return scales;
  scales.caches = statedCacheScales(model);
  bool isAsked = options.kvScales || (options.activations && stated.empty());
  if (!scales.caches.empty() || !isAsked || replayed)
    return scales;
  auto measured = calibrated<std::map<int64_t, CacheScaleChoice>>(model, options, "--kv-scales",
                                                                  "caches", measureCacheScales);
  if (!measured)
    return measured.takeError();
  scales.caches = std::move(*measured);
  return scales;
}

llvm::Expected<std::optional<StaticCost>> priceScales(const ImportedModel &model,
                                                      const CompilerInvocation &options,
                                                      const PlannedScales &scales,
                                                      QualityModel &quality) {
  std::map<std::string, ActivationScales> stated = statedActivationScales(model);
  bool isAsMade = scales.byTensor == stated;
  if (options.calibration.empty()) {
    // Nothing is known of scales that were not there when the model was made.
    if (!isAsMade)
      std::erase_if(quality.staticInputs,
                    [&](const std::string &tensor) { return !scales.byTensor.count(tensor); });
    return std::nullopt;
  }
  quality.staticInputs = staticInputsOf(scales.byTensor);
  StaticCostOptions measuring;
  measuring.activations = scales.byTensor;
  measuring.caches = scales.caches;
  measuring.pricesActivations = !isAsMade;
  // Sensitivities are measured with the caches that the checkpoint states; all else prices a scale
  // a row.
  measuring.pricesCaches = quality.basis == QualityBasis::Sensitivities
                               ? scales.caches != statedCacheScales(model)
                               : !scales.caches.empty();
  if (!measuring.pricesActivations && !measuring.pricesCaches && scales.byTensor.empty() &&
      scales.caches.empty())
    return std::nullopt;
  llvm::Expected<std::string> text = calibrationText(options);
  if (!text)
    return text.takeError();
  measuring.windows = calibrationWindows;
  measuring.window = calibrationWindow;
  measuring.jobs = options.jobs;
  ProgressLine line(options.quiet || options.json ? ProgressLine::Off : ProgressLine::WhenTerminal);
  auto progress = [&](uint64_t done, uint64_t total) {
    line.show("measure static scales", done, total);
  };
  measuring.progress = progress;
  llvm::Expected<StaticCosts> costs = measureStaticCosts(model, *text, measuring);
  line.clear();
  if (!costs)
    return costs.takeError();
  for (const auto &[cache, kl] : costs->caches)
    quality.caches[cache] = kl;
  return StaticCost{costs->activations, scales.hash()};
}

} // namespace gcompile
