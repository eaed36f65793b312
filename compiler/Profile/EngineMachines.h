// The engines of a device that a model could be split over, each as a machine for the cost model
// (docs/decisions/0010). An engine counts when an outside compiler reaches it and the profile
// states its arithmetic; its bandwidth is its own figure or, because the memory is shared, the
// device's.
#pragma once

#include "compiler/Profile/DeviceProfile.h"

#include <optional>
#include <string>
#include <vector>

namespace gcompile {

struct EngineMachine {
  std::string name, title, through; // of the profile's path
  MachineModel machine;
  bool ownBandwidth = false; // the profile states it of this engine; else the device's is used
  // From the processor to this engine and back, each. Absent: no source states it.
  std::optional<Fact> handover;
};

// The processor first, with the machine that plans are predicted with. Empty when fewer than two
// engines are known well enough.
std::vector<EngineMachine> engineMachines(const DeviceProfile &profile);

} // namespace gcompile
