// This machine as a profile: what the kernel and the processor say, plus a short read-bandwidth
// measurement for predictions.
#include "compiler/Profile/CalibrationCache.h"
#include "compiler/Profile/HostRead.h"

#include "compiler/Profile/device_profile.pb.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/TargetParser/Host.h"

#include <algorithm>
#include <ctime>
#include <google/protobuf/text_format.h>
#include <sched.h>
#include <thread>

namespace gcompile {

// Files of /proc and /sys have no size: read as a stream.
static std::string fileText(const llvm::Twine &path) {
  auto buffer = llvm::MemoryBuffer::getFileAsStream(path);
  return buffer ? (*buffer)->getBuffer().str() : "";
}

static std::optional<int64_t> numberIn(llvm::StringRef text) {
  int64_t value = 0;
  text = text.trim();
  if (text.consumeInteger(10, value) || value <= 0)
    return std::nullopt;
  return value;
}

static int64_t totalMemory() {
  llvm::StringRef text;
  std::string holder = fileText("/proc/meminfo");
  text = holder;
  size_t at = text.find("MemTotal:");
  if (at == llvm::StringRef::npos)
    return 0;
  return numberIn(text.drop_front(at + 9)).value_or(0) * 1024;
}

// The tightest limit of the control groups that hold this process, version 1 or 2, from its own
// group to the root.
static int64_t controlGroupLimit() {
  int64_t limit = INT64_MAX;
  std::string holder = fileText("/proc/self/cgroup");
  llvm::SmallVector<llvm::StringRef> lines;
  llvm::StringRef(holder).split(lines, '\n', -1, /*KeepEmpty=*/false);
  for (llvm::StringRef line : lines) {
    auto [id, rest] = line.split(':');
    auto [controllers, group] = rest.split(':');
    bool unified = controllers.empty();
    llvm::SmallVector<llvm::StringRef> names;
    controllers.split(names, ',');
    if (!unified && !llvm::is_contained(names, "memory"))
      continue;
    std::string root = unified ? "/sys/fs/cgroup" : "/sys/fs/cgroup/memory";
    std::string path = group.rtrim('/').str();
    while (true) {
      std::string file = root + path + (unified ? "/memory.max" : "/memory.limit_in_bytes");
      if (std::optional<int64_t> value = numberIn(fileText(file)))
        limit = std::min(limit, *value);
      if (path.empty())
        break;
      path = path.substr(0, path.rfind('/'));
    }
  }
  return limit;
}

static int64_t usableCores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) == 0 && CPU_COUNT(&set) > 0)
    return CPU_COUNT(&set);
  return std::max(1u, std::thread::hardware_concurrency());
}

static int64_t lastLevelCache() {
  int64_t largest = 0;
  for (int index = 0; index < 6; ++index) {
    std::string folder =
        "/sys/devices/system/cpu/cpu0/cache/index" + std::to_string(index) + "/size";
    std::string holder = fileText(folder);
    llvm::StringRef text = llvm::StringRef(holder).trim();
    int64_t unit = text.consume_back("K") ? 1024 : text.consume_back("M") ? 1024 * 1024 : 1;
    largest = std::max(largest, numberIn(text).value_or(0) * unit);
  }
  return largest;
}

std::string hostProcessorName() {
  std::string holder = fileText("/proc/cpuinfo");
  llvm::SmallVector<llvm::StringRef> lines;
  llvm::StringRef(holder).split(lines, '\n');
  for (llvm::StringRef line : lines) {
    auto [key, value] = line.split(':');
    if (key.trim() == "model name")
      return value.trim().str();
  }
  return llvm::sys::getHostCPUName().str();
}

// Clock of one core. It varies from moment to moment, so it serves predictions only.
static double clockHertz() {
  if (std::optional<int64_t> kilohertz =
          numberIn(fileText("/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq")))
    return double(*kilohertz) * 1e3;
  std::string holder = fileText("/proc/cpuinfo");
  size_t at = llvm::StringRef(holder).find("cpu MHz");
  if (at != llvm::StringRef::npos) {
    llvm::StringRef value =
        llvm::StringRef(holder).drop_front(at).split('\n').first.split(':').second;
    double megahertz = 0;
    if (!value.trim().getAsDouble(megahertz) && megahertz > 100)
      return megahertz * 1e6;
  }
  return 2.5e9;
}

static std::vector<std::string> features() {
#if defined(__x86_64__)
  const std::pair<const char *, const char *> wanted[] = {{"avx2", "avx2"},
                                                          {"fma", "fma"},
                                                          {"f16c", "f16c"},
                                                          {"avx512f", "avx512f"},
                                                          {"avx512bw", "avx512bw"},
                                                          {"avx512vl", "avx512vl"},
                                                          {"avx512vnni", "avx512_vnni"},
                                                          {"avxvnni", "avx_vnni"},
                                                          {"amx-int8", "amx_int8"},
                                                          {"amx-bf16", "amx_bf16"}};
#else
  const std::pair<const char *, const char *> wanted[] = {
      {"neon", "neon"}, {"dotprod", "dotprod"}, {"i8mm", "i8mm"}, {"sve", "sve"}, {"sve2", "sve2"}};
#endif
  llvm::StringMap<bool> host = llvm::sys::getHostCPUFeatures();
  std::vector<std::string> found;
  for (auto [llvmName, ownName] : wanted)
    if (host.lookup(llvmName))
      found.push_back(ownName);
  return found;
}

