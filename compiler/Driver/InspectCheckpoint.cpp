#include "compiler/Driver/InspectCheckpoint.h"

#include "compiler/Plan/PlanReport.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Format.h"

namespace gcompile {

// The published size whose tensors have the same shapes. Vocabularies are cut by some converters.
static std::string presetOf(const ModelConfig &config) {
  auto shapes = [](const ModelConfig &each) {
    std::vector<std::string> list;
    for (const TensorSpec &spec : expectedTextTensors(each))
      if (spec.role != TensorRole::Embedding && spec.role != TensorRole::PerLayerTable)
        list.push_back(spec.name + " " + shapeString(spec.shape));
    return list;
  };
  std::vector<std::string> own = shapes(config);
  for (const std::string &name : presetNames()) {
    llvm::Expected<ModelConfig> preset = loadPreset(name);
    if (!preset)
      llvm::consumeError(preset.takeError());
    else if (shapes(*preset) == own)
      return name;
  }
  return "";
}

static std::string containerOf(const ImportedModel &model) {
  if (!model.checkpoint || model.checkpoint->files().empty())
    return "";
  return std::string(name(model.container));
}

// Stated by the file, or seen in its values: plain floats that lie on a grid of 4-bit groups.
static std::string qatOf(const ImportedModel &model, const CheckpointFacts &facts) {
  if (model.config.quantMethod == "gemma")
    return "mobile QAT: channel-wise weights with static activation scales";
  if (!model.config.quantMethod.empty())
    return "";
  for (const auto &[role, list] : facts.classes)
    for (const StoredAs &stored : list)
      if (stored.format == "BF16" && stored.kept == name(WeightFormat::W4G32))
        return "QAT: plain values on a grid of 4-bit groups of 32, which is kept";
  return "";
}

// Tensors that are not matrices are one class.
static std::string className(TensorRole role) {
  return isMatrixRole(role) ? roleName(role).str() : "norms and scales";
}

static void count(const ImportedModel &model, const TensorSpec &spec, CheckpointFacts &facts) {
  StoredAs stored;
  stored.tensors = 1;
  stored.parameters = spec.elements();
  if (const TensorInfo *tensor =
          model.tensors ? model.tensors->find(spec.role, spec.layer) : nullptr) {
    stored.format = tensor->typeText().str();
    // Readers of quantized safetensors show the values' type; what they are stored as is the
    // method's.
    if (!model.config.quantMethod.empty() && isMatrixRole(spec.role) &&
        tensor->type == TensorType::F32)
      stored.format = model.config.quantMethod;
    stored.bytes = int64_t(tensor->bytes);
    if (std::optional<WeightFormat> native = model.checkpoint->nativeFormat(*tensor))
      stored.kept = std::string(name(*native));
  }
  std::vector<StoredAs> &list = facts.classes[className(spec.role)];
  auto same = llvm::find_if(list, [&](const StoredAs &each) {
    return each.format == stored.format && each.kept == stored.kept;
  });
  if (same == list.end())
    return list.push_back(stored);
  same->tensors += 1;
  same->parameters += stored.parameters;
  same->bytes += stored.bytes;
}

CheckpointFacts factsOf(const ImportedModel &model) {
  CheckpointFacts facts;
  facts.preset = presetOf(model.config);
  facts.container = containerOf(model);
  facts.parameters = countTextParameters(model.config);
  for (const TensorSpec &spec : expectedTextTensors(model.config))
    count(model, spec, facts);
  for (const auto &[name, list] : facts.classes)
    for (const StoredAs &stored : list)
      facts.textBytes += stored.bytes;
  facts.qat = qatOf(model, facts);
  facts.modalities.push_back("text");
  if (!model.tensors)
    return facts;
  bool vision = false, audio = false;
  for (const TensorInfo *tensor : model.tensors->towers) {
    facts.towerBytes += int64_t(tensor->bytes);
    (llvm::StringRef(tensor->name).contains("audio") ? audio : vision) = true;
  }
  for (const TensorInfo *tensor : model.tensors->ignored)
    facts.unusedBytes += int64_t(tensor->bytes);
  if (vision)
    facts.modalities.push_back("vision");
  if (audio)
    facts.modalities.push_back("audio");
  return facts;
}

llvm::json::Object factsJson(const ImportedModel &model, const CheckpointFacts &facts) {
  const ModelConfig &config = model.config;
  auto textOrNull = [](const std::string &text) {
    return text.empty() ? llvm::json::Value(nullptr) : llvm::json::Value(text);
  };
  llvm::json::Object classes;
  for (const auto &[name, list] : facts.classes) {
    llvm::json::Array forms;
    for (const StoredAs &stored : list)
      forms.push_back(llvm::json::Object{{"format", textOrNull(stored.format)},
                                         {"kept_as", textOrNull(stored.kept)},
                                         {"tensors", stored.tensors},
                                         {"parameters", stored.parameters},
                                         {"bytes", stored.bytes}});
    classes[name] = std::move(forms);
  }
  llvm::json::Array notes(model.notes), files;
  if (model.checkpoint)
    for (const std::string &file : model.checkpoint->files())
      files.push_back(llvm::json::fixUTF8(file));
  for (llvm::json::Value &note : notes)
    note = llvm::json::fixUTF8(*note.getAsString());
  return llvm::json::Object{
      {"kind", "checkpoint"},
      {"model", model.name},
      {"preset", textOrNull(facts.preset)},
      {"container", textOrNull(facts.container)},
      {"files", std::move(files)},
      {"architecture", config.architecture},
      {"parameters", facts.parameters},
      {"text_bytes", facts.textBytes},
      {"tower_bytes", facts.towerBytes},
      {"unused_bytes", facts.unusedBytes},
      {"layers", config.layerCount()},
      {"hidden", config.hidden},
      {"vocabulary", config.vocabulary},
      {"window", config.window},
      {"max_positions", config.maxPositions},
      {"experts", config.moe.experts},
      {"modalities", llvm::json::Array(facts.modalities)},
      {"qat", textOrNull(facts.qat)},
      {"has_weights", model.checkpoint != nullptr},
      {"has_tokenizer", model.tokenizer.has_value()},
      {"tokens", model.tokenizer ? llvm::json::Value(int64_t(model.tokenizer->pieces.size()))
                                 : llvm::json::Value(nullptr)},
      {"chat_template", model.turns.present          ? "recognised"
                        : model.chatTemplate.empty() ? "absent"
                                                     : "not recognised"},
      {"classes", std::move(classes)},
      {"notes", std::move(notes)}};
}

void printFacts(llvm::raw_ostream &out, const ImportedModel &model, const CheckpointFacts &facts) {
  const ModelConfig &config = model.config;
  out << model.name << ": " << config.architecture << ", "
      << (facts.preset.empty() ? "of no published size" : "the size of " + facts.preset) << ", "
      << facts.parameters << " text parameters\n";
  out << "  " << config.layerCount() << " layers, hidden " << config.hidden << ", " << config.heads
      << " heads, vocabulary " << config.vocabulary << ", window " << config.window << ", up to "
      << config.maxPositions << " positions\n";
  if (config.isMoe())
    out << "  " << config.moe.experts << " experts a layer, " << config.moe.topK << " at work\n";
  if (model.checkpoint) {
    size_t files = model.checkpoint->files().size();
    out << "  " << facts.container << ", " << files << (files == 1 ? " file" : " files")
        << ": text " << humanBytes(facts.textBytes);
    if (facts.towerBytes)
      out << ", towers " << humanBytes(facts.towerBytes);
    if (facts.unusedBytes)
      out << ", unused " << humanBytes(facts.unusedBytes);
    out << "\n";
  } else {
    out << "  shapes alone, no weights\n";
  }
  out << "  modalities " << llvm::join(facts.modalities, ", ") << "; tokenizer ";
  if (model.tokenizer)
    out << "of " << model.tokenizer->pieces.size() << " tokens";
  else
    out << "absent";
  out << "; chat template "
      << (model.turns.present          ? "recognised"
          : model.chatTemplate.empty() ? "absent"
                                       : "not recognised")
      << "\n";
  if (!facts.qat.empty())
    out << "  " << facts.qat << "\n";
  out << llvm::format("\n  %-27s %-18s %-10s %7s %14s %11s\n", "class", "stored as", "kept as",
                      "tensors", "parameters", "bytes");
  for (const auto &[name, list] : facts.classes)
    for (const StoredAs &stored : list)
      out << llvm::format("  %-27s %-18s %-10s %7lld %14lld %11s\n", name.c_str(),
                          stored.format.empty() ? "-" : stored.format.c_str(),
                          stored.kept.empty() ? "-" : stored.kept.c_str(),
                          (long long)stored.tensors, (long long)stored.parameters,
                          stored.bytes ? humanBytes(stored.bytes).c_str() : "-");
}

} // namespace gcompile
