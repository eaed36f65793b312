#include "compiler/Driver/ModelQuality.h"

#include "compiler/Driver/CompileArtifact.h"
#include "compiler/Driver/ProgressLine.h"
#include "compiler/Import/Imatrix.h"
#include "compiler/Measure/ActivationRanges.h"
#include "compiler/Measure/ObserveInputs.h"
#include "compiler/Measure/Sensitivity.h"
#include "compiler/Measure/SensitivityFile.h"
#include "compiler/Measure/TensorErrors.h"
#include "compiler/Support/KeptFile.h"

#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/raw_ostream.h"

namespace gcompile {

// Windows of the calibration text that are scored, tokens each.
constexpr int64_t calibrationWindows = 6, calibrationWindow = 512;
constexpr uint64_t mostTextBytes = uint64_t(64) << 20;

static QualityBasis basisOf(const CompilerInvocation &options, bool hasWeights) {
  if (!hasWeights)
    return QualityBasis::Prior;
  return options.sensitivity.value_or(options.calibration.empty() ? QualityBasis::Weights
                                                                  : QualityBasis::Sensitivities);
}

// Also when the user fixed every format: a replayed plan has to give the same figures.
static TensorErrorOptions measuringOf(const CompilerInvocation &options,
                                      const InputMoments *moments) {
  TensorErrorOptions measuring;
  measuring.jobs = unsigned(options.jobs);
  measuring.moments = moments;
  return measuring;
}

static llvm::Expected<std::string> calibrationText(const CompilerInvocation &options) {
  const std::string &path = options.calibration;
  llvm::sys::fs::file_status status;
  if (std::error_code error = llvm::sys::fs::status(path, status))
    return llvm::createStringError("--calibration '" + path + "': " + error.message());
  if (status.type() != llvm::sys::fs::file_type::regular_file || status.getSize() > mostTextBytes)
    return llvm::createStringError("--calibration '" + path +
                                   "': expected a text file of at most 64 MiB");
  auto buffer = llvm::MemoryBuffer::getFile(path);
  if (!buffer)
    return llvm::createStringError("--calibration '" + path + "': " + buffer.getError().message());
  return (*buffer)->getBuffer().str();
}

// Windows of token ids, for observing: cut by a model of the same tokenizer.
static llvm::Expected<std::vector<std::vector<int32_t>>>
windowsOf(const ImportedModel &model, llvm::StringRef text, const CompilerInvocation &options,
          const ObserveOptions &observing) {
  ProbeOptions probeOptions;
  probeOptions.context = calibrationWindow;
  probeOptions.jobs = options.jobs;
  auto probe = ProbeModel::compile(model, {observing.weights, {}}, probeOptions);
  if (!probe)
    return probe.takeError();
  WindowOptions cut;
  cut.window = calibrationWindow;
  cut.most = calibrationWindows;
  llvm::Expected<TokenWindows> windows = cutWindows((*probe)->runner(), text, cut);
  if (!windows)
    return windows.takeError();
  return std::move(windows->windows);
}

static llvm::Error measure(const ImportedModel &model, const ModelShape &shape,
                           const CompilerInvocation &options, QualityBasis basis,
                           QualityModel &quality) {
  llvm::Expected<std::string> text = calibrationText(options);
  if (!text)
    return text.takeError();
  llvm::Expected<std::string> checkpoint =
      provenanceText(model, options.syntheticSeed, options.jobs);
  if (!checkpoint)
    return checkpoint.takeError();
  SensitivityKey key;
  key.checkpoint = *checkpoint;
  key.text = *text;
  key.options =
      std::to_string(calibrationWindows) + " windows of " + std::to_string(calibrationWindow);
  key.basis = basis;
  std::string folder = cacheFolder(), path = folder.empty() ? "" : sensitivityPath(folder, key);
  auto note = [&](const llvm::Twine &message) {
    if (!options.quiet)
      llvm::errs() << "gcompile: note: " << message << "\n";
  };
  if (!path.empty() && !options.remeasure && llvm::sys::fs::exists(path)) {
    llvm::Error error = loadSensitivity(path, key, shape, quality);
    if (!error)
      return llvm::Error::success();
    note(llvm::toString(std::move(error)) + "; measuring again");
  }

  ProgressLine line(options.quiet || options.json ? ProgressLine::Off : ProgressLine::WhenTerminal);
  std::vector<WholePlan> plans;
  int64_t positions = 0;
  llvm::Error failed = llvm::Error::success();
  if (basis == QualityBasis::Calibration) {
    ObserveOptions observing;
    observing.jobs = options.jobs;
    auto progress = [&](uint64_t done, uint64_t total) {
      line.show("observe layer inputs", done, total);
    };
    observing.progress = progress;
    auto windows = windowsOf(model, *text, options, observing);
    llvm::Expected<InputMoments> moments =
        windows ? observeInputs(model, *windows, observing) : windows.takeError();
    failed = moments ? measureTensorErrors(model, measuringOf(options, &*moments), quality)
                     : moments.takeError();
  } else {
    SensitivityOptions measuring;
    measuring.windows = calibrationWindows;
    measuring.window = calibrationWindow;
    measuring.jobs = options.jobs;
    auto progress = [&](llvm::StringRef step, uint64_t done, uint64_t total) {
      line.show(step, done, total);
    };
    measuring.progress = progress;
    llvm::Expected<SensitivityResult> result =
        measureSensitivity(model, shape, *text, quality, measuring);
    if (result) {
      plans = std::move(result->wholePlans);
      positions = result->positions;
    } else {
      failed = result.takeError();
    }
  }
  line.clear();
  if (failed)
    return failed;
  if (path.empty())
    return llvm::Error::success();
  if (llvm::Error error =
          writeKeptFile(path, sealed(sensitivityText(quality, key, plans, positions))))
    note("what was measured could not be kept: " + llvm::toString(std::move(error)));
  return llvm::Error::success();
}

// An importance matrix is what --calibration observes of layer inputs, measured by another program.
static llvm::Error addImatrix(const ImportedModel &model, const CompilerInvocation &options,
                              bool hasWeights, QualityModel &quality) {
  if (!hasWeights)
    return llvm::createStringError("--imatrix: '" + model.name +
                                   "' is known by its shapes alone; give its weights to --model");
  llvm::Expected<Imatrix> matrix = readImatrix(options.imatrix);
  if (!matrix)
    return llvm::createStringError("--imatrix: " + llvm::toString(matrix.takeError()));
  llvm::Expected<ImatrixMoments> moments = momentsOf(*matrix, model.config);
  if (!moments)
    return llvm::createStringError("--imatrix: " + llvm::toString(moments.takeError()));
  if (moments->unknown && !options.quiet)
    llvm::errs() << "gcompile: note: " << moments->unknown
                 << " entries of the importance matrix are of no weight of this model\n";
  return measureTensorErrors(model, measuringOf(options, &moments->byTensor), quality);
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
  ObserveOptions observing;
  observing.jobs = options.jobs;
  auto windows = windowsOf(model, *text, options, observing);
  if (!windows)
    return windows.takeError();
  ProgressLine line(options.quiet || options.json ? ProgressLine::Off : ProgressLine::WhenTerminal);
  auto progress = [&](uint64_t done, uint64_t total) {
    line.show("observe " + std::string(what), done, total);
  };
  observing.progress = progress;
  llvm::Expected<Scales> scales = measure(model, *windows, observing);
  line.clear();
  return scales;
}

llvm::Expected<std::map<std::string, ActivationScales>>
calibratedActivations(const ImportedModel &model, const CompilerInvocation &options) {
  return calibrated<std::map<std::string, ActivationScales>>(
      model, options, "--activations", "activations", measureActivationScales);
}

llvm::Expected<std::map<int64_t, CacheScaleChoice>>
calibratedCaches(const ImportedModel &model, const CompilerInvocation &options) {
  return calibrated<std::map<int64_t, CacheScaleChoice>>(model, options, "--kv-scales", "caches",
                                                         measureCacheScales);
}

llvm::Expected<std::shared_ptr<const QualityModel>>
modelQuality(const ImportedModel &model, const ModelShape &shape,
             const CompilerInvocation &options) {
  auto quality = std::make_shared<QualityModel>(shape);
  if (options.activations != Activations::Dynamic)
    for (const auto &[tensor, scales] : statedActivationScales(model))
      if (scales.input != 0)
        quality->staticInputs.insert(tensor);
  bool hasWeights = model.checkpoint && model.tensors;
  if (!hasWeights && !options.calibration.empty())
    return llvm::createStringError("--calibration: '" + shape.name +
                                   "' is known by its shapes alone; give the folder of its "
                                   "checkpoint to --model");
  QualityBasis basis = basisOf(options, hasWeights);
  if (!options.imatrix.empty()) {
    if (llvm::Error error = addImatrix(model, options, hasWeights, *quality))
      return std::move(error);
    return quality;
  }
  if (basis == QualityBasis::Prior)
    return quality;
  KeptErrorOptions kept{measuringOf(options, nullptr), options.syntheticSeed.has_value(),
                        options.remeasure};
  if (llvm::Error error = keptTensorErrors(model, shape, kept, *quality))
    return std::move(error);
  if (basis == QualityBasis::Weights)
    return quality;
  if (llvm::Error error = measure(model, shape, options, basis, *quality))
    return std::move(error);
  return quality;
}

} // namespace gcompile
