#include "compiler/Driver/Candidate.h"

#include "compiler/Driver/ModelQuality.h"
#include "compiler/Driver/ModelShape.h"

namespace gcompile {

// Bytes of the tokenizer's section, to within a few percent.
static int64_t tokenizerBytes(const ImportedModel &model) {
  if (!model.tokenizer)
    return 0;
  int64_t bytes = int64_t(model.tokenizer->merges.size()) * 16;
  for (const std::string &piece : model.tokenizer->pieces)
    bytes += int64_t(piece.size()) + 8;
  return bytes;
}

// Static where the checkpoint states scales, unless the user says otherwise.
static llvm::Error chooseActivations(const ImportedModel &model, const CompilerInvocation &options,
                                     PlanRequest &request) {
  request.activationScales = statedActivationScales(model);
  bool areStated = !request.activationScales.empty();
  request.activations =
      options.activations.value_or(areStated ? Activations::Static : Activations::Dynamic);
  if (request.activations == Activations::Dynamic)
    request.activationScales.clear();
  // A plan file that is replayed brings its own.
  if (request.activations == Activations::Dynamic || areStated || !options.planFile.empty())
    return llvm::Error::success();
  auto measured = calibratedActivations(model, options);
  if (!measured)
    return measured.takeError();
  request.activationScales = std::move(*measured);
  return llvm::Error::success();
}

// As activations are, unless the user says otherwise or the checkpoint states scales for these
// alone.
static llvm::Error chooseCacheScales(const ImportedModel &model, const CompilerInvocation &options,
                                     PlanRequest &request) {
  if (options.kvScales.value_or(request.activations) == Activations::Dynamic)
    return llvm::Error::success();
  request.cacheScales = statedCacheScales(model);
  bool isAsked = options.kvScales || options.activations;
  bool measures = isAsked && statedActivationScales(model).empty();
  if (!request.cacheScales.empty() || !(options.kvScales || measures) || !options.planFile.empty())
    return llvm::Error::success();
  auto measured = calibratedCaches(model, options);
  if (!measured)
    return measured.takeError();
  request.cacheScales = std::move(*measured);
  return llvm::Error::success();
}

llvm::Expected<PlanRequest> requestFor(const Candidate &candidate, const DeviceProfile &profile,
                                       const CompilerInvocation &options) {
  PlanRequest request;
  request.model = &candidate.shape;
  request.profile = &profile;
  request.options = &options;
  llvm::Expected<std::shared_ptr<PlanningModule>> module =
      PlanningModule::build(candidate.model.config, {"text"}); // towers are beside it
  if (!module)
    return module.takeError();
  request.module = std::move(*module);
  request.maxPositions = candidate.model.config.maxPositions;
  request.tokenizerBytes = tokenizerBytes(candidate.model);
  if (llvm::Error error = chooseActivations(candidate.model, options, request))
    return std::move(error);
  if (llvm::Error error = chooseCacheScales(candidate.model, options, request))
    return std::move(error);
  auto quality = modelQuality(candidate.model, candidate.shape, options);
  if (!quality)
    return quality.takeError();
  request.quality = std::move(*quality);
  return request;
}

llvm::Expected<Candidate> loadCandidate(const std::string &source,
                                        const CompilerInvocation &options) {
  ImportOptions import;
  import.syntheticSeed = options.syntheticSeed;
  llvm::Expected<ImportedModel> model = importModel(source, import);
  if (!model)
    return model.takeError();
  Candidate candidate{source, std::move(*model), {}};
  candidate.shape = shapeOf(candidate.model.config);
  if (!candidate.model.name.empty())
    candidate.shape.name = candidate.model.name;
  return candidate;
}

} // namespace gcompile
