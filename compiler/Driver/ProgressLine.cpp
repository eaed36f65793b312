#include "compiler/Driver/ProgressLine.h"

#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/raw_ostream.h"

#include <unistd.h>

namespace gcompile {

ProgressLine::ProgressLine(Mode mode) : active(mode == WhenTerminal && isatty(STDERR_FILENO)) {}

void ProgressLine::show(llvm::StringRef step, uint64_t done, uint64_t total) {
  auto now = std::chrono::steady_clock::now();
  // Ten times a second is enough; a new step shows at once.
  if (!active || (llvm::StringRef(shown) == step && now - last < std::chrono::milliseconds(100)))
    return;
  shown = step.str();
  last = now;
  uint64_t percent = total ? done * 100 / total : 0;
  llvm::errs() << llvm::formatv("\r{0,-24} {1,3} %", step, percent);
}

void ProgressLine::clear() {
  if (active && !shown.empty())
    llvm::errs() << "\r" << std::string(32, ' ') << "\r";
  shown.clear();
}

} // namespace gcompile
