#include "compiler/Driver/CalibrationText.h"

#include "compiler/Measure/ProbeModel.h"

#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"

namespace gcompile {

constexpr uint64_t mostTextBytes = uint64_t(64) << 20;

llvm::Expected<std::string> calibrationText(const CompilerInvocation &options) {
  const std::string &path = options.calibration;
  llvm::sys::fs::file_status status;
  if (std::error_code error = llvm::sys::fs::status(path, status))
    return llvm::createStringError("--calibration '" + path + "': " + error.message());
  if (status.type() != llvm::sys::fs::file_type::regular_file || status.getSize() > mostTextBytes)
    return llvm::createStringError("--calibration '" + path +
                                   "': expected a text file of at most 64 MiB");
  auto buffer = llvm::MemoryBuffer::getFile(path);
  if (!buffer)
    return llvm::createStringError("--calibration '" + path + "': " + buffer.getError().message());
  return (*buffer)->getBuffer().str();
}

llvm::Expected<std::vector<std::vector<int32_t>>>
calibrationTokens(const ImportedModel &model, llvm::StringRef text,
                  const CompilerInvocation &options) {
  ProbeOptions probeOptions;
  probeOptions.context = calibrationWindow;
  probeOptions.jobs = options.jobs;
  auto probe = ProbeModel::compile(model, {}, probeOptions);
  if (!probe)
    return probe.takeError();
  WindowOptions cut;
  cut.window = calibrationWindow;
  cut.most = calibrationWindows;
  llvm::Expected<TokenWindows> windows = cutWindows((*probe)->runner(), text, cut);
  if (!windows)
    return windows.takeError();
  return std::move(windows->windows);
}

} // namespace gcompile
