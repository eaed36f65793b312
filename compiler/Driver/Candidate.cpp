#include "compiler/Driver/Candidate.h"

#include "compiler/Driver/ModelShape.h"
#include "compiler/Quantize/MeasureError.h"

#include <map>
#include <memory>

namespace gcompile {

static WeightFormat storedFormat(TensorType type) {
  switch (type) {
  case TensorType::F32:
  case TensorType::F64:
    return WeightFormat::F32;
  case TensorType::F16:
    return WeightFormat::F16;
  default:
    return WeightFormat::BF16;
  }
}

// Bytes of the tokenizer's section, to within a few percent.
static int64_t tokenizerBytes(const ImportedModel &model) {
  if (!model.tokenizer)
    return 0;
  int64_t bytes = int64_t(model.tokenizer->merges.size()) * 16;
  for (const std::string &piece : model.tokenizer->pieces)
    bytes += int64_t(piece.size()) + 8;
  return bytes;
}

// What only the weights know: the format in which they lie, and what each format would cost them.
static llvm::Error addWeightFacts(const Candidate &candidate, const CompilerInvocation &options,
                                  PlanRequest &request) {
  const ImportedModel &model = candidate.model;
  std::vector<MeasureItem> items;
  std::vector<std::string> names;
  for (const TensorSpec &spec : expectedTextTensors(model.config)) {
    const TensorInfo *info = model.tensors->find(spec.role, spec.layer);
    if (!info)
      continue;
    request.sourceFormats[spec.name] = storedFormat(info->type);
    if (!isMatrixRole(spec.role) || info->shape.size() != 2)
      continue;
    MeasureItem item;
    item.tensor = info;
    bool table = spec.role == TensorRole::PerLayerTable;
    item.slices = table ? model.config.layerCount() : 1;
    for (const WeightFormatInfo &format : weightFormats())
      if (!table || isRowTableFormat(format.format))
        item.formats.push_back(format.format);
    items.push_back(std::move(item));
    names.push_back(spec.name);
  }
  // Also when the user fixed every format: a replayed plan has to give the same figures.
  MeasureOptions measure;
  measure.sampleRows = 16;
  measure.jobs = unsigned(options.jobs);
  auto errors = measureErrors(*model.checkpoint, items, measure);
  if (!errors)
    return errors.takeError();
  auto found = std::make_shared<llvm::StringMap<std::map<WeightFormat, double>>>();
  for (size_t i = 0; i < items.size(); ++i)
    for (size_t j = 0; j < items[i].formats.size(); ++j)
      (*found)[names[i]][items[i].formats[j]] = (*errors)[i][j];
  request.measuredError = [found](const TensorShape &tensor,
                                  WeightFormat format) -> std::optional<double> {
    auto entry = found->find(tensor.name);
    if (entry == found->end() || !entry->second.count(format))
      return std::nullopt;
    return entry->second.at(format);
  };
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
  if (candidate.model.checkpoint && candidate.model.tensors)
    if (llvm::Error error = addWeightFacts(candidate, options, request))
      return error;
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
