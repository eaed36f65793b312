#include "compiler/Import/ImportModel.h"

#include "compiler/Import/Coded/OpenQuantized.h"
#include "compiler/Import/ExpertStacks.h"
#include "compiler/Import/Gguf/GgufModel.h"
#include "compiler/Import/HostileJson.h"
#include "compiler/Import/InputFile.h"
#include "compiler/Import/LiteRt/Litertlm.h"

#include "llvm/ADT/SmallString.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

#include <cstring>

using llvm::Error;
using llvm::Expected;
using llvm::StringRef;

namespace gcompile {

namespace {

constexpr uint64_t smallFile = uint64_t{1} << 24;
constexpr uint64_t tokenizerFile = uint64_t{1} << 28;

// The text of a file in `folder`; nothing when there is none.
Expected<std::optional<std::string>> readOptional(StringRef folder, StringRef name,
                                                  uint64_t limit) {
  llvm::SmallString<256> path(folder);
  llvm::sys::path::append(path, name);
  if (!llvm::sys::fs::exists(path))
    return std::nullopt;
  Expected<std::string> text = readTextFile(path, name, limit);
  if (!text)
    return text.takeError();
  return std::optional<std::string>(std::move(*text));
}

// Letters, digits and "._-" only, at most 63 of them.
std::string plainName(StringRef text) {
  std::string name;
  for (char character : text.take_front(63))
    name += llvm::isAlnum(character) || StringRef("._-").contains(character) ? character : '_';
  return name.empty() ? "model" : name;
}

// A name for manifests: of the folder, or of the repository when the folder is a snapshot in the
// Hugging Face cache (…/models--google--gemma-4-E2B-it/snapshots/HASH).
std::string nameOf(StringRef folder) {
  llvm::SmallString<256> real;
  if (llvm::sys::fs::real_path(folder, real))
    real = folder;
  StringRef chosen = llvm::sys::path::filename(real);
  for (auto part = llvm::sys::path::begin(real), end = llvm::sys::path::end(real); part != end;
       ++part)
    if (part->starts_with("models--"))
      chosen = part->substr(part->rfind("--") + 2);
  return plainName(chosen);
}

Error readTokenizer(StringRef folder, ImportedModel &model) {
  auto text = readOptional(folder, "tokenizer.json", tokenizerFile);
  if (!text)
    return text.takeError();
  if (!*text) {
    model.notes.push_back(
        "the checkpoint has no tokenizer.json; the artifact will take token ids only");
    return Error::success();
  }
  Expected<TokenizerData> tokenizer = parseTokenizerJson(**text, model.config.vocabulary);
  if (!tokenizer)
    return tokenizer.takeError();
  model.tokenizer = std::move(*tokenizer);
  return Error::success();
}

// Reduces the template that was found, if any, and says what is missing.
void useChatTemplate(ImportedModel &model) {
  if (model.chatTemplate.empty()) {
    model.notes.push_back("the checkpoint has no chat template; --chat will not be available");
    return;
  }
  ChatTemplate reduced = reduceChatTemplate(model.chatTemplate);
  model.turns = reduced.form;
  if (!reduced.note.empty())
    model.notes.push_back(reduced.note);
}

Error readChatTemplate(StringRef folder, ImportedModel &model) {
  auto own = readOptional(folder, "chat_template.jinja", smallFile);
  if (!own)
    return own.takeError();
  if (*own) {
    model.chatTemplate = std::move(**own);
  } else {
    // Older saves keep it inside one of these, under the same key.
    for (StringRef name : {"tokenizer_config.json", "chat_template.json"}) {
      auto text = readOptional(folder, name, smallFile);
      if (!text)
        return text.takeError();
      if (!*text || !model.chatTemplate.empty())
        continue;
      Expected<std::string> inner = chatTemplateOfTokenizerConfig(**text);
      if (!inner)
        return inner.takeError();
      model.chatTemplate = std::move(*inner);
    }
  }
  useChatTemplate(model);
  return Error::success();
}

Error resolve(ImportedModel &model) {
  Expected<TextTensors> tensors = resolveTextTensors(*model.checkpoint, model.config);
  if (!tensors)
    return tensors.takeError();
  llvm::append_range(model.notes, tensors->notes);
  model.tensors = std::move(*tensors);
  model.config.tiedEmbedding = true; // resolved: a head that differs is refused
  return Error::success();
}

Expected<ImportedModel> importFolder(StringRef folder, StringRef weights,
                                     const ImportOptions &options) {
  ImportedModel model;
  auto configText = readOptional(folder, "config.json", smallFile);
  if (!configText)
    return configText.takeError();
  if (!*configText)
    return importError("there is no config.json in " + inQuotes(folder) +
                       "; give the folder of a Gemma 4 checkpoint");
  auto generationText = readOptional(folder, "generation_config.json", smallFile);
  if (!generationText)
    return generationText.takeError();
  Expected<ModelConfig> config =
      parseModelConfig(**configText, *generationText ? StringRef(**generationText) : StringRef());
  if (!config)
    return config.takeError();
  model.config = std::move(*config);
  model.name = model.config.name = nameOf(folder);
  if (Error error = readTokenizer(folder, model))
    return std::move(error);
  if (Error error = readChatTemplate(folder, model))
    return std::move(error);
  if (options.syntheticSeed) {
    model.checkpoint = makeSyntheticCheckpoint(model.config, *options.syntheticSeed);
  } else {
    Expected<std::unique_ptr<Checkpoint>> checkpoint = openSafetensors(weights);
    std::vector<TensorSpec> expected = expectedTextTensors(model.config);
    QuantizedSource source{nullptr, **configText, nullptr, "", expected};
    std::optional<std::string> settings;
    for (const QuantSettingsFile &file : quantSettingsFiles) {
      if (!checkpoint || !model.config.quantMethod.empty())
        break;
      auto text = readOptional(folder, file.name, smallFile);
      if (!text)
        return text.takeError();
      if (!*text)
        continue;
      Expected<std::string> method = quantMethodOf(file, **text);
      if (!method)
        return method.takeError();
      model.config.quantMethod = std::move(*method);
      settings = std::move(*text);
      source.settings = &file;
      source.settingsText = *settings;
    }
    if (checkpoint && !model.config.quantMethod.empty()) {
      source.raw = std::move(*checkpoint);
      checkpoint = openQuantized(std::move(source));
    }
    if (checkpoint && model.config.isMoe())
      checkpoint = joinExperts(std::move(*checkpoint), expected);
    if (!checkpoint)
      return checkpoint.takeError();
    model.checkpoint = std::move(*checkpoint);
    model.container = Container::Safetensors;
  }
  if (Error error = resolve(model))
    return std::move(error);
  return model;
}

Expected<ImportedModel> importGguf(StringRef path, const ImportOptions &options) {
  Expected<GgufFile> file = openGguf(path);
  if (!file)
    return file.takeError();
  std::string what = inQuotes(llvm::sys::path::filename(path));
  llvm::StringSet<> names;
  for (const std::string &name : file->names)
    names.insert(name);
  GgufFacts facts;
  facts.vocabulary = file->vocabulary;
  facts.perLayerVocabulary = file->perLayerVocabulary;
  facts.ropeFrequencies = file->ropeFrequencies;
  auto has = [&](StringRef name) { return names.contains(name); };
  facts.has = has;
  Expected<ModelConfig> config = ggufModelConfig(file->header, facts, what);
  if (!config)
    return config.takeError();
  ImportedModel model;
  model.config = std::move(*config);
  model.name = model.config.name = plainName(ggufStem(path));
  Expected<std::optional<TokenizerData>> tokenizer =
      ggufTokenizer(file->header, model.config.vocabulary, what);
  if (!tokenizer)
    return tokenizer.takeError();
  model.tokenizer = std::move(*tokenizer);
  if (!model.tokenizer)
    model.notes.push_back("the file has no vocabulary; the artifact will take token ids only");
  model.chatTemplate = file->header.text("tokenizer.chat_template").str();
  useChatTemplate(model);
  if (options.syntheticSeed) {
    model.checkpoint = makeSyntheticCheckpoint(model.config, *options.syntheticSeed);
  } else {
    model.checkpoint = std::move(file->checkpoint);
    model.container = Container::Gguf;
  }
  if (Error error = resolve(model))
    return std::move(error);
  return model;
}

// By the first bytes, never by the name. None: neither.
Expected<Container> containerOf(StringRef path) {
  Expected<InputFile> file = InputFile::open(path, llvm::sys::path::filename(path));
  if (!file)
    return file.takeError();
  uint8_t first[9] = {}; // GGUF's magic; or the length of a JSON header and its first character
  uint64_t size = std::min<uint64_t>(file->size(), sizeof first), headerBytes = 0;
  if (Error error = file->read(0, {first, size}))
    return std::move(error);
  if (isGguf({reinterpret_cast<const char *>(first), size}))
    return Container::Gguf;
  std::memcpy(&headerBytes, first, sizeof headerBytes);
  bool json = size == sizeof first && (first[8] == '{' || first[8] == ' ');
  return json && headerBytes <= file->size() - 8 ? Container::Safetensors : Container::None;
}

Expected<ImportedModel> importPreset(StringRef name, const ImportOptions &options) {
  Expected<ModelConfig> config = loadPreset(name);
  if (!config)
    return config.takeError();
  ImportedModel model;
  model.config = std::move(*config);
  model.name = model.config.name;
  if (options.syntheticSeed) {
    model.checkpoint = makeSyntheticCheckpoint(model.config, *options.syntheticSeed);
    if (Error error = resolve(model))
      return std::move(error);
  }
  return model;
}

} // namespace

std::map<std::string, ActivationScales> statedActivationScales(const ImportedModel &model) {
  std::map<std::string, ActivationScales> stated;
  if (!model.checkpoint || !model.tensors)
    return stated;
  auto add = [&](const std::string &name, const TensorInfo *tensor) {
    StaticScales scales = tensor ? model.checkpoint->activationScales(*tensor) : StaticScales();
    if (scales.input || scales.output)
      stated[name] = {scales.input.value_or(0), scales.output.value_or(0)};
  };
  // Linear layers of one matrix; the head that repeats the embedding has scales of its own.
  for (const TensorSpec &spec : expectedTextTensors(model.config))
    if (spec.role == TensorRole::Embedding)
      add(spec.name, model.checkpoint->find("lm_head.weight"));
    else if (isMatrixRole(spec.role) && spec.role != TensorRole::PerLayerTable &&
             spec.shape.size() == 2)
      add(spec.name, model.tensors->find(spec.role, spec.layer));
  return stated;
}

std::map<int64_t, CacheScaleChoice> statedCacheScales(const ImportedModel &model) {
  std::map<int64_t, CacheScaleChoice> stated;
  if (!model.checkpoint)
    return stated;
  for (int64_t i = 0; i < model.config.layerCount(); ++i) {
    const LayerConfig &layer = model.config.layers[i];
    StatedCacheScales found = model.checkpoint->cacheScales(i);
    if (!layer.ownsKv)
      continue;
    if (layer.derivesKeys())
      found.scales.key = 0; // keys are formed from rounded values (docs/decisions/0007)
    bool isInt4 = found.codes == CacheCodes::MobileQat && layer.type == LayerType::Full;
    float eight = isInt4 ? 1.0f / 16 : 1, four = 16 * eight;
    if (found.scales)
      stated[i] = {{found.scales.key * eight, found.scales.value * eight},
                   {found.scales.key * four, found.scales.value * four}};
  }
  return stated;
}

StringRef name(Container container) {
  switch (container) {
  case Container::None:
    return "";
  case Container::Safetensors:
    return "safetensors";
  case Container::Gguf:
    return "GGUF";
  }
  return "";
}

bool isCheckpointFile(StringRef path) {
  if (isLitertlmFile(path))
    return true;
  Expected<Container> container = containerOf(path);
  if (container)
    return *container != Container::None;
  llvm::consumeError(container.takeError());
  return false;
}

Expected<ImportedModel> importModel(StringRef source, const ImportOptions &options) {
  llvm::sys::fs::file_status status;
  bool exists = !llvm::sys::fs::status(source, status) && llvm::sys::fs::exists(status);
  if (!exists && isPresetName(source))
    return importPreset(source, options);
  if (!exists)
    return importError(inQuotes(source) +
                       " is neither a file or folder nor a preset; presets are " +
                       llvm::join(presetNames(), ", "));
  if (llvm::sys::fs::is_directory(status))
    return importFolder(source, source, options);
  if (isLitertlmFile(source))
    return importError(
        inQuotes(source) +
        " is a LiteRT-LM file, of which no model can be made: it states no sizes "
        "of the model, and which constants of its graphs are norms and scalars is not public; "
        "gcompile inspect shows what it holds, and the mobile QAT checkpoint of the model "
        "(\"…-qat-mobile-transformers\") has the same weights");
  Expected<Container> container = containerOf(source);
  if (!container)
    return container.takeError();
  if (*container == Container::Gguf)
    return importGguf(source, options);
  if (*container == Container::None && !source.ends_with(".safetensors"))
    return importError(inQuotes(source) + " is not a folder, a GGUF file or a safetensors file, "
                                          "which is what can be imported");
  StringRef folder = llvm::sys::path::parent_path(source);
  return importFolder(folder.empty() ? "." : folder, source, options);
}

} // namespace gcompile