DeviceProfile detectHost() {
  profile::DeviceProfile message;
  message.set_name("host");
  message.set_title("this machine: " + hostProcessorName());
#if defined(__x86_64__)
  message.set_architecture("x86-64");
#else
  message.set_architecture("aarch64");
#endif
  for (const std::string &name : features()) {
    profile::Feature &feature = *message.add_features();
    feature.set_name(name);
    feature.set_source("the processor");
    feature.set_confidence(profile::VERIFIED);
  }
  auto set = [](profile::Figure *figure, double value, const char *unit, const char *source,
                profile::Confidence confidence) {
    figure->set_value(value);
    figure->set_unit(unit);
    figure->set_source(source);
    figure->set_confidence(confidence);
  };
  int64_t memory = totalMemory(), limit = controlGroupLimit();
  if (memory > 0) {
    set(message.mutable_memory_bytes(), double(memory), "byte", "/proc/meminfo", profile::VERIFIED);
    double share = double(memory) / 10 * 8;
    bool limited = double(limit) < share;
    set(message.mutable_process_budget_bytes(), double(int64_t(limited ? double(limit) : share)),
        "byte", limited ? "limit of the control group" : "80 % of the memory",
        limited ? profile::VERIFIED : profile::HEURISTIC);
  }
  if (int64_t cache = lastLevelCache())
    set(message.mutable_last_level_cache_bytes(), double(cache), "byte",
        "/sys/devices/system/cpu/cpu0/cache", profile::VERIFIED);
  int64_t cores = usableCores();
  set(message.mutable_cores(), double(cores), "count", "processors this process may use",
      profile::VERIFIED);
  set(message.mutable_threads(), double(cores), "count", "one a processor", profile::HEURISTIC);

  std::string text;
  google::protobuf::TextFormat::PrintToString(message, &text);
  llvm::Expected<DeviceProfile> parsed = parseProfile(text, "host", ProfileOrigin::Detected);
  return llvm::cantFail(std::move(parsed)); // we wrote it
}

// The figures that a saved calibration has, as facts.
static void addCalibrated(DeviceProfile &host) {
  llvm::Expected<DeviceProfile> calibrated = parseProfile(host.calibrationText, "calibration");
  if (!calibrated) {
    llvm::consumeError(calibrated.takeError());
    return;
  }
  for (const char *name :
       {"read_bytes_per_second", "storage_read_bytes_per_second", "storage_random_read_seconds"})
    if (const Fact *fact = calibrated->find(name))
      host.facts.push_back(*fact);
}

void measureHost(DeviceProfile &host, bool remeasure) {
  host.calibrationText = savedCalibration(hostProcessorName(), int64_t(host.value("cores", 0)));
  if (!host.calibrationText.empty())
    addCalibrated(host);
  int64_t threads = std::clamp<int64_t>(int64_t(host.value("threads", 1)), 1, 64);
  int64_t room = int64_t(host.value("process_budget_bytes", 1e9)) / 8;
  int64_t bytesPerThread = std::min<int64_t>(64 << 20, room / threads);
  double clock = clockHertz();
  auto add = [&](const char *name, double value, const char *unit, const char *source,
                 const char *confidence) {
    host.facts.push_back({name, value, unit, source, "now", confidence});
  };
  if (bytesPerThread >= (1 << 20) && !host.find("read_bytes_per_second")) {
    HostRead read = hostRead({hostProcessorName(), totalMemory(), threads, bytesPerThread},
                             std::time(nullptr), remeasure);
    add("read_bytes_per_second", read.bytesPerSecond, "byte/s",
        "plain read of 64 MiB a thread, best of six", "measured");
    host.facts.back().date = dateAndTime(read.measuredAt);
  }
  add("clock_hertz", clock, "Hz", "the kernel", "single_source");
  double perCycle = host.hasFeature("avx512_vnni") ? 256
                    : host.hasFeature("i8mm")      ? 128
                    : host.hasFeature("avx_vnni")  ? 128
                                                   : 64;
  double floats = host.hasFeature("avx512f") ? 64 : host.architecture == "x86-64" ? 32 : 16;
  add("integer_operations_per_second", perCycle * clock * double(threads), "op/s",
      "features and clock", "derived");
  add("float_operations_per_second", floats * clock * double(threads), "op/s", "features and clock",
      "derived");
}

} // namespace gcompile
