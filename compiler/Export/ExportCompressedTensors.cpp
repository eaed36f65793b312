// The header is formed from shapes and schemes alone; then tensors are read, rounded and written a
// few rows at a time by all threads.
#include "compiler/Export/ExportCompressedTensors.h"

#include "compiler/Export/CompressedScheme.h"
#include "compiler/Export/ConfigText.h"
#include "compiler/Export/TextModelFiles.h"
#include "compiler/Import/HostileJson.h"
#include "compiler/Import/InputFile.h"
#include "compiler/Support/OutputFile.h"
#include "ir/Format/FloatConvert.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"

#include <cmath>
#include <cstring>
#include <set>

using namespace llvm;

namespace gcompile {
namespace {

constexpr int64_t taskValues = int64_t(1) << 18; // of one read
constexpr uint64_t mostJsonBytes = uint64_t(1) << 28;

// One tensor of the file.
struct Piece {
  std::string name;
  TensorType type = TensorType::BF16;
  SmallVector<int64_t, 4> shape;
  uint64_t bytes = 0, offset = 0; // in the data section
};

enum class Way : uint8_t { Copy, ToBf16, Quantize };

struct Output {
  const TensorInfo *source = nullptr;
  std::string name;              // in the file
  int64_t rows = 0, columns = 0; // of quantized matrices
  int64_t expert = -1, half = 0; // of stacks: which expert, and which matrix of its row
  Way way = Way::Copy;
  CompressedScheme scheme = CompressedScheme::Plain;
  bool keepsGrid = false;
  TensorType scaleType = TensorType::BF16;
  size_t piece = 0;    // codes or values; scales and shape follow for packed ones
  std::string planned; // empty: no matrix of the text model

  int64_t codeRowBytes() const {
    int64_t bits = info(scheme).bits * columns;
    return scheme == CompressedScheme::Int8Channel ? columns : (bits + 31) / 32 * 4;
  }
  int64_t groups() const {
    int64_t group = info(scheme).group;
    return group ? columns / group : 1;
  }
};

struct Task {
  size_t output;
  int64_t first, count; // rows; bytes of copies
};

bool isPacked(CompressedScheme scheme) { return scheme != CompressedScheme::Int8Channel; }

// Stored codes of one row: offset binary, from the least significant bit on; or signed bytes.
void putCodes(CompressedScheme scheme, const int8_t *codes, int64_t columns, uint8_t *out) {
  unsigned bits = info(scheme).bits;
  if (!isPacked(scheme)) {
    std::memcpy(out, codes, size_t(columns));
    return;
  }
  for (int64_t k = 0; k < columns; ++k) {
    unsigned stored = unsigned(codes[k] + (1 << (bits - 1)));
    out[k * bits / 8] |= uint8_t(stored << (k * bits % 8));
  }
}

// Rounds to the scheme's grid with scales that are bf16 numbers: readers hold them in the model's
// type.
GridRows roundToBf16Scales(CompressedScheme scheme, int64_t rows, int64_t columns,
                           const float *values) {
  GridRows grid = gridFromFloat(info(scheme).rounding, rows, columns, values);
  int64_t perRow = grid.scalesPerRow(), run = columns / perRow;
  int most = (1 << (info(scheme).bits - 1)) - 1, least = info(scheme).bits == 8 ? -most : -most - 1;
  for (size_t group = 0; group < grid.scales.size(); ++group) {
    float scale = floatFromBf16(bf16FromFloat(grid.scales[group]));
    grid.scales[group] = scale;
    for (int64_t i = int64_t(group) * run; i < int64_t(group + 1) * run; ++i)
      grid.codes[i] = scale == 0
                          ? int8_t(0)
                          : int8_t(std::clamp(int(std::lrintf(values[i] / scale)), least, most));
  }
  return grid;
}

void putScale(TensorType type, float scale, uint8_t *out) {
  if (type == TensorType::F32) {
    std::memcpy(out, &scale, 4);
    return;
  }
  uint16_t half = type == TensorType::F16 ? f16FromFloat(scale) : bf16FromFloat(scale);
  std::memcpy(out, &half, 2);
}

class Exporter {
public:
  Exporter(const ImportedModel &model, const Plan &plan, const ExportOptions &options)
      : model(model), plan(plan), options(options) {}

