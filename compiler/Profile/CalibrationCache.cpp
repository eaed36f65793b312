#include "compiler/Profile/CalibrationCache.h"

#include "compiler/Profile/MeasuredRates.h"
#include "compiler/Profile/device_profile.pb.h"

#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"

#include <cstdlib>
#include <google/protobuf/text_format.h>

namespace gcompile {

std::string calibrationCachePath() {
  llvm::SmallString<256> path;
  if (const char *cache = std::getenv("XDG_CACHE_HOME"); cache && *cache == '/')
    path = cache;
  else if (const char *home = std::getenv("HOME"); home && *home == '/')
    llvm::sys::path::append(path, home, ".cache");
  else
    return "";
  llvm::sys::path::append(path, "gcompile", "calibration.textproto");
  return std::string(path);
}

std::string savedCalibration(llvm::StringRef processor, int64_t cores) {
  std::string path = calibrationCachePath();
  llvm::sys::fs::file_status status;
  if (path.empty() || llvm::sys::fs::status(path, status) ||
      !llvm::sys::fs::is_regular_file(status) || status.getSize() > 1 << 20)
    return "";
  auto buffer = llvm::MemoryBuffer::getFile(path, /*IsText=*/true);
  if (!buffer)
    return "";
  std::string text = (*buffer)->getBuffer().str();
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
  if (std::error_code error = llvm::sys::fs::create_directories(llvm::sys::path::parent_path(path)))
    return llvm::createStringError("'" + path + "': " + error.message());
  return llvm::writeToOutput(path, [&](llvm::raw_ostream &out) {
    out << profileText;
    return llvm::Error::success();
  });
}

} // namespace gcompile
