#include "compiler/Profile/EngineMachines.h"

#include "compiler/Profile/MeasuredRates.h"
#include "passes/Cost/PublishedRuntimes.h"

#include "llvm/ADT/STLExtras.h"

#include <algorithm>

namespace gcompile {

static const Fact *find(const std::vector<Fact> &facts, llvm::StringRef name) {
  auto found = llvm::find_if(facts, [&](const Fact &fact) { return fact.name == name; });
  return found == facts.end() ? nullptr : &*found;
}

// Whose launches cost about as much as this engine's.
static llvm::StringRef runtimeLike(const DeviceProfile &profile, const ExecutionPath &path) {
  if (path.through == "PTX")
    return profile.kind == "board" ? "jetson-llama" : "llama-cuda";
  if (profile.kind == "phone")
    return "litert-gpu-mobile";
  return profile.operatingSystem == "macos" ? "llama-metal" : "litert-gpu-desktop";
}

// A machine whose products reach the published share of its peak. Formats that it has no peak for
// are computed in the arithmetic that it has: integers are decoded to floats.
static std::optional<EngineMachine>
accelerator(const DeviceProfile &profile, const ExecutionPath &path, const MachineModel &device) {
  const Fact *integers = find(path.facts, "integer_operations_per_second"),
             *floats = find(path.facts, "float_operations_per_second"),
             *bandwidth = find(path.facts, "read_bytes_per_second");
  if (path.access != "open" || (!integers && !floats))
    return std::nullopt;
  EngineMachine engine{path.name, path.title, path.through, {}, bandwidth != nullptr, {}};
  MachineModel &machine = engine.machine;
  machine.readBytesPerSecond = bandwidth ? bandwidth->value : device.readBytesPerSecond;
  machine.floatOpsPerSecond = floats ? floats->value : 0;
  machine.integerOpsPerSecond = integers ? integers->value : machine.floatOpsPerSecond;
  double share = publishedPrefill(path.through == "PTX").share;
  for (size_t i = 0; i < weightFormatCount; ++i)
    machine.weightRates[i].matmulOperationsPerSecond =
        share *
        (info(WeightFormat(i)).isInteger ? machine.integerOpsPerSecond : machine.floatOpsPerSecond);
  for (KvRates &rates : machine.kvRates)
    rates.attentionOperationsPerSecond = share * machine.floatOpsPerSecond;
  machine.barrierSeconds = findPublishedRuntime(runtimeLike(profile, path))->fit.secondsPerStep;
  machine.storageRowSeconds = device.storageRowSeconds;
  machine.storageBytesPerSecond = device.storageBytesPerSecond;
  machine.warmPageSeconds = device.warmPageSeconds;
  machine.sustainedCompute = device.sustainedCompute;
  auto factor = [](const Fact *fact) {
    double range = fact->low > 0 ? std::max(fact->high / fact->value, fact->value / fact->low) : 1;
    return std::max(factorOf(fact->confidence), range);
  };
  machine.uncertainty = {bandwidth ? factor(bandwidth) : 2,
                         1.3 * factor(integers ? integers : floats), 2, 2};
  if (const Fact *handover = find(path.facts, "handover_seconds"))
    engine.handover = *handover;
  return engine;
}

std::vector<EngineMachine> engineMachines(const DeviceProfile &profile) {
  auto processor =
      llvm::find_if(profile.paths, [](const ExecutionPath &path) { return path.name == "cpu"; });
  MachineModel device = machineModel(profile);
  if (processor == profile.paths.end() || device.readBytesPerSecond <= 0 ||
      (device.integerOpsPerSecond <= 0 && device.floatOpsPerSecond <= 0))
    return {};
  std::vector<EngineMachine> engines = {
      {processor->name, processor->title, processor->through, device, true, std::nullopt}};
  for (const ExecutionPath &path : profile.paths)
    if (path.name != "cpu")
      if (std::optional<EngineMachine> engine = accelerator(profile, path, device))
        engines.push_back(std::move(*engine));
  if (engines.size() < 2)
    engines.clear();
  return engines;
}

} // namespace gcompile
