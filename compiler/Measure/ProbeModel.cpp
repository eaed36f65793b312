#include "compiler/Measure/ProbeModel.h"

#include "compiler/Artifact/ArtifactReader.h"
#include "compiler/Artifact/TokenizerSection.h"
#include "compiler/Codegen/BuildArtifact.h"
#include "compiler/Quantize/RoundTrip.h"
#include "ir/Format/Pack.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/TargetParser/Host.h"
#include "llvm/TargetParser/Triple.h"

#include <cstring>
#include <fcntl.h>
#include <oneapi/tbb/parallel_for.h>
#include <unistd.h>

namespace gcompile {

WeightFormat ModelFormats::of(const std::string &name, bool rowTable) const {
  auto found = tensors.find(name);
  WeightFormat format = found == tensors.end() ? weights : found->second;
  if (!rowTable || isRowTableFormat(format))
    return format;
  // The nearest that a table knows.
  const WeightFormatInfo &facts = info(format);
  if (facts.bits > 8)
    return WeightFormat::BF16;
  return facts.bits >= 8 ? WeightFormat::W8 : facts.bits >= 4 ? WeightFormat::W4 : WeightFormat::W2;
}

WeightFormat measuringFormat(const ModelConfig &config) {
  constexpr int64_t mostInF32 = 400000000;
  int64_t parameters = 0;
  for (const TensorSpec &spec : expectedTextTensors(config))
    parameters += spec.elements();
  return parameters > mostInF32 ? WeightFormat::BF16 : WeightFormat::F32;
}

static Plan planOf(const ImportedModel &model, const ModelFormats &formats,
                   const ProbeOptions &options) {
  Plan plan;
  plan.model = model.name;
  plan.target = "host";
  plan.context = options.context;
  plan.budgetBytes = INT64_MAX / 4; // it is measured, not shipped
  plan.prefillChunk = std::min<int64_t>(128, options.context);
  plan.scoreChunk = std::min(options.scoreRows, options.context);
  plan.localK = plan.localV = formats.localKv;
  plan.globalK = plan.globalV = formats.globalKv;
  plan.tables = model.config.hasPerLayerInput() ? TablePlacement::Memory : TablePlacement::None;
  plan.activationScales =
      formats.activationScales ? *formats.activationScales : statedActivationScales(model);
  plan.cacheScales = formats.cacheScales ? *formats.cacheScales : statedCacheScales(model);
  for (const TensorSpec &spec : expectedTextTensors(model.config)) {
    bool table = spec.role == TensorRole::PerLayerTable;
    plan.tensorFormats[spec.name] =
        isMatrixRole(spec.role) ? formats.of(spec.name, table) : WeightFormat::F32;
  }
  return plan;
}

// The most capable code variant that runs here.
static llvm::Expected<std::string> hostVariant() {
  llvm::Triple triple(llvm::sys::getProcessTriple());
  llvm::StringRef architecture = triple.isX86()       ? "x86-64"
                                 : triple.isAArch64() ? "aarch64"
                                                      : triple.getArchName();
  std::vector<std::string> names = variantsOf(architecture);
  if (names.empty())
    return llvm::createStringError("no code can be generated for this machine (" + architecture +
                                   "), so a model cannot be measured on it");
  llvm::StringMap<bool> features = llvm::sys::getHostCPUFeatures();
  auto runs = [&](llvm::StringRef name) {
    if (name.contains("vnni"))
      return features.lookup("avx512vnni") && features.lookup("avx512bw") &&
             features.lookup("avx512vl");
    if (name.contains("i8mm"))
      return features.lookup("i8mm");
    if (name.contains("dotprod"))
      return features.lookup("dotprod");
    return true;
  };
  for (const std::string &name : llvm::reverse(names))
    if (runs(name))
      return name;
  return names.front();
}

llvm::Expected<std::unique_ptr<ProbeModel>> ProbeModel::compile(const ImportedModel &model,
                                                                const ModelFormats &formats,
                                                                const ProbeOptions &options) {
  if (!model.checkpoint || !model.tensors)
    return llvm::createStringError("'" + model.name + "' has no weights that could be measured");
  std::unique_ptr<ProbeModel> probe(new ProbeModel(model));
  for (const TensorSpec &spec : expectedTextTensors(model.config))
    if (const TensorInfo *tensor = model.tensors->find(spec.role, spec.layer))
      probe->tensors[spec.name] = tensor;

  Plan plan = planOf(model, formats, options);
  llvm::Expected<LoweredModel> lowered = lowerModel(model.config, plan, options.output);
  if (!lowered)
    return lowered.takeError();
  llvm::Expected<std::string> variantName = hostVariant();
  if (!variantName)
    return variantName.takeError();
  llvm::Expected<CompiledVariant> variant = emitVariant(*lowered, *variantName);
  if (!variant)
    return variant.takeError();

  BuildInputs inputs;
  inputs.model = &model;
  inputs.plan = &plan;
  inputs.lowered = &*lowered;
  inputs.variants.push_back(std::move(*variant));
  if (model.tokenizer) {
    llvm::Expected<std::vector<uint8_t>> section = serializeTokenizer(*model.tokenizer);
    if (!section)
      return section.takeError();
    inputs.tokenizerSection = std::move(*section);
  }
  llvm::Expected<TemporaryFile> file = TemporaryFile::create("gpk");
  if (!file)
    return file.takeError();
  BuildOptions build;
  build.jobs = unsigned(options.jobs);
  build.cancel = options.cancel;
  if (llvm::Error error = buildArtifact(file->path(), inputs, build))
    return std::move(error);

  auto artifact = ArtifactFile::open(file->path());
  if (!artifact)
    return artifact.takeError();
  if (const gc_section *section = (*artifact)->find(GC_SECTION_WEIGHTS))
    probe->weightsOffset = section->offset;
  if (const gc_section *section = (*artifact)->find(GC_SECTION_TABLE))
    probe->tableOffset = section->offset;
  probe->file = ::open(file->path().c_str(), O_RDWR | O_CLOEXEC);
  if (probe->file < 0)
    return llvm::createStringError("a temporary file cannot be opened: " +
                                   std::string(std::strerror(errno)));
  RunnerOptions run;
  run.threads = int32_t(options.jobs);
  run.cancel = options.cancel;
  auto runner = ModelRunner::open(std::move(*file), run);
  if (!runner)
    return runner.takeError();
  probe->openRunner = std::move(*runner);
  probe->lowered = std::move(*lowered);
  return probe;
}

ProbeModel::~ProbeModel() {
  openRunner.reset();
  if (file >= 0)
    ::close(file);
}

llvm::Error ProbeModel::write(uint64_t offset, llvm::ArrayRef<uint8_t> bytes) {
  while (!bytes.empty()) {
    ssize_t done = ::pwrite(file, bytes.data(), bytes.size(), off_t(offset));
    if (done < 0 && errno == EINTR)
      continue;
    if (done <= 0)
      return llvm::createStringError("a temporary file cannot be written: " +
                                     std::string(std::strerror(errno)));
    offset += uint64_t(done);
    bytes = bytes.drop_front(size_t(done));
  }
  return llvm::Error::success();
}

// Rows in steps that fit a cache, each read, rounded and packed by one thread.
template <typename Work>
static llvm::Error inSteps(int64_t rows, int64_t step, Work work) {
  int64_t count = (rows + step - 1) / step;
  std::vector<std::string> faults(count);
  tbb::parallel_for(int64_t(0), count, [&](int64_t i) {
    if (llvm::Error error = work(i * step, std::min(step, rows - i * step)))
      faults[i] = llvm::toString(std::move(error));
  });
  for (const std::string &fault : faults)
    if (!fault.empty())
      return llvm::createStringError(fault);
  return llvm::Error::success();
}

llvm::Error ProbeModel::writeMatrix(const PlacedWeight &weight, const TensorInfo &tensor,
                                    WeightFormat format) {
  int64_t k = weight.columns, bytes = panelBytes(weight.format, k);
  return inSteps(weight.rows, panelRows, [&](int64_t first, int64_t count) -> llvm::Error {
    std::vector<float> rows(count * k);
    if (llvm::Error error =
            model.checkpoint->readRowsAsFloat(tensor, weight.firstRow + first, count, rows))
      return error;
    roundTripRows(format, count, k, rows.data(), rows.data());
    std::vector<uint8_t> panel(bytes);
    packPanel(weight.format, count, k, rows.data(), panel, nullptr, nullptr);
    return write(weightsOffset + weight.offset + first / panelRows * bytes, panel);
  });
}

llvm::Error ProbeModel::writeTable(const PlacedWeight &weight, const TensorInfo &tensor,
                                   WeightFormat format) {
  int64_t width = weight.columns * weight.slices;
  int64_t bytes = rowTableRowBytes(weight.format, weight.columns, weight.slices);
  return inSteps(weight.rows, 64, [&](int64_t first, int64_t count) -> llvm::Error {
    std::vector<float> rows(count * width);
    if (llvm::Error error =
            model.checkpoint->readRowsAsFloat(tensor, weight.firstRow + first, count, rows))
      return error;
    std::vector<uint8_t> packed(count * bytes);
    roundTripRows(format, count * weight.slices, weight.columns, rows.data(), rows.data());
    encodeTableRows(weight.format, count, weight.columns, weight.slices, rows.data(), packed);
    return write(tableOffset + first * bytes, packed);
  });
}

llvm::Error ProbeModel::setFormat(const std::string &name, WeightFormat format) {
  auto tensor = tensors.find(name);
  if (tensor == tensors.end())
    return llvm::createStringError("the model has no tensor '" + name + "'");
  for (const PlacedWeight &weight : lowered.weights) {
    if (weight.source != name || weight.kind == PlacedWeight::Vector ||
        weight.kind == PlacedWeight::RopeFrequencies || weight.kind == PlacedWeight::Constant)
      continue;
    if (info(weight.format).isInteger)
      return llvm::createStringError("tensor '" + name + "' is held as " +
                                     std::string(gcompile::name(weight.format)) +
                                     " by the program: it takes no other values");
    llvm::Error error = weight.kind == PlacedWeight::RowTable
                            ? writeTable(weight, *tensor->second, format)
                            : writeMatrix(weight, *tensor->second, format);
    if (error)
      return error;
  }
  return llvm::Error::success();
}

} // namespace gcompile
