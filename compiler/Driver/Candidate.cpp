#include "compiler/Driver/Candidate.h"

#include "compiler/Driver/ModelQuality.h"
#include "compiler/Driver/ModelShape.h"
#include "compiler/Driver/PlannedScales.h"

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

llvm::Expected<PlanRequest> requestFor(const Candidate &candidate, const DeviceProfile &profile,
                                       const CompilerInvocation &options, const Plan *replayed) {
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
  llvm::Expected<PlannedScales> scales =
      chooseScales(candidate.model, candidate.shape, options, replayed);
  if (!scales)
    return scales.takeError();
  auto quality = modelQuality(candidate.model, candidate.shape, options);
  if (!quality)
    return quality.takeError();
  llvm::Expected<std::optional<StaticCost>> cost =
      priceScales(candidate.model, options, *scales, **quality);
  if (!cost)
    return cost.takeError();
  request.activations = scales->activations;
  request.activationScales = std::move(scales->byTensor);
  request.cacheScales = std::move(scales->caches);
  request.quality = std::move(*quality);
  request.staticCost = std::move(*cost);
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
