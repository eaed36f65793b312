// `--report FILE.html`: gathers what the page of a plan shows and writes it.
#pragma once

#include "compiler/Codegen/ArenaLifetimes.h"
#include "compiler/Driver/Commands.h"
#include "compiler/Plan/Plan.h"
#include "compiler/Profile/DeviceProfile.h"

#include <string>
#include <vector>

namespace gcompile {

struct ReportFacts {
  const Plan *plan = nullptr;
  const DeviceProfile *profile = nullptr; // may be null
  std::string command;                    // that gives the plan again
  std::vector<std::string> notes;
  const std::vector<ProgramArena> *arena = nullptr; // null: not known
  bool exactSizes = false;                          // the account is that of generated code
};

// The folder of `path` exists, or the error says that it does not; "-" is standard output.
llvm::Error writeReport(llvm::StringRef path, const ReportFacts &facts);

} // namespace gcompile
