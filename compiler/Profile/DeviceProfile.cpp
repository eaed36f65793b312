#include "compiler/Profile/DeviceProfile.h"

#include "compiler/Profile/MeasuredRates.h"
#include "compiler/Profile/NearestName.h"

#include "passes/Cost/PublishedRuntimes.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"

#include <algorithm>
#include <set>

namespace gcompile {
const Fact *DeviceProfile::find(llvm::StringRef fact) const {
  for (const Fact &candidate : facts)
    if (candidate.name == fact)
      return &candidate;
  return nullptr;
}

double DeviceProfile::value(llvm::StringRef fact, double otherwise) const {
  const Fact *found = find(fact);
  return found ? found->value : otherwise;
}

bool DeviceProfile::hasFeature(llvm::StringRef feature) const {
  for (const DeviceFeature &candidate : features)
    if (candidate.name == feature)
      return true;
  return false;
}

std::vector<std::string> profileFolders(llvm::StringRef programPath) {
  std::vector<std::string> folders;
  if (const char *named = getenv("GCOMPILE_PROFILES"); named && *named)
    folders.push_back(named);
  if (!programPath.empty()) {
    llvm::SmallString<256> path(llvm::sys::path::parent_path(programPath));
    llvm::sys::path::append(path, "..", "share", "gcompile", "profiles");
    folders.push_back(std::string(path));
  }
  folders.push_back(GCOMPILE_SOURCE_PROFILES);
  return folders;
}

std::vector<std::string> profileNames(llvm::ArrayRef<std::string> folders) {
  std::set<std::string> names;
  for (const std::string &folder : folders) {
    std::error_code error;
    for (llvm::sys::fs::directory_iterator entry(folder, error), end; entry != end && !error;
         entry.increment(error))
      if (llvm::sys::path::extension(entry->path()) == ".textproto")
        names.insert(llvm::sys::path::stem(entry->path()).str());
  }
  std::vector<std::string> sorted = {"host"};
  sorted.insert(sorted.end(), names.begin(), names.end());
  return sorted;
}

bool isProfileFile(llvm::StringRef target) { return target.ends_with(".textproto"); }

// A named file may be anything: only regular files of a sensible size are opened.
static llvm::Expected<DeviceProfile> loadFile(llvm::StringRef path) {
  auto fail = [&](const llvm::Twine &what) {
    return llvm::createStringError("profile '" + path + "' " + what);
  };
  llvm::sys::fs::file_status status;
  if (std::error_code error = llvm::sys::fs::status(path, status))
    return fail("cannot be read: " + error.message());
  if (!llvm::sys::fs::is_regular_file(status))
    return fail("is no regular file");
  if (status.getSize() > 1 << 20)
    return fail("is larger than 1 MiB");
  auto buffer = llvm::MemoryBuffer::getFile(path, /*IsText=*/true);
  if (!buffer)
    return fail("cannot be read: " + buffer.getError().message());
  return parseProfile((*buffer)->getBuffer(), path);
}

llvm::Expected<DeviceProfile> loadProfile(llvm::StringRef name,
                                          llvm::ArrayRef<std::string> folders) {
  if (name == "host")
    return detectHost();
  if (isProfileFile(name))
    return loadFile(name);
  std::vector<std::string> known = profileNames(folders);
  if (llvm::is_contained(known, name))
    for (const std::string &folder : folders) {
      llvm::SmallString<256> path(folder);
      llvm::sys::path::append(path, name + ".textproto");
      if (!llvm::sys::fs::exists(path))
        continue;
      llvm::Expected<DeviceProfile> profile = loadFile(path);
      if (profile && profile->name != name)
        return llvm::createStringError("profile '" + path.str() + "' calls itself '" +
                                       profile->name + "', expected '" + name + "'");
      return profile;
    }
  return llvm::createStringError("unknown target '" + name + "'" + didYouMean(name, known) +
                                 " ('gcompile targets' lists all " + llvm::Twine(known.size()) +
                                 "; PATH.textproto names a file)");
}

MachineModel machineModel(const DeviceProfile &profile) {
  MachineModel machine;
  machine.readBytesPerSecond = profile.value("read_bytes_per_second", 0);
  // Nobody measured what the memory gives: the share of its peak that others get, widened below.
  if (machine.readBytesPerSecond <= 0)
    machine.readBytesPerSecond =
        profile.value("peak_read_bytes_per_second", 0) *
        findPublishedRuntime(profile.architecture == "nvptx64" ? "llama-cuda" : "llama-cpu")
            ->fit.efficiency;
  machine.integerOpsPerSecond = profile.value("integer_operations_per_second", 0);
  machine.floatOpsPerSecond = profile.value("float_operations_per_second", 0);
  machine.hasDotProduct = profile.hasFeature("dotprod") || profile.hasFeature("avx512_vnni") ||
                          profile.hasFeature("avx_vnni") || profile.hasFeature("mma_int8");
  if (profile.architecture == "nvptx64") {
    machine.barrierSeconds = findPublishedRuntime("llama-cuda")->fit.secondsPerStep;
  } else {
    // About two vector instructions a cycle and core.
    double clock = profile.value("clock_hertz", 0), threads = profile.value("threads", 0);
    machine.instructionsPerSecond = 2 * clock * threads;
  }
  machine.storageRowSeconds = 2 * profile.value("storage_random_read_seconds", 100e-6);
  machine.storageBytesPerSecond = profile.value("storage_read_bytes_per_second", 0);
  machine.sustainedCompute = profile.value("sustained_compute", 1);
  machine.threads = std::max(1.0, profile.value("threads", 1));
  machine.uncertainty = uncertaintyOf(profile);
  applyCalibration(profile.calibrationText.empty() ? profile.text : profile.calibrationText,
                   machine);
  return machine;
}

} // namespace gcompile
