// Published sizes as data files (presets/NAME.json: a config.json with generation_config inside).
#include "compiler/Import/HostileJson.h"
#include "compiler/Import/InputFile.h"
#include "compiler/Import/ModelConfig.h"

#include "llvm/ADT/SmallString.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

#include <cstdlib>
#include <optional>

using llvm::Expected;
using llvm::StringRef;

namespace gcompile {

namespace {

constexpr StringRef names[] = {"gemma-4-E2B", "gemma-4-E4B", "gemma-4-12B", "gemma-4-26B-A4B",
                               "gemma-4-31B"};

// "google/gemma-4-E2B-it", "E2B" -> "gemma-4-E2B".
std::optional<StringRef> publishedName(StringRef name) {
  std::string lower = name.lower();
  StringRef core = lower;
  core.consume_front("google/");
  core.consume_front("gemma-4-");
  core.consume_back("-it");
  for (StringRef published : names)
    if (published.drop_front(StringRef("gemma-4-").size()).equals_insensitive(core))
      return published;
  return std::nullopt;
}

// An address inside this library or program, for finding the executable.
int anchor;

// $GCOMPILE_PRESETS alone when it is set; else beside the installed program, else the source tree
// it was built from.
Expected<std::string> findFile(StringRef fileName) {
  std::vector<std::string> folders;
  if (const char *chosen = std::getenv("GCOMPILE_PRESETS")) {
    folders.emplace_back(chosen);
  } else {
    std::string program = llvm::sys::fs::getMainExecutable(nullptr, &anchor);
    llvm::SmallString<256> installed(llvm::sys::path::parent_path(program));
    llvm::sys::path::append(installed, "..", "share", "gcompile", "presets");
    folders.push_back(installed.str().str());
    folders.emplace_back(GC_SOURCE_PRESETS);
  }
  for (const std::string &folder : folders) {
    llvm::SmallString<256> path(folder);
    llvm::sys::path::append(path, fileName);
    if (llvm::sys::fs::exists(path))
      return path.str().str();
  }
  return importError("preset file " + inQuotes(fileName) + " is in none of " +
                     llvm::join(folders, ", ") + "; set GCOMPILE_PRESETS to its folder");
}

} // namespace

std::vector<std::string> presetNames() {
  std::vector<std::string> result;
  for (StringRef name : names)
    result.push_back(name.str());
  return result;
}

bool isPresetName(StringRef name) { return publishedName(name).has_value(); }

std::optional<std::string> publishedPreset(StringRef name) {
  std::optional<StringRef> published = publishedName(name);
  return published ? std::optional(published->str()) : std::nullopt;
}

Expected<std::string> readPresetFile(StringRef fileName) {
  Expected<std::string> path = findFile(fileName);
  if (!path)
    return path.takeError();
  return readTextFile(*path, fileName, uint64_t{1} << 20);
}

Expected<ModelConfig> loadPreset(StringRef name) {
  std::optional<StringRef> published = publishedName(name);
  if (!published)
    return importError("there is no preset " + inQuotes(name) + "; presets are " +
                       llvm::join(presetNames(), ", "));
  std::string fileName = published->str() + ".json";
  Expected<std::string> text = readPresetFile(fileName);
  if (!text)
    return text.takeError();
  Expected<llvm::json::Value> value = parseHostileJson(*text, fileName);
  if (!value)
    return value.takeError();
  std::string generation;
  if (const llvm::json::Object *object = value->getAsObject())
    if (const llvm::json::Value *inner = object->get("generation_config"))
      llvm::raw_string_ostream(generation) << *inner;
  Expected<ModelConfig> config = parseModelConfig(*text, generation);
  if (!config)
    return importError("preset " + *published + ": " + llvm::toString(config.takeError()));
  config->name = published->str();
  return config;
}

} // namespace gcompile
