// What each subcommand does. A command writes its result to standard output, everything else to
// standard error, and answers an exit code.
#pragma once

#include "compiler/Driver/CompilerInvocation.h"
#include "compiler/Plan/PlanReport.h"

#include "llvm/Support/Error.h"

#include <string>

namespace gcompile {

struct CommandContext {
  CompilerInvocation invocation;
  std::string programPath; // to find profiles beside it
};

ExitCode runCompile(const CommandContext &context); // compile and plan
ExitCode runTargets(const CommandContext &context);
ExitCode runInspect(const CommandContext &context);
ExitCode runVerify(const CommandContext &context);
ExitCode runWhy(const CommandContext &context);
ExitCode runCalibrate(const CommandContext &context);
ExitCode runPareto(const CommandContext &context);
ExitCode runExport(const CommandContext &context);

// The code of a target that did not load: a name that does not exist is a bad flag, a profile that
// exists and is broken is bad input.
ExitCode targetFault(llvm::StringRef target, llvm::ArrayRef<std::string> folders);

// "gcompile: error: …" on standard error, one line.
ExitCode failWith(ExitCode code, const std::string &message);
ExitCode failWith(ExitCode code, llvm::Error error);
void printJson(llvm::json::Object object); // on standard output
void printNote(const CommandContext &context, const std::string &message);

// The plan in a plan file or inside an artifact.
llvm::Expected<Plan> loadPlan(const std::string &path);

// Says at the start, not after minutes of work, that nothing can be written there.
llvm::Error checkOutputFolder(llvm::StringRef path);

// What standard output shows: UTF-8 and colour on a terminal whose locale and $TERM allow them (and
// no colour under $NO_COLOR), plain ASCII in pipes and files.
ReportStyle terminalStyle();

// Replaces the file only when all of it is written; "-" is standard output.
llvm::Error writeOutput(llvm::StringRef path, llvm::StringRef content);

} // namespace gcompile
