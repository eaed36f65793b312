// The forecast over the engines of a plan's device.
#pragma once

#include "compiler/Plan/Plan.h"
#include "compiler/Profile/DeviceProfile.h"
#include "passes/Cost/ModelShape.h"

namespace gcompile {

// Fills in plan.engines, or leaves it empty where the profile does not know two engines. The speeds
// of `plan.predicted` have to be there: they are the processor's.
void predictEngines(Plan &plan, const ModelShape &model, const DeviceProfile &profile);

} // namespace gcompile
