#include "compiler/Measure/TensorErrors.h"

#include "compiler/Measure/SensitivityFile.h"
#include "compiler/Quantize/MeasureError.h"
#include "compiler/Support/KeptFile.h"

#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/parallel_for.h>

#include <algorithm>

namespace gcompile {
namespace {

struct NamedItem {
  std::string name;
  MeasureItem item;
};

WeightFormat storedFormat(TensorType type) {
  switch (type) {
  case TensorType::F32:
  case TensorType::F64:
  case TensorType::Encoded: // code times scale needs more bits than bf16 has
    return WeightFormat::F32;
  case TensorType::F16:
    return WeightFormat::F16;
  default:
    return WeightFormat::BF16;
  }
}

std::vector<NamedItem> matricesOf(const ImportedModel &model, const InputMoments *moments) {
  std::vector<NamedItem> items;
  for (const TensorSpec &spec : expectedTextTensors(model.config)) {
    const TensorInfo *tensor = model.tensors->find(spec.role, spec.layer);
    if (!tensor || !isMatrixRole(spec.role))
      continue;
    MeasureItem item;
    item.tensor = tensor;
    bool table = spec.role == TensorRole::PerLayerTable;
    item.slices = table ? model.config.layerCount() : 1;
    for (const WeightFormatInfo &format : weightFormats())
      if (table ? isRowTableFormat(format.format) : !isKeptGridOnly(format.format))
        item.formats.push_back(format.format);
    if (moments)
      if (auto found = moments->find(spec.name); found != moments->end())
        item.inputMoments = &found->second;
    items.push_back({spec.name, std::move(item)});
  }
  return items;
}

void setSourceFormats(const ImportedModel &model, QualityModel &quality) {
  for (const TensorSpec &spec : expectedTextTensors(model.config))
    if (const TensorInfo *tensor = model.tensors->find(spec.role, spec.layer)) {
      quality.sourceFormats[spec.name] = storedFormat(tensor->type);
      if (std::optional<WeightFormat> native = model.checkpoint->nativeFormat(*tensor))
        quality.nativeFormats[spec.name] = *native;
    }
}

// Bytes of a tensor that hold sampled rows.
struct Span {
  uint64_t offset = 0, bytes = 0;
};

std::vector<Span> sampledSpans(const TensorInfo &tensor, int64_t sampleRows) {
  std::vector<Span> spans;
  if (tensor.shape.size() != 3) {
    uint64_t rowBytes = tensor.bytes / uint64_t(std::max<int64_t>(tensor.rows(), 1));
    for (int64_t row : sampledRows(tensor.rows(), sampleRows))
      spans.push_back({uint64_t(row) * rowBytes, rowBytes});
    return spans;
  }
  StackSample sample = sampledStack(tensor, sampleRows);
  uint64_t rowBytes = tensor.bytes / uint64_t(tensor.shape[0] * tensor.shape[1]);
  auto offsetOf = [&](int64_t matrix, int64_t row) {
    return uint64_t(matrix * tensor.shape[1] + row) * rowBytes;
  };
  // Tensors that are decoded show as F32, and a matrix of them is decoded at every read.
  bool isStored = tensor.type == TensorType::BF16 || tensor.type == TensorType::F16;
  for (int64_t matrix : sample.matrices) {
    if (isStored)
      for (int64_t row : sample.rows)
        spans.push_back({offsetOf(matrix, row), rowBytes});
    else
      spans.push_back({offsetOf(matrix, sample.rows.front()),
                       uint64_t(sample.rows.back() - sample.rows.front() + 1) * rowBytes});
  }
  return spans;
}

llvm::Expected<std::string> sampleHash(const Checkpoint &checkpoint, const TensorInfo &tensor,
                                       int64_t sampleRows) {
  std::vector<uint8_t> bytes;
  for (const Span &span : sampledSpans(tensor, sampleRows)) {
    bytes.resize(bytes.size() + span.bytes);
    if (llvm::Error error = checkpoint.read(tensor, span.offset,
                                            llvm::MutableArrayRef(bytes).take_back(span.bytes)))
      return std::move(error);
  }
  return hashOf({reinterpret_cast<const char *>(bytes.data()), bytes.size()});
}

// Whether the file had every figure that a measurement would give.
bool isComplete(const std::vector<NamedItem> &items, const QualityModel &quality) {
  for (const NamedItem &named : items) {
    auto known = quality.tensors.find(named.name);
    if (known == quality.tensors.end() || known->second.errors.size() != named.item.formats.size())
      return false;
    for (WeightFormat format : named.item.formats)
      if (!known->second.errors.count(format))
        return false;
  }
  return true;
}

} // namespace

llvm::Error measureTensorErrors(const ImportedModel &model, const TensorErrorOptions &options,
                                QualityModel &quality) {
  setSourceFormats(model, quality);
  std::vector<NamedItem> named = matricesOf(model, options.moments);
  std::vector<MeasureItem> items;
  for (const NamedItem &each : named)
    items.push_back(each.item);
  MeasureOptions measure;
  measure.sampleRows = options.sampleRows;
  measure.jobs = options.jobs;
  auto errors = measureErrors(*model.checkpoint, items, measure);
  if (!errors)
    return errors.takeError();
  for (size_t i = 0; i < items.size(); ++i)
    for (size_t j = 0; j < items[i].formats.size(); ++j)
      quality.tensors[named[i].name].errors[items[i].formats[j]] = (*errors)[i][j];
  quality.basis = options.moments ? QualityBasis::Calibration : QualityBasis::Weights;
  return llvm::Error::success();
}

llvm::Expected<std::string> errorIdentity(const ImportedModel &model,
                                          const TensorErrorOptions &options, bool hashed) {
  std::vector<NamedItem> items = matricesOf(model, nullptr);
  std::vector<std::string> hashes(items.size()), faults(items.size());
  tbb::global_control control(tbb::global_control::max_allowed_parallelism,
                              options.jobs ? options.jobs
                                           : size_t(tbb::this_task_arena::max_concurrency()));
  tbb::parallel_for(size_t(0), items.size(), [&](size_t i) {
    const TensorInfo &tensor = *items[i].item.tensor;
    llvm::Expected<std::string> hash =
        hashed ? model.checkpoint->contentHash(tensor)
               : sampleHash(*model.checkpoint, tensor, options.sampleRows);
    if (hash)
      hashes[i] = std::move(*hash);
    else
      faults[i] = llvm::toString(hash.takeError());
  });
  std::string identity = hashed ? "content\n" : "sampled rows\n";
  for (size_t i = 0; i < items.size(); ++i) {
    if (!faults[i].empty())
      return llvm::createStringError(faults[i]);
    const TensorInfo &tensor = *items[i].item.tensor;
    identity += items[i].name + " " + tensor.typeText().str() + " " + shapeString(tensor.shape) +
                " " + std::to_string(items[i].item.slices) + " " + hashes[i] + "\n";
  }
  return identity;
}

llvm::Error keptTensorErrors(const ImportedModel &model, const ModelShape &shape,
                             const KeptErrorOptions &options, QualityModel &quality) {
  std::string folder = cacheFolder();
  if (folder.empty())
    return measureTensorErrors(model, options.measuring, quality);
  llvm::Expected<std::string> identity = errorIdentity(model, options.measuring, options.hashed);
  if (!identity)
    return identity.takeError();
  SensitivityKey key;
  key.checkpoint = std::move(*identity);
  key.options = std::to_string(options.measuring.sampleRows) + " rows a tensor";
  key.basis = QualityBasis::Weights;
  std::string path = sensitivityPath(folder, key);
  if (!options.remeasure) {
    QualityModel kept = quality;
    llvm::Error error = loadSensitivity(path, key, shape, kept);
    bool read = !error;
    llvm::consumeError(std::move(error));
    if (read && isComplete(matricesOf(model, nullptr), kept)) {
      setSourceFormats(model, kept);
      quality = std::move(kept);
      return llvm::Error::success();
    }
  }
  if (llvm::Error error = measureTensorErrors(model, options.measuring, quality))
    return error;
  // Whether it can be kept changes nothing but the time of the next run.
  llvm::consumeError(writeKeptFile(path, sealed(sensitivityText(quality, key, {}, 0))));
  return llvm::Error::success();
}

} // namespace gcompile
