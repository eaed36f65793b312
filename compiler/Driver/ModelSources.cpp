#include "compiler/Driver/ModelSources.h"

#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

#include <algorithm>
#include <cmath>

namespace gcompile {

static std::vector<std::string> foldersIn(llvm::StringRef folder) {
  std::vector<std::string> found;
  std::error_code error;
  for (llvm::sys::fs::directory_iterator entry(folder, error), end; entry != end && !error;
       entry.increment(error))
    if (llvm::sys::fs::is_directory(entry->path()))
      found.push_back(entry->path());
  std::sort(found.begin(), found.end());
  return found;
}

static bool isCheckpoint(llvm::StringRef folder) {
  auto has = [&](llvm::StringRef name) {
    llvm::SmallString<256> path(folder);
    llvm::sys::path::append(path, name);
    return llvm::sys::fs::exists(path);
  };
  return has("config.json") && (has("model.safetensors") || has("model.safetensors.index.json"));
}

std::vector<std::string> findCheckpoints() {
  std::vector<std::string> found;
  if (const char *named = getenv("GCOMPILE_MODELS"); named && *named) {
    if (isCheckpoint(named))
      found.push_back(named);
    for (const std::string &folder : foldersIn(named))
      if (isCheckpoint(folder))
        found.push_back(folder);
    return found;
  }
  llvm::SmallString<256> hub;
  if (const char *home = getenv("HF_HOME"); home && *home)
    hub = home;
  else if (const char *user = getenv("HOME"); user && *user) {
    hub = user;
    llvm::sys::path::append(hub, ".cache", "huggingface");
  }
  llvm::sys::path::append(hub, "hub");
  for (const std::string &repository : foldersIn(hub)) {
    if (!llvm::sys::path::filename(repository).starts_with("models--google--gemma-4"))
      continue;
    llvm::SmallString<256> snapshots(repository);
    llvm::sys::path::append(snapshots, "snapshots");
    for (const std::string &snapshot : foldersIn(snapshots))
      if (isCheckpoint(snapshot))
        found.push_back(snapshot);
  }
  return found;
}

double unpublishedQuality(const ModelShape &model, double kl) {
  // Tables give less than weights that are multiplied; experts count as the geometric mean of all
  // and active.
  double weights = 0;
  for (const TensorShape &tensor : model.tensors) {
    double count = double(tensor.n) * double(tensor.k);
    weights +=
        tensor.role == "per_layer_table" ? 0.1 * count : count * std::sqrt(tensor.readFraction);
  }
  // A nat of divergence undoes more than a doubling of the model: 2-bit plans of large models lose
  // to 4-bit plans of small ones.
  return std::log(std::max(weights, 1.0) / 1e9) - 2 * kl;
}

} // namespace gcompile
