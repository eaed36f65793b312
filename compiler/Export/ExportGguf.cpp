// The header is formed from shapes and types alone; then tensors are read, encoded and written a
// few rows at a time by all threads.
#include "compiler/Export/ExportGguf.h"

#include "compiler/Export/GgufBlocks.h"
#include "compiler/Export/GgufMetadata.h"
#include "compiler/Import/Gguf/GgufNames.h"
#include "compiler/Support/OutputFile.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/Twine.h"

#include <algorithm>
#include <map>

using namespace llvm;

namespace gcompile {
namespace {

constexpr uint64_t alignment = 32;
constexpr int64_t taskValues = int64_t(1) << 18; // of one read

uint64_t aligned(uint64_t bytes) { return (bytes + alignment - 1) / alignment * alignment; }

struct Output {
  std::string name;
  SmallVector<int64_t, 3> shape; // fastest last, as ours
  GgufEncoding encoding;
  const TensorInfo *source = nullptr;
  std::vector<float> values; // without a source
  std::string planned;
  uint64_t offset = 0, bytes = 0; // in the data section

  int64_t columns() const { return shape.back(); }
  int64_t rows() const {
    int64_t rows = 1;
    for (int64_t size : ArrayRef(shape).drop_back())
      rows *= size;
    return rows;
  }
};

struct Task {
  size_t output;
  int64_t firstRow, rows;
};

// llama.cpp's converter never quantizes these.
GgufEncoding encodingFor(const TensorSpec &spec, WeightFormat planned,
                         std::optional<WeightFormat> native) {
  if (!isMatrixRole(spec.role) || spec.role == TensorRole::RouterProjection)
    return {GgufId::F32, std::nullopt, false};
  if (spec.role == TensorRole::PerLayerModelProjection && info(planned).bits < 16)
    return {GgufId::BF16, std::nullopt, false};
  return nearestGgufType(planned, native, spec.shape.back());
}

class Exporter {
public:
  Exporter(const ImportedModel &model, const Plan &plan, const ExportOptions &options)
      : model(model), plan(plan), options(options) {}

  Expected<ExportSummary> run(StringRef path);

private:
  Error listOutputs();
  void addFrequencies();
  std::string header() const;
  Error writeTask(const Task &task);
  ExportSummary summary() const;

