#include "compiler/Measure/Sensitivity.h"

#include "compiler/Measure/Divergence.h"

#include "llvm/ADT/STLExtras.h"

#include <algorithm>
#include <mutex>
#include <oneapi/tbb/parallel_for.h>
#include <oneapi/tbb/task_arena.h>

namespace gcompile {
namespace {

// Models up to this many parameters are held as f32 and compiled two at a time.
constexpr int64_t smallModel = 400000000;

// Tensors that are changed together.
struct Unit {
  std::string label;
  std::vector<const TensorShape *> tensors;
};

class Measurement {
public:
  Measurement(const ImportedModel &model, const ModelShape &shape, QualityModel &quality,
              const SensitivityOptions &options)
      : model(model), shape(shape), quality(quality), options(options) {}

  llvm::Expected<SensitivityResult> run(llvm::StringRef text);

private:
  llvm::Error probeWeights();
  llvm::Error probeActivations();
  llvm::Error probeCaches();
  llvm::Error probeWholePlans();

  std::vector<Unit> unitsOf(const std::vector<WeightFormat> &formats) const;
  llvm::Expected<double> klWith(const Unit &unit, WeightFormat format);
  // KL of programs compiled for these formats, in order.
  llvm::Expected<std::vector<double>> klOf(llvm::StringRef step,
                                           llvm::ArrayRef<ModelFormats> plans);
  ModelFormats base() const {
    ModelFormats formats;
    formats.weights = baseFormat;
    return formats;
  }
  void show(llvm::StringRef step, size_t done, size_t total) {
    std::lock_guard lock(progressMutex);
    if (options.progress)
      options.progress(step, done, total);
  }

