#include "compiler/Profile/CalibrationCache.h"

#include "compiler/Profile/MeasuredRates.h"
#include "compiler/Profile/device_profile.pb.h"
#include "compiler/Support/KeptFile.h"

#include "llvm/ADT/SmallString.h"
#include "llvm/Support/Path.h"

#include <google/protobuf/text_format.h>

namespace gcompile {

std::string calibrationCachePath() {
  std::string folder = cacheFolder();
  if (folder.empty())
    return "";
  llvm::SmallString<256> path(folder);
  llvm::sys::path::append(path, "calibration.textproto");
  return std::string(path);
}

std::string savedCalibration(llvm::StringRef processor, int64_t cores) {
  std::string path = calibrationCachePath();
  if (path.empty())
    return "";
  llvm::Expected<std::string> kept = readKeptFile(path, 1 << 20);
  if (!kept) {
    llvm::consumeError(kept.takeError());
    return "";
  }
  std::string text = std::move(*kept);
  // A damaged file is as none: predictions then rest on a short measurement again.
  llvm::Expected<DeviceProfile> parsed = parseProfile(text, path);
  if (!parsed) {
    llvm::consumeError(parsed.takeError());
    return "";
  }
  profile::DeviceProfile message;
  google::protobuf::TextFormat::Parser parser;
  if (!parser.ParseFromString(text, &message) || !message.has_calibration() ||
      message.calibration().processor() != processor || message.calibration().cores() != cores)
    return "";
  return text;
}

llvm::Error saveCalibration(llvm::StringRef profileText) {
  std::string path = calibrationCachePath();
  if (path.empty())
    return llvm::createStringError("there is no home folder to keep the calibration in; set "
                                   "XDG_CACHE_HOME");
  return writeKeptFile(path, profileText);
}

} // namespace gcompile
