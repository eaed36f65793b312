#include "compiler/Driver/ModelQuality.h"

#include "compiler/Driver/CalibrationText.h"
#include "compiler/Driver/CompileArtifact.h"
#include "compiler/Driver/ProgressLine.h"
#include "compiler/Import/Imatrix.h"
#include "compiler/Measure/ObserveInputs.h"
#include "compiler/Measure/Sensitivity.h"
#include "compiler/Measure/SensitivityFile.h"
#include "compiler/Measure/TensorErrors.h"
#include "compiler/Support/KeptFile.h"

#include "llvm/Support/FileSystem.h"
#include "llvm/Support/raw_ostream.h"

namespace gcompile {

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
    auto windows = calibrationTokens(model, *text, options);
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

std::set<std::string> staticInputsOf(const std::map<std::string, ActivationScales> &scales) {
  std::set<std::string> tensors;
  for (const auto &[tensor, pair] : scales)
    if (pair.input != 0)
      tensors.insert(tensor);
  return tensors;
}

llvm::Expected<std::shared_ptr<QualityModel>> modelQuality(const ImportedModel &model,
                                                           const ModelShape &shape,
                                                           const CompilerInvocation &options) {
  auto quality = std::make_shared<QualityModel>(shape);
  quality->staticInputs = staticInputsOf(statedActivationScales(model));
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