  const ImportedModel &model;
  const ModelShape &shape;
  QualityModel &quality;
  const SensitivityOptions &options;
  WeightFormat baseFormat = WeightFormat::F32;
  bool small = true;
  ProbeOptions probeOptions;
  std::unique_ptr<ProbeModel> probe;
  std::unique_ptr<ReferenceLogits> reference;
  SensitivityResult result;
  std::mutex progressMutex;
};

bool isTable(const TensorShape &tensor) { return tensor.role == "per_layer_table"; }
bool isMatrix(const TensorShape &tensor) { return tensor.role != "norm"; }

// Kinds of layers whose inputs are rounded alike.
std::string activationKind(const TensorShape &tensor) {
  const std::string &role = tensor.role;
  if (role == "q" || role == "k" || role == "v")
    return "attention inputs";
  if (role == "gate" || role == "up")
    return "feed-forward inputs";
  if (role == "per_layer_input_gate" || role == "per_layer_projection" ||
      role == "per_layer_model_projection")
    return "per-layer inputs";
  return role;
}

// One unit per tensor while there are few, else like tensors of neighbouring layers together.
std::vector<Unit> Measurement::unitsOf(const std::vector<WeightFormat> &formats) const {
  int64_t matrices = llvm::count_if(shape.tensors, isMatrix);
  int64_t most = std::max<int64_t>(options.mostProbes / int64_t(formats.size()), 1);
  std::map<std::string, bool> roles;
  for (const TensorShape &tensor : shape.tensors)
    if (isMatrix(tensor))
      roles[tensor.role] = true;
  int64_t layers = std::max<int64_t>(int64_t(shape.layers.size()), 1);
  int64_t bands =
      matrices <= most
          ? layers
          : std::clamp<int64_t>(most / std::max<int64_t>(int64_t(roles.size()), 1), 1, layers);
  std::vector<Unit> units;
  std::map<std::string, size_t> byLabel;
  for (const TensorShape &tensor : shape.tensors) {
    if (!isMatrix(tensor))
      continue;
    int64_t band = tensor.layer < 0 ? -1 : tensor.layer * bands / layers;
    std::string label = tensor.role + " " + std::to_string(band);
    auto [entry, added] = byLabel.emplace(label, units.size());
    if (added)
      units.push_back({label, {}});
    units[entry->second].tensors.push_back(&tensor);
  }
  return units;
}

llvm::Expected<double> Measurement::klWith(const Unit &unit, WeightFormat format) {
  ModelFormats as;
  as.weights = format;
  for (const TensorShape *tensor : unit.tensors)
    if (llvm::Error error = probe->setFormat(tensor->name, as.of(tensor->name, isTable(*tensor))))
      return std::move(error);
  llvm::Expected<Divergence> divergence = reference->compare(probe->runner());
  for (const TensorShape *tensor : unit.tensors)
    if (llvm::Error error = probe->setFormat(tensor->name, baseFormat)) {
      if (!divergence)
        llvm::consumeError(divergence.takeError());
      return std::move(error);
    }
  if (!divergence)
    return divergence.takeError();
  return divergence->mean;
}

llvm::Error Measurement::probeWeights() {
  std::vector<WeightFormat> formats = {WeightFormat::W2, WeightFormat::W4};
  std::vector<Unit> units = unitsOf(formats);
  size_t done = 0, total = units.size() * formats.size();
  for (const Unit &unit : units)
    for (WeightFormat format : formats) {
      show("measure weights", done++, total);
      llvm::Expected<double> kl = klWith(unit, format);
      if (!kl)
        return kl.takeError();
      // A group's damage is split as the priors say.
      double all = 0;
      auto share = [&](const TensorShape &tensor) {
        return std::max(quality.tensors[tensor.name].errors[format], 1e-12) *
               std::max(sensitivity(shape, tensor), 1e-9);
      };
      for (const TensorShape *tensor : unit.tensors)
        all += share(*tensor);
      for (const TensorShape *tensor : unit.tensors)
        quality.tensors[tensor->name].probes.push_back(
            {quality.tensors[tensor->name].errors[format], *kl * share(*tensor) / all});
    }
  return llvm::Error::success();
}

llvm::Expected<std::vector<double>> Measurement::klOf(llvm::StringRef step,
                                                      llvm::ArrayRef<ModelFormats> plans) {
  std::vector<double> kls(plans.size());
  std::vector<std::string> faults(plans.size());
  std::atomic<size_t> done{0};
  show(step, 0, plans.size());
  auto one = [&](size_t i) {
    auto compiled = ProbeModel::compile(model, plans[i], probeOptions);
    if (!compiled) {
      faults[i] = llvm::toString(compiled.takeError());
      return;
    }
    llvm::Expected<Divergence> divergence = reference->compare((*compiled)->runner());
    if (divergence)
      kls[i] = divergence->mean;
    else
      faults[i] = llvm::toString(divergence.takeError());
    show(step, ++done, plans.size());
  };
  if (small) {
    tbb::task_arena arena(options.jobs > 0 ? int(options.jobs)
                                           : tbb::this_task_arena::max_concurrency());
    arena.execute([&] {
      tbb::parallel_for(size_t(0), plans.size(), size_t(1), one, tbb::simple_partitioner());
    });
  } else {
    for (size_t i = 0; i < plans.size() && (i == 0 || faults[i - 1].empty()); ++i)
      one(i);
  }
  for (const std::string &fault : faults)
    if (!fault.empty())
      return llvm::createStringError(fault);
  return kls;
}

llvm::Error Measurement::probeActivations() {
  // All layers of one kind in w8: the KL beyond what their rounded weights cost.
  std::map<std::string, Unit> kinds;
  for (const TensorShape &tensor : shape.tensors)
    if (isMatrix(tensor) && !isTable(tensor))
      kinds[activationKind(tensor)].tensors.push_back(&tensor);
  Unit everything{"everything", {}};
  std::vector<ModelFormats> plans;
  for (const auto &[kind, unit] : kinds) {
    ModelFormats formats = base();
    for (const TensorShape *tensor : unit.tensors) {
      formats.tensors[tensor->name] = WeightFormat::W8;
      everything.tensors.push_back(tensor);
    }
    plans.push_back(std::move(formats));
  }
  // Scales by group: everything at once, shared out as the scales by row turn out.
  ModelFormats grouped = base();
  for (const TensorShape *tensor : everything.tensors)
    grouped.tensors[tensor->name] = WeightFormat::W8G32;
  plans.push_back(std::move(grouped));
  llvm::Expected<std::vector<double>> kls = klOf("measure activations", plans);
  if (!kls)
    return kls.takeError();

  size_t index = 0;
  double rowSum = 0;
  auto spread = [&](const Unit &unit, double damage) {
    double all = 0;
    for (const TensorShape *tensor : unit.tensors)
      all += std::max(sensitivity(shape, *tensor), 1e-9);
    for (const TensorShape *tensor : unit.tensors)
      quality.tensors[tensor->name].rowActivations =
          damage * std::max(sensitivity(shape, *tensor), 1e-9) / all;
  };
  for (const auto &[kind, unit] : kinds) {
    llvm::Expected<double> weights = klWith(unit, WeightFormat::W8);
    if (!weights)
      return weights.takeError();
    double damage = std::max((*kls)[index++] - *weights, 0.0);
    rowSum += damage;
    spread(unit, damage);
  }
  llvm::Expected<double> weights = klWith(everything, WeightFormat::W8G32);
  if (!weights)
    return weights.takeError();
  double ratio = std::clamp((kls->back() - *weights) / std::max(rowSum, 1e-12), 0.0, 1.0);
  for (const TensorShape *tensor : everything.tensors)
    quality.tensors[tensor->name].groupActivations =
        ratio * quality.tensors[tensor->name].rowActivations;
  return llvm::Error::success();
}

llvm::Error Measurement::probeCaches() {
  std::vector<std::pair<bool, KvFormat>> keys;
  std::vector<ModelFormats> plans;
  for (bool global : {false, true}) {
    if (llvm::none_of(shape.layers, [&](const LayerShape &l) { return l.global == global; }))
      continue;
    for (KvFormat format : {KvFormat::Kv8, KvFormat::Kv4}) {
      ModelFormats formats = base();
      (global ? formats.globalKv : formats.localKv) = format;
      keys.push_back({global, format});
      plans.push_back(std::move(formats));
    }
  }
  llvm::Expected<std::vector<double>> kls = klOf("measure caches", plans);
  if (!kls)
    return kls.takeError();
  for (size_t i = 0; i < keys.size(); ++i) {
    quality.caches[keys[i]] = std::max((*kls)[i], 0.0);
    // f16 is far below what a text can show: from kv8 by the ratio of rounding errors.
    if (keys[i].second == KvFormat::Kv8) {
      quality.caches[{keys[i].first, KvFormat::F16}] =
          (*kls)[i] * kvErrorPrior(KvFormat::F16) / kvErrorPrior(KvFormat::Kv8);
      quality.caches[{keys[i].first, KvFormat::F32}] = 0;
    }
  }
  return llvm::Error::success();
}

llvm::Error Measurement::probeWholePlans() {
  std::vector<ModelFormats> plans = drawPlans(shape, quality, options.wholePlans, options.seed);
  llvm::Expected<std::vector<double>> kls = klOf("measure whole plans", plans);
  if (!kls)
    return kls.takeError();
  for (size_t i = 0; i < plans.size(); ++i)
    result.wholePlans.push_back({damageOf(shape, quality, plans[i]), (*kls)[i]});
  quality.link = fitKlLink(result.wholePlans);
  return llvm::Error::success();
}

llvm::Expected<SensitivityResult> Measurement::run(llvm::StringRef text) {
  int64_t values = 0;
  for (const TensorShape &tensor : shape.tensors)
    values += tensor.n * tensor.k;
  small = values <= smallModel;
  baseFormat = small ? WeightFormat::F32 : WeightFormat::BF16;
  probeOptions.context = options.window;
  probeOptions.jobs = options.jobs;
  probeOptions.cancel = options.cancel;
  show("compile the reference", 0, 1);
  auto compiled = ProbeModel::compile(model, base(), probeOptions);
  if (!compiled)
    return compiled.takeError();
  probe = std::move(*compiled);
  WindowOptions windowOptions;
  windowOptions.window = options.window;
  windowOptions.most = options.windows;
  llvm::Expected<TokenWindows> windows = cutWindows(probe->runner(), text, windowOptions);
  if (!windows)
    return windows.takeError();
  result.positions = windows->scored();
  auto recorded = ReferenceLogits::record(probe->runner(), std::move(*windows));
  if (!recorded)
    return recorded.takeError();
  reference = std::move(*recorded);
  for (auto step : {&Measurement::probeWeights, &Measurement::probeActivations,
                    &Measurement::probeCaches, &Measurement::probeWholePlans})
    if (llvm::Error error = (this->*step)())
      return std::move(error);
  quality.basis = QualityBasis::Sensitivities;
  return std::move(result);
}

} // namespace

llvm::Expected<SensitivityResult> measureSensitivity(const ImportedModel &model,
                                                     const ModelShape &shape, llvm::StringRef text,
                                                     QualityModel &quality,
                                                     const SensitivityOptions &options) {
  return Measurement(model, shape, quality, options).run(text);
}

} // namespace gcompile
