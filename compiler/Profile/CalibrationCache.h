// The calibration of this machine that `gcompile calibrate` saved in the cache folder
// (compiler/Support/KeptFile.h). It serves predictions for `--target host`; decisions and artifacts
// never depend on it.
#pragma once

#include "compiler/Profile/DeviceProfile.h"

namespace gcompile {

// Where it lies; empty when there is no cache folder.
std::string calibrationCachePath();

// The profile that was saved for a machine with this processor and so many cores; empty: none.
std::string savedCalibration(llvm::StringRef processor, int64_t cores);

llvm::Error saveCalibration(llvm::StringRef profileText);

// As /proc/cpuinfo names it.
std::string hostProcessorName();

} // namespace gcompile