  Error listOutputs();
  json::Object quantization() const { return quantizationConfig(units); }
  Expected<ExportSummary> write(StringRef path);

private:
  bool isGguf() const { return model.container == Container::Gguf; }
  Error chooseSchemes();
  void addOutput(const TensorInfo &tensor);
  void addExperts(const Output &stack);
  void addPieces(Output &output);
  std::string header();
  std::vector<Task> listTasks() const;
  Error readRows(const Output &output, const Task &task, std::vector<float> &values,
                 GridRows &grid) const;
  Expected<uint64_t> writeTask(const Task &task);
  Error writeShapes();
  ExportSummary summary() const;
  Error writeAt(size_t piece, uint64_t offset, ArrayRef<uint8_t> bytes) {
    return file->writeAt(dataStart + pieces[piece].offset + offset, bytes);
  }

  const ImportedModel &model;
  const Plan &plan;
  const ExportOptions &options;
  std::map<CompressedUnit, CompressedScheme> units;
  std::set<const TensorInfo *> used; // by the text model
  std::vector<Output> outputs;
  std::vector<Piece> pieces;
  uint64_t dataBytes = 0, dataStart = 0;
  std::unique_ptr<OutputFile> file;
};

// By what the plan says of the tensors that the model uses.
Error Exporter::chooseSchemes() {
  Expected<std::vector<ExportedTensor>> tensors = exportedTensors(model, plan);
  if (!tensors)
    return tensors.takeError();
  for (const auto &[spec, source, planned] : *tensors) {
    used.insert(source);
    if (!isMatrixRole(spec.role))
      continue;
    std::optional<CompressedUnit> unit = unitOfWeight(spec.name);
    if (!unit)
      continue;
    CompressedScheme scheme =
        schemeFor(*planned, model.checkpoint->nativeFormat(*source), spec.shape.back());
    auto [entry, isNew] = units.try_emplace(*unit, scheme);
    entry->second = std::max(entry->second, scheme);
  }
  bool any = llvm::any_of(
      units, [](const auto &entry) { return entry.second != CompressedScheme::Plain; });
  if (!any)
    return createStringError("the plan quantizes no linear layer: there is nothing to write as "
                             "compressed-tensors; the checkpoint itself is what vLLM wants");
  return Error::success();
}

void Exporter::addOutput(const TensorInfo &tensor) {
  Output output;
  output.source = &tensor;
  std::string name = textTensorName(tensor.name).str();
  if (auto planned = plan.tensorFormats.find(name); planned != plan.tensorFormats.end())
    output.planned = std::string(gcompile::name(planned->second));
  // Dead keys and values of layers that share others' are quantized as the rest of their unit.
  std::optional<CompressedUnit> unit =
      isTowerTensor(tensor.name) ? std::nullopt : unitOfWeight(name);
  if (auto entry = unit ? units.find(*unit) : units.end(); entry != units.end())
    output.scheme = entry->second;
  if (output.scheme != CompressedScheme::Plain) {
    output.way = Way::Quantize;
    std::optional<WeightFormat> native = model.checkpoint->nativeFormat(tensor);
    if (native && keepsCodes(output.scheme, *native)) {
      output.keepsGrid = true;
      output.scaleType = gridRuns(*native).scale ? TensorType::F16 : TensorType::F32;
    }
  } else if (tensor.type == TensorType::Encoded ||
             (!model.config.quantMethod.empty() && tensor.type == TensorType::F32 &&
              tensor.shape.size() > 1)) {
    output.way = Way::ToBf16; // decoded values
  }
  output.name = isGguf() ? textModelTensor(name) : tensor.name;
  output.rows = tensor.rows();
  output.columns = tensor.columns();
  if (output.way == Way::Quantize && tensor.shape.size() == 3)
    return addExperts(output);
  addPieces(output);
  outputs.push_back(std::move(output));
}

// A module for each matrix of each expert, which is what readers of the format have.
void Exporter::addExperts(const Output &stack) {
  const TensorInfo &tensor = *stack.source;
  auto [stem, kind] = StringRef(stack.name).rsplit('.');
  bool isDown = kind == "down_proj";
  int64_t halves = isDown ? 1 : 2;
  for (int64_t expert = 0; expert < tensor.rows(); ++expert)
    for (int64_t half = 0; half < halves; ++half) {
      Output output = stack;
      StringRef part = isDown ? "down_proj" : half ? "up_proj" : "gate_proj";
      output.name = (stem + "." + Twine(expert) + "." + part + ".weight").str();
      output.rows = tensor.shape[1] / halves;
      output.columns = tensor.shape[2];
      output.expert = expert;
      output.half = half;
      addPieces(output);
      outputs.push_back(std::move(output));
    }
}

void Exporter::addPieces(Output &output) {
  const TensorInfo &tensor = *output.source;
  output.piece = pieces.size();
  if (output.way == Way::Copy) {
    pieces.push_back({output.name, tensor.type, tensor.shape, tensor.bytes});
    return;
  }
  if (output.way == Way::ToBf16) {
    pieces.push_back(
        {output.name, TensorType::BF16, tensor.shape, 2 * uint64_t(tensor.elements())});
    return;
  }
  uint64_t rows = uint64_t(output.rows), groups = uint64_t(output.groups());
  int64_t rowBytes = output.codeRowBytes();
  bool packed = isPacked(output.scheme);
  pieces.push_back({packed ? output.name + "_packed" : output.name,
                    packed ? TensorType::I32 : TensorType::I8,
                    {output.rows, packed ? rowBytes / 4 : rowBytes},
                    rows * uint64_t(rowBytes)});
  pieces.push_back({output.name + "_scale",
                    output.scaleType,
                    {output.rows, int64_t(groups)},
                    rows * groups * uint64_t(tensorTypeBytes(output.scaleType))});
  if (packed)
    pieces.push_back({output.name + "_shape", TensorType::I64, {2}, 16});
}

Error Exporter::listOutputs() {
  if (Error error = chooseSchemes())
    return error;
  // A folder is taken over with its towers; of a GGUF file only what the text model has, under its
  // names.
  for (const TensorInfo &tensor : model.checkpoint->tensors())
    if (!isGguf() || used.count(&tensor))
      addOutput(tensor);
  // The widest types first: readers want every tensor aligned to its values and no gaps.
  for (int64_t size : {8, 4, 2, 1})
    for (Piece &piece : pieces)
      if (tensorTypeBytes(piece.type) == size) {
        piece.offset = dataBytes;
        dataBytes += piece.bytes;
      }
  return Error::success();
}

std::string Exporter::header() {
  json::Object entries{{"__metadata__", json::Object{{"format", "pt"}}}};
  for (const Piece &piece : pieces) {
    json::Array shape, range{int64_t(piece.offset), int64_t(piece.offset + piece.bytes)};
    for (int64_t extent : piece.shape)
      shape.push_back(extent);
    entries[piece.name] = json::Object{{"dtype", tensorTypeName(piece.type)},
                                       {"shape", std::move(shape)},
                                       {"data_offsets", std::move(range)}};
  }
  std::string text;
  raw_string_ostream(text) << json::Value(std::move(entries));
  text.resize((text.size() + 7) / 8 * 8, ' ');
  uint64_t length = text.size();
  return std::string(reinterpret_cast<const char *>(&length), 8) + text;
}

std::vector<Task> Exporter::listTasks() const {
  std::vector<Task> tasks;
  for (size_t i = 0; i < outputs.size(); ++i) {
    const TensorInfo &tensor = *outputs[i].source;
    bool copy = outputs[i].way == Way::Copy;
    int64_t all = copy ? int64_t(tensor.bytes) : outputs[i].rows;
    int64_t step = copy ? 4 * taskValues : std::max<int64_t>(1, taskValues / outputs[i].columns);
    if (outputs[i].expert >= 0)
      step = all; // an expert is one row of the checkpoint
    for (int64_t first = 0; first < all; first += step)
      tasks.push_back({i, first, std::min(step, all - first)});
  }
  return tasks;
}

// Rows of the task as codes when they are kept, as values else.
Error Exporter::readRows(const Output &output, const Task &task, std::vector<float> &values,
                         GridRows &grid) const {
  const TensorInfo &tensor = *output.source;
  bool isExpert = output.expert >= 0;
  int64_t first = isExpert ? output.expert : task.first, count = isExpert ? 1 : task.count;
  if (output.keepsGrid) {
    if (Error error = model.checkpoint->readRowsOnGrid(tensor, first, count, grid))
      return error;
  } else {
    values.resize(size_t(count * tensor.columns()));
    if (Error error = model.checkpoint->readRowsAsFloat(tensor, first, count, values))
      return error;
  }
  if (!isExpert)
    return Error::success();
  // One matrix of the expert's row.
  auto keep = [&](auto &entries, int64_t perRow) {
    if (entries.empty())
      return;
    auto begin = entries.begin() + output.half * output.rows * perRow;
    entries.erase(begin + output.rows * perRow, entries.end());
    entries.erase(entries.begin(), begin);
  };
  keep(values, output.columns);
  keep(grid.codes, output.columns);
  keep(grid.scales, grid.scalesPerRow());
  grid.rows = output.rows;
  return Error::success();
}

Expected<uint64_t> Exporter::writeTask(const Task &task) {
  const Output &output = outputs[task.output];
  const TensorInfo &tensor = *output.source;
  if (output.way == Way::Copy) {
    std::vector<uint8_t> bytes(static_cast<size_t>(task.count));
    if (Error error = model.checkpoint->read(tensor, uint64_t(task.first), bytes))
      return std::move(error);
    if (Error error = writeAt(output.piece, uint64_t(task.first), bytes))
      return std::move(error);
    return bytes.size();
  }
  int64_t columns = output.columns;
  std::vector<float> values;
  GridRows grid;
  if (Error error = readRows(output, task, values, grid))
    return std::move(error);
  if (output.way == Way::ToBf16) {
    std::vector<uint8_t> bytes(2 * values.size());
    for (size_t i = 0; i < values.size(); ++i)
      putScale(TensorType::BF16, values[i], bytes.data() + 2 * i);
    if (Error error = writeAt(output.piece, uint64_t(2 * task.first * columns), bytes))
      return std::move(error);
    return bytes.size();
  }
  if (!output.keepsGrid)
    grid = roundToBf16Scales(output.scheme, task.count, columns, values.data());
  int64_t rowBytes = output.codeRowBytes(), groups = output.groups(),
          scaleBytes = tensorTypeBytes(output.scaleType);
  int64_t perRow = grid.scalesPerRow(); // at most `groups`: a scale may stand for several
  std::vector<uint8_t> codes(size_t(task.count * rowBytes)),
      scales(size_t(task.count * groups * scaleBytes));
  for (int64_t row = 0; row < task.count; ++row) {
    putCodes(output.scheme, grid.codes.data() + row * columns, columns,
             codes.data() + row * rowBytes);
    for (int64_t group = 0; group < groups; ++group)
      putScale(output.scaleType, grid.scales[row * perRow + group * perRow / groups],
               scales.data() + (row * groups + group) * scaleBytes);
  }
  if (Error error = writeAt(output.piece, uint64_t(task.first * rowBytes), codes))
    return std::move(error);
  if (Error error = writeAt(output.piece + 1, uint64_t(task.first * groups * scaleBytes), scales))
    return std::move(error);
  return codes.size() + scales.size();
}

Error Exporter::writeShapes() {
  for (const Output &output : outputs)
    if (output.way == Way::Quantize && isPacked(output.scheme)) {
      int64_t shape[2] = {output.rows, output.columns};
      if (Error error = writeAt(output.piece + 2, 0,
                                ArrayRef(reinterpret_cast<const uint8_t *>(shape), sizeof shape)))
        return error;
    }
  return Error::success();
}

ExportSummary Exporter::summary() const {
  ExportSummary summary;
  summary.fileBytes = file->bytes();
  for (const Output &output : outputs) {
    bool quantized = output.way == Way::Quantize;
    const Piece &first = pieces[output.piece];
    uint64_t bytes = first.bytes + (quantized ? pieces[output.piece + 1].bytes : 0);
    // Of vectors and towers plans say nothing, or f32.
    bool isPlanned = !output.planned.empty() && output.source->shape.size() > 1;
    std::string written = quantized ? info(output.scheme).name : tensorTypeName(first.type).str();
    std::string planned = isPlanned ? output.planned : "-";
    bool same =
        !isPlanned || (quantized ? hasSameGrid(output.scheme, *parseWeightFormat(output.planned))
                                 : StringRef(written).equals_insensitive(planned));
    summary.add({planned, written, 1, output.keepsGrid, same, output.rows * output.columns,
                 int64_t(bytes)});
  }
  summary.finish();
  return summary;
}

Expected<ExportSummary> Exporter::write(StringRef path) {
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
  if (Error error = writeShapes())
    return std::move(error);
  std::vector<Task> tasks = listTasks();
  if (Error error = runExportTasks(tasks.size(), dataBytes, options,
                                   [&](size_t i) { return writeTask(tasks[i]); }))
    return std::move(error);
  if (Error error = file->commit())
    return std::move(error);
  return summary();
}

Error writeText(const Twine &path, StringRef text) {
  Expected<std::unique_ptr<OutputFile>> file = OutputFile::create(path.str(), text.size());
  if (!file)
    return file.takeError();
  if (Error error = (*file)->writeAt(
          0, ArrayRef(reinterpret_cast<const uint8_t *>(text.data()), text.size())))
    return error;
  return (*file)->commit();
}

using NamedTexts = std::vector<std::pair<std::string, std::string>>;

// What programs read beside weights and configuration.
constexpr StringRef companionNames[] = {"tokenizer.json",        "tokenizer_config.json",
                                        "tokenizer.model",       "special_tokens_map.json",
                                        "added_tokens.json",     "chat_template.jinja",
                                        "chat_template.json",    "generation_config.json",
                                        "processor_config.json", "preprocessor_config.json"};

// Those of the folder that the checkpoint is; config.json is the first.
Expected<NamedTexts> filesOf(StringRef folder) {
  NamedTexts files;
  auto take = [&](StringRef name) -> Error {
    SmallString<128> path(folder);
    sys::path::append(path, name);
    if (name != "config.json" && !sys::fs::exists(path))
      return Error::success();
    Expected<std::string> text = readTextFile(path, name, mostJsonBytes);
    if (!text)
      return text.takeError();
    files.emplace_back(name.str(), std::move(*text));
    return Error::success();
  };
  if (Error error = take("config.json"))
    return std::move(error);
  Expected<json::Value> config = parseHostileJson(files.front().second, "config.json");
  if (!config)
    return config.takeError();
  if (!config->getAsObject())
    return createStringError("config.json is no JSON object");
  for (StringRef name : companionNames)
    if (Error error = take(name))
      return std::move(error);
  return files;
}

Error makeFolder(StringRef folder) {
  if (std::error_code failed = sys::fs::create_directory(folder))
    return createStringError("cannot make folder '" + folder + "': " + failed.message());
  std::error_code failed;
  if (sys::fs::directory_iterator(folder, failed) != sys::fs::directory_iterator() || failed)
    return createStringError("folder '" + folder +
                             "' is not empty; name one that is new, as all of a checkpoint is "
                             "written");
  return Error::success();
}

} // namespace

Expected<ExportSummary> exportCompressedTensors(const ImportedModel &model, const Plan &plan,
                                                StringRef sourceFolder, StringRef folder,
                                                const ExportOptions &options) {
  if (model.checkpoint && model.container == Container::None)
    return createStringError(
        "the weights of '" + model.name +
        "' are made up, which is nothing to export; give --model a checkpoint");
  Exporter exporter(model, plan, options);
  if (Error error = exporter.listOutputs())
    return std::move(error);
  Expected<NamedTexts> files =
      model.container == Container::Gguf ? textModelFiles(model) : filesOf(sourceFolder);
  if (!files)
    return files.takeError();
  std::string &config = files->front().second;
  config = withMember(config, {"quantization_config", "quantization", "compression_config"},
                      "quantization_config", exporter.quantization());
  if (Error error = makeFolder(folder))
    return std::move(error);
  Expected<ExportSummary> summary = exporter.write((folder + "/model.safetensors").str());
  if (!summary)
    return summary.takeError();
  for (const auto &[name, text] : *files)
    if (Error error = writeText(folder + "/" + name, text))
      return std::move(error);
  return summary;
}

} // namespace gcompile
