#include "compiler/Measure/StaticCosts.h"

#include "compiler/Measure/Divergence.h"

#include "llvm/ADT/STLExtras.h"

#include <algorithm>
#include <cmath>

namespace gcompile {
namespace {

// Programs to compare with the model, each with the place of its result.
struct Probe {
  ModelFormats formats;
  double *kl;
};

std::vector<Probe> probesOf(const ImportedModel &model, const ModelFormats &reference,
                            const StaticCostOptions &options, StaticCosts &costs) {
  std::vector<Probe> probes;
  if (options.pricesActivations && options.activations != *reference.activationScales) {
    probes.push_back({reference, &costs.activations});
    probes.back().formats.activationScales = options.activations;
  }
  if (!options.pricesCaches)
    return probes;
  for (bool global : {false, true}) {
    auto isOfType = [&](const LayerConfig &layer) {
      return (layer.type == LayerType::Full) == global;
    };
    if (llvm::none_of(model.config.layers, isOfType))
      continue;
    for (KvFormat format : {KvFormat::Kv8, KvFormat::Kv4}) {
      probes.push_back({reference, &costs.caches[{global, format}]});
      ModelFormats &formats = probes.back().formats;
      (global ? formats.globalKv : formats.localKv) = format;
      formats.cacheScales = options.caches;
    }
  }
  return probes;
}

} // namespace

llvm::Expected<StaticCosts> measureStaticCosts(const ImportedModel &model, llvm::StringRef text,
                                               const StaticCostOptions &options) {
  ModelFormats reference;
  reference.weights = measuringFormat(model.config);
  reference.activationScales = statedActivationScales(model);
  reference.cacheScales.emplace(); // its caches are floats
  StaticCosts costs;
  std::vector<Probe> probes = probesOf(model, reference, options, costs);
  if (probes.empty())
    return costs;

  ProbeOptions probeOptions;
  probeOptions.context = options.window;
  probeOptions.jobs = options.jobs;
  probeOptions.cancel = options.cancel;
  auto show = [&](size_t done) {
    if (options.progress)
      options.progress(done, probes.size() + 1);
  };
  show(0);
  auto original = ProbeModel::compile(model, reference, probeOptions);
  if (!original)
    return original.takeError();
  WindowOptions cut;
  cut.window = options.window;
  cut.most = options.windows;
  llvm::Expected<TokenWindows> windows = cutWindows((*original)->runner(), text, cut);
  if (!windows)
    return windows.takeError();
  auto recorded = ReferenceLogits::record((*original)->runner(), std::move(*windows));
  original->reset(); // one model in memory at a time
  if (!recorded)
    return recorded.takeError();
  for (size_t i = 0; i < probes.size(); ++i) {
    show(i + 1);
    auto changed = ProbeModel::compile(model, probes[i].formats, probeOptions);
    if (!changed)
      return changed.takeError();
    llvm::Expected<Divergence> divergence = (*recorded)->compare((*changed)->runner());
    if (!divergence)
      return divergence.takeError();
    if (!std::isfinite(divergence->mean))
      return llvm::createStringError(
          "with the static scales the model's predictions on the calibration text are no numbers");
    *probes[i].kl = std::max(divergence->mean, 0.0);
  }
  return costs;
}

} // namespace gcompile
