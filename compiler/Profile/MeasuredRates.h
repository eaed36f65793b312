// What a calibration measured, out of a profile into the machine of the cost model; and how sure
// the other figures are.
#pragma once

#include "compiler/Profile/DeviceProfile.h"

namespace gcompile {

// Checks the calibration of a profile's text, if it has one: formats that exist, positive finite
// figures. The error names the figure.
llvm::Error checkCalibration(llvm::StringRef profileText);

// Rates, launches, rows, and the curve of bandwidth over working sets. `profileText` was checked.
// Does nothing without a calibration.
void applyCalibration(llvm::StringRef profileText, MachineModel &machine);

// How far figures of a confidence ("measured", …) may be off.
double factorOf(llvm::StringRef confidence);
Uncertainty uncertaintyOf(const DeviceProfile &profile);

} // namespace gcompile