  const ImportedModel &model;
  const Plan &plan;
  const ExportOptions &options;
  std::vector<Output> outputs;
  uint64_t dataBytes = 0, dataStart = 0;
  std::unique_ptr<OutputFile> file;
};

Error Exporter::listOutputs() {
  Expected<std::vector<ExportedTensor>> tensors = exportedTensors(model, plan);
  if (!tensors)
    return tensors.takeError();
  for (const auto &[spec, source, planned] : *tensors) {
    WeightFormat format = planned.value_or(WeightFormat::F32);
    Output output;
    output.name = *ggufNameOfLogical(spec.name);
    output.shape.assign(spec.shape.begin(), spec.shape.end());
    output.source = source;
    output.encoding = encodingFor(spec, format, model.checkpoint->nativeFormat(*source));
    output.planned = isMatrixRole(spec.role) ? std::string(name(format)) : "f32";
    outputs.push_back(std::move(output));
  }
  addFrequencies();
  for (Output &output : outputs) {
    output.offset = dataBytes;
    output.bytes = uint64_t(output.rows() * rowBytes(output.encoding.type, output.columns()));
    dataBytes += aligned(output.bytes);
  }
  return Error::success();
}

// Divisors of the rotary frequencies of full attention: pairs that do not turn are divided away.
void Exporter::addFrequencies() {
  for (const LayerConfig &layer : model.config.layers) {
    if (layer.type != LayerType::Full)
      continue;
    Output output;
    output.name = "rope_freqs.weight";
    output.shape = {layer.headDim / 2};
    output.values.assign(size_t(layer.headDim / 2), 1e30f);
    std::fill_n(output.values.begin(), model.config.fullRope.rotatedPairs, 1.0f);
    output.planned = "f32";
    outputs.push_back(std::move(output));
    return;
  }
}

// llama.cpp's label for the type that holds most bytes.
uint32_t fileType(ArrayRef<Output> outputs) {
  std::map<GgufId, uint64_t> bytes;
  for (const Output &output : outputs)
    bytes[output.encoding.type] += output.bytes;
  auto most =
      llvm::max_element(bytes, [](const auto &a, const auto &b) { return a.second < b.second; });
  switch (most->first) {
  case GgufId::F32:
    return 0;
  case GgufId::F16:
    return 1;
  case GgufId::Q4_0:
    return 2;
  case GgufId::Q8_0:
    return 7;
  case GgufId::Q2_K:
    return 10;
  case GgufId::Q4_K:
    return 15; // "Q4_K_M"
  case GgufId::Q6_K:
    return 18;
  case GgufId::BF16:
    return 32;
  }
  return 0;
}

std::string Exporter::header() const {
  GgufMetadata metadata = ggufMetadata(model, fileType(outputs));
  GgufBytes out;
  out.text = "GGUF";
  out.number(uint32_t(3));
  out.number(uint64_t(outputs.size()));
  out.number(metadata.count());
  out.text += metadata.bytes();
  for (const Output &output : outputs) {
    out.string(output.name);
    out.number(uint32_t(output.shape.size()));
    for (int64_t size : llvm::reverse(output.shape))
      out.number(size);
    out.number(uint32_t(output.encoding.type));
    out.number(output.offset);
  }
  out.text.resize(aligned(out.text.size()), '\0');
  return out.text;
}

Error Exporter::writeTask(const Task &task) {
  const Output &output = outputs[task.output];
  int64_t columns = output.columns(), bytes = rowBytes(output.encoding.type, columns);
  std::vector<uint8_t> encoded(size_t(task.rows * bytes));
  std::vector<float> values;
  GridRows grid;
  const GgufEncoding &encoding = output.encoding;
  // What the checkpoint calls a row: one value of a vector, one matrix of the experts.
  int64_t perRow = output.source ? output.source->columns() : columns;
  int64_t first = task.firstRow * columns / perRow, count = task.rows * columns / perRow;
  if (encoding.keepsGrid) {
    if (Error error = model.checkpoint->readRowsOnGrid(*output.source, first, count, grid))
      return error;
    grid.rows = task.rows;
    grid.columns = columns;
  } else if (output.source) {
    values.resize(size_t(task.rows * columns));
    if (Error error = model.checkpoint->readRowsAsFloat(*output.source, first, count, values))
      return error;
    if (encoding.grid)
      grid = gridFromFloat(*encoding.grid, task.rows, columns, values.data());
  } else {
    values = output.values;
  }
  for (int64_t row = 0; row < task.rows; ++row) {
    std::span<uint8_t> to(encoded.data() + row * bytes, size_t(bytes));
    if (encoding.grid)
      encodeGgufRow(encoding.type, grid, row, to);
    else
      encodeGgufRow(encoding.type,
                    std::span<const float>(values).subspan(size_t(row * columns), size_t(columns)),
                    to);
  }
  return file->writeAt(dataStart + output.offset + uint64_t(task.firstRow * bytes), encoded);
}

ExportSummary Exporter::summary() const {
  ExportSummary summary;
  summary.fileBytes = file->bytes();
  for (const Output &output : outputs) {
    GgufId type = output.encoding.type;
    summary.add({output.planned, facts(type).name.str(), 1, output.encoding.keepsGrid,
                 hasSameGrid(type, *parseWeightFormat(output.planned)),
                 output.rows() * output.columns(), int64_t(output.bytes)});
  }
  summary.finish();
  return summary;
}

Expected<ExportSummary> Exporter::run(StringRef path) {
  if (Error error = listOutputs())
    return std::move(error);
  std::string start = header();
  dataStart = start.size();
  OutputFileOptions fileOptions;
  fileOptions.cancel = options.cancel;
  Expected<std::unique_ptr<OutputFile>> created =
      OutputFile::create(path, dataStart + dataBytes, fileOptions);
  if (!created)
    return created.takeError();
  file = std::move(*created);
  if (Error error =
          file->writeAt(0, ArrayRef(reinterpret_cast<const uint8_t *>(start.data()), start.size())))
    return std::move(error);

  std::vector<Task> tasks;
  for (size_t i = 0; i < outputs.size(); ++i) {
    // Whole rows of the checkpoint: those of experts are matrices.
    const Output &output = outputs[i];
    int64_t unit = output.source && output.shape.size() == 3 ? output.shape[1] : 1;
    int64_t step = unit * std::max<int64_t>(1, taskValues / (unit * output.columns()));
    for (int64_t first = 0; first < output.rows(); first += step)
      tasks.push_back({i, first, std::min(step, output.rows() - first)});
  }
  auto write = [&](size_t i) -> Expected<uint64_t> {
    if (Error error = writeTask(tasks[i]))
      return std::move(error);
    const Output &output = outputs[tasks[i].output];
    return uint64_t(tasks[i].rows * rowBytes(output.encoding.type, output.columns()));
  };
  if (Error error = runExportTasks(tasks.size(), dataBytes, options, write))
    return std::move(error);
  if (Error error = file->commit())
    return std::move(error);
  return summary();
}

} // namespace

Expected<ExportSummary> exportGguf(const ImportedModel &model, const Plan &plan, StringRef path,
                                   const ExportOptions &options) {
  return Exporter(model, plan, options).run(path);
}

} // namespace gcompile
