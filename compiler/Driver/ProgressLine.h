// One line on the terminal that says what is being done; nothing when standard error is no
// terminal.
#pragma once

#include "llvm/ADT/StringRef.h"

#include <chrono>
#include <cstdint>
#include <string>

namespace gcompile {

class ProgressLine {
public:
  enum Mode { Off, WhenTerminal };
  explicit ProgressLine(Mode mode);
  void show(llvm::StringRef step, uint64_t done, uint64_t total);
  void clear();

private:
  bool active;
  std::string shown;
  std::chrono::steady_clock::time_point last;
};

} // namespace gcompile
