#include "compiler/Codegen/BuildArtifact.h"
#include "compiler/Artifact/ArtifactWriter.h"
#include "compiler/Support/InternalError.h"
#include <cmath>
#include <cstring>

namespace gcompile {
namespace {

template <size_t N>
void copyText(char (&to)[N], llvm::StringRef from) {
  size_t length = std::min(from.size(), N - 1);
  std::memcpy(to, from.data(), length);
  std::memset(to + length, 0, N - length);
}

llvm::ArrayRef<uint8_t> bytesOf(llvm::StringRef text) {
  return {reinterpret_cast<const uint8_t *>(text.data()), text.size()};
}

const PlacedWeight *findTable(const LoweredModel &lowered) {
  for (const PlacedWeight &weight : lowered.weights)
    if (weight.kind == PlacedWeight::RowTable)
      return &weight;
  return nullptr;
}

llvm::Error copyTokens(llvm::ArrayRef<int64_t> from, uint32_t *to, size_t limit, uint32_t &count,
                       int64_t vocabulary, llvm::StringRef what) {
  if (from.size() > limit)
    return llvm::createStringError("the checkpoint names " + llvm::Twine(from.size()) + " " + what +
                                   ", an artifact holds " + llvm::Twine(limit));
  for (int64_t token : from) {
    if (token < 0 || token >= vocabulary)
      return llvm::createStringError("the checkpoint's " + what + " hold id " + llvm::Twine(token) +
                                     ", outside the vocabulary of " + llvm::Twine(vocabulary));
    to[count++] = (uint32_t)token;
  }
  return llvm::Error::success();
}

void setSampling(gc_manifest &manifest, const ModelConfig &config) {
  manifest.temperature = 0;
  manifest.top_p = 1;
  manifest.top_k = 0;
  if (!config.generation || !config.generation->doSample)
    return;
  manifest.temperature = (float)config.generation->temperature;
  manifest.top_p = (float)config.generation->topP;
  manifest.top_k = (uint32_t)config.generation->topK;
}

void setTable(gc_manifest &manifest, const PlacedWeight *table) {
  manifest.table_placement = GC_TABLE_NONE;
  if (!table)
    return;
  manifest.table_placement = table->cacheRows > 0 ? GC_TABLE_STORAGE : GC_TABLE_MEMORY;
  manifest.table_rows = table->rows;
  manifest.table_row_bytes = table->bytes / table->rows;
  manifest.table_cache_rows = (uint32_t)table->cacheRows;
}

llvm::Expected<gc_manifest> makeManifest(const BuildInputs &inputs, unsigned firstCodeSection) {
  const ModelConfig &config = inputs.model->config;
  const Plan &plan = *inputs.plan;
  gc_manifest manifest;
  std::memset(&manifest, 0, sizeof manifest);
  copyText(manifest.model, inputs.model->name);
  copyText(manifest.target, plan.target);
  manifest.vocabulary = (uint32_t)config.vocabulary;
  manifest.context = (uint32_t)plan.context;
  manifest.kv_bytes = inputs.lowered->memory.kvCache;
  manifest.weights_bytes = inputs.lowered->memory.weights;
  setTable(manifest, findTable(*inputs.lowered));
  manifest.expert_cache_slots = (uint32_t)inputs.lowered->memory.expertSlots;
  manifest.expert_layers = (uint32_t)inputs.lowered->memory.expertLayers;
  manifest.experts_per_layer = (uint32_t)inputs.lowered->memory.expertsPerLayer;
  manifest.bos_token = (int32_t)config.bos;
  manifest.pad_token = config.pad >= 0 ? (uint32_t)config.pad : 0;
  if (llvm::Error error = copyTokens(config.stopTokens(), manifest.stop_tokens, GC_MAX_STOP_TOKENS,
                                     manifest.stop_token_count, config.vocabulary, "stop tokens"))
    return std::move(error);
  if (config.generation)
    if (llvm::Error error = copyTokens(config.generation->suppressed, manifest.suppressed_tokens,
                                       GC_MAX_SUPPRESSED_TOKENS, manifest.suppressed_token_count,
                                       config.vocabulary, "suppressed tokens"))
      return std::move(error);
  setSampling(manifest, config);
  manifest.has_tokenizer = !inputs.tokenizerSection.empty();
  manifest.turns = inputs.model->turns;
  if (inputs.variants.empty() || inputs.variants.size() > GC_MAX_VARIANTS)
    return llvm::createStringError("an artifact holds 1 to " + llvm::Twine(GC_MAX_VARIANTS) +
                                   " code variants, not " + llvm::Twine(inputs.variants.size()));
  for (const CompiledVariant &variant : inputs.variants) {
    gc_code_variant &entry = manifest.variants[manifest.variant_count];
    entry.isa = variant.isa;
    entry.section = firstCodeSection + manifest.variant_count++;
    entry.prefill = variant.prefill;
    entry.decode = variant.decode;
    entry.score = variant.score;
  }
  manifest.planned_weights = plan.memory.weights;
  manifest.planned_tables = plan.memory.tables;
  manifest.planned_kv_cache = plan.memory.kvCache;
  manifest.planned_activations = plan.memory.activations;
  manifest.planned_encoders = plan.memory.encoders;
  manifest.planned_code = plan.memory.code;
  manifest.planned_runtime = plan.memory.runtime;
  manifest.planned_peak = plan.memory.peak();
  // Speeds that rest on a measurement of this moment would make equal inputs give different bytes.
  if (!plan.predicted.measured) {
    manifest.predicted_decode_tokens_per_second = plan.predicted.decodeTokensPerSecond;
    manifest.predicted_prefill_tokens_per_second = plan.predicted.prefillTokensPerSecond;
  }
  return manifest;
}

// Values that no checkpoint holds.
std::vector<float> computedValues(const PlacedWeight &weight) {
  if (weight.kind == PlacedWeight::Constant)
    return {weight.value};
  std::vector<float> values(weight.columns, 0.0f);
  // Pair i of D = 2 · columns: theta^(−2i/D).
  for (int64_t i = 0; i < weight.rotatedPairs && i < weight.columns; ++i)
    values[i] = (float)std::pow(weight.theta, -(double)i / (double)weight.columns);
  return values;
}

// The checkpoint's tensors by canonical name.
llvm::StringMap<const TensorInfo *> tensorsByName(const ImportedModel &model) {
  llvm::StringMap<const TensorInfo *> byName;
  for (const TensorSpec &spec : expectedTextTensors(model.config))
    if (const TensorInfo *tensor = model.tensors->find(spec.role, spec.layer))
      byName[spec.name] = tensor;
  return byName;
}

llvm::Expected<PackItem> packItem(const PlacedWeight &weight,
                                  const llvm::StringMap<const TensorInfo *> &tensors,
                                  WeightSections sections) {
  const TensorInfo *tensor = tensors.lookup(weight.source);
  if (!tensor)
    return llvm::createStringError("tensor '" + weight.source +
                                   "' is used by the model, but the checkpoint has none");
  PackItem item;
  bool table = weight.kind == PlacedWeight::RowTable;
  item.kind = table                                 ? PackKind::RowTable
              : weight.kind == PlacedWeight::Vector ? PackKind::Vector
                                                    : PackKind::Matrix;
  item.format = weight.format;
  // Vectors are taken whole, and so are stacks of experts.
  bool whole = weight.kind == PlacedWeight::Vector || tensor->shape.size() == 3;
  item.sources.push_back({tensor, weight.firstRow, whole ? -1 : weight.rows});
  item.slices = weight.slices;
  item.section = table                  ? sections.table
                 : weight.isOnStorage() ? sections.experts
                                        : sections.weights;
  item.matrixStride = (uint64_t)weight.blockBytes;
  item.offset = table ? 0 : weight.offset;
  llvm::Expected<uint64_t> bytes = packedItemBytes(item);
  if (!bytes)
    return bytes.takeError();
  if ((int64_t)*bytes != weight.bytes)
    return internalError("tensor '" + weight.source + "' packs to " + llvm::Twine(*bytes) +
                         " bytes, code expects " + llvm::Twine(weight.bytes));
  return item;
}

llvm::Error writeProvenance(const BuildInputs &inputs, const PieceHashes &hashes, unsigned section,
                            ArtifactWriter &writer) {
  llvm::Expected<std::string> text = inputs.finalProvenance(hashes);
  if (!text)
    return text.takeError();
  if (text->size() != inputs.provenanceText.size())
    return internalError("the provenance has " + llvm::Twine(text->size()) + " bytes, " +
                         llvm::Twine(inputs.provenanceText.size()) + " were laid out");
  return writer.writeAt(section, 0, bytesOf(*text));
}

} // namespace

int64_t codeBytes(llvm::ArrayRef<CompiledVariant> variants) {
  size_t largest = 0;
  for (const CompiledVariant &variant : variants)
    largest = std::max(largest, variant.image.size());
  return (int64_t)largest;
}

MemoryAccount exactAccount(const Plan &plan, const LoweredModel &lowered, int64_t codeBytes) {
  MemoryAccount account = plan.memory;
  account.weights = lowered.memory.weights;
  // Ring rows beyond the window exist for the chunk in flight: the plan counts them as activations.
  int64_t surplus = 0;
  for (const PlannedKv &kv : plan.kvCaches)
    surplus += kv.bytes;
  surplus -= plan.memory.kvCache;
  account.kvCache = lowered.memory.kvCache - std::max<int64_t>(surplus, 0);
  account.activations = std::max(lowered.memory.prefillArena, lowered.memory.decodeArena) +
                        std::max<int64_t>(surplus, 0);
  account.code = codeBytes;
  return account;
}

llvm::Error packModelWeights(const ImportedModel &model, const LoweredModel &lowered,
                             WeightSections sections, PackSink sink, const BuildOptions &options) {
  llvm::StringMap<const TensorInfo *> tensors = tensorsByName(model);
  std::vector<PackItem> items;
  for (const PlacedWeight &weight : lowered.weights) {
    if (weight.source.empty()) {
      std::vector<float> values = computedValues(weight);
      llvm::ArrayRef<uint8_t> bytes(reinterpret_cast<const uint8_t *>(values.data()),
                                    values.size() * sizeof(float));
      if (llvm::Error error = sink(sections.weights, weight.offset, bytes))
        return error;
      continue;
    }
    llvm::Expected<PackItem> item = packItem(weight, tensors, sections);
    if (!item)
      return item.takeError();
    items.push_back(std::move(*item));
  }
  PackOptions pack;
  pack.jobs = options.jobs;
  pack.hashes = options.hashes;
  pack.cancel = options.cancel;
  pack.progress = options.progress;
  // A task of a stack is an expert, some 50 MB while it is packed: every thread has one.
  if (model.config.isMoe())
    pack.memoryBytes = uint64_t(512) << 20;
  return packWeights(*model.checkpoint, items, sink, pack).takeError();
}

llvm::Error buildArtifact(llvm::StringRef path, const BuildInputs &inputs,
                          const BuildOptions &options) {
  const LoweredModel &lowered = *inputs.lowered;
  if (llvm::Error error = verifyBudget(lowered, *inputs.plan, codeBytes(inputs.variants)))
    return error;
  const PlacedWeight *table = findTable(lowered);

  std::vector<SectionSpec> sections;
  auto addSection = [&](gc_section_kind kind, uint64_t bytes) {
    sections.push_back({kind, bytes});
    return (unsigned)sections.size() - 1;
  };
  unsigned manifestSection = addSection(GC_SECTION_MANIFEST, sizeof(gc_manifest));
  std::vector<std::pair<unsigned, llvm::ArrayRef<uint8_t>>> contents;
  auto addContent = [&](gc_section_kind kind, llvm::ArrayRef<uint8_t> bytes) {
    if (!bytes.empty())
      contents.push_back({addSection(kind, bytes.size()), bytes});
  };
  addContent(GC_SECTION_PLAN, bytesOf(inputs.planText));
  addContent(GC_SECTION_PROFILE, bytesOf(inputs.profileText));
  unsigned provenanceSection = sections.size();
  addContent(GC_SECTION_PROVENANCE, bytesOf(inputs.provenanceText));
  addContent(GC_SECTION_TOKENIZER, inputs.tokenizerSection);
  addContent(GC_SECTION_TEMPLATE, bytesOf(inputs.model->chatTemplate));
  unsigned firstCodeSection = sections.size();
  for (const CompiledVariant &variant : inputs.variants)
    addContent(GC_SECTION_CODE, variant.image);
  WeightSections weightSections;
  weightSections.weights = addSection(GC_SECTION_WEIGHTS, lowered.memory.weights);
  if (lowered.memory.expertSlots)
    weightSections.experts = addSection(GC_SECTION_EXPERTS, lowered.memory.expertBytes());
  if (table)
    weightSections.table = addSection(GC_SECTION_TABLE, table->bytes);

  llvm::Expected<gc_manifest> manifest = makeManifest(inputs, firstCodeSection);
  if (!manifest)
    return manifest.takeError();

  OutputFileOptions writerOptions;
  writerOptions.cancel = options.cancel;
  auto writer = ArtifactWriter::create(path, sections, writerOptions);
  if (!writer)
    return writer.takeError();
  llvm::ArrayRef<uint8_t> manifestBytes(reinterpret_cast<const uint8_t *>(&*manifest),
                                        sizeof *manifest);
  if (llvm::Error error = (*writer)->writeAt(manifestSection, 0, manifestBytes))
    return error;
  for (auto &[section, bytes] : contents)
    if (llvm::Error error = (*writer)->writeAt(section, 0, bytes))
      return error;
  auto sink = [&](unsigned section, uint64_t offset, llvm::ArrayRef<uint8_t> bytes) {
    return (*writer)->writeAt(section, offset, bytes);
  };
  PieceHashes hashes;
  BuildOptions packing = options;
  if (inputs.finalProvenance)
    packing.hashes = &hashes;
  if (llvm::Error error = packModelWeights(*inputs.model, lowered, weightSections, sink, packing))
    return error;
  if (inputs.finalProvenance)
    if (llvm::Error error = writeProvenance(inputs, hashes, provenanceSection, **writer))
      return error;
  return (*writer)->commit();
}

} // namespace gcompile
