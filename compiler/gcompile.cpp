// The program: reads the command line, runs one command, answers its exit code (docs and --help
// list them).
#include "compiler/Artifact/ArtifactWriter.h"
#include "compiler/Driver/Commands.h"
#include "targets/Common/RunProgram.h"

#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Signals.h"
#include "llvm/Support/raw_ostream.h"

#include <csignal>
#include <unistd.h>

using namespace gcompile;

static void terminated(int signal) {
  stopRunningPrograms();
  removePartialOutputs();
  llvm::sys::RunInterruptHandlers(); // removes temporary files
  _exit(128 + signal);
}

// LLVM removes its temporary files first, then calls this: a linker may have written one again.
static void interrupted() { terminated(SIGINT); }

static ExitCode runCommand(const CommandContext &context) {
  const CompilerInvocation &invocation = context.invocation;
  switch (invocation.command) {
  case Command::Compile:
  case Command::Plan:
    return runCompile(context);
  case Command::Targets:
    return runTargets(context);
  case Command::Inspect:
    return runInspect(context);
  case Command::Verify:
    return runVerify(context);
  case Command::Why:
    return runWhy(context);
  case Command::Pareto:
    return runPareto(context);
  case Command::Calibrate:
    return runCalibrate(context);
  case Command::Export:
    return runExport(context);
  }
  return ExitCode::OurBug; // every command is above
}

static ExitCode run(char **argv, llvm::ArrayRef<std::string> arguments) {
  if (arguments.empty()) {
    llvm::errs() << helpText(std::nullopt);
    return ExitCode::BadFlags;
  }
  llvm::Expected<CompilerInvocation> invocation = parseCommandLine(arguments);
  if (!invocation)
    return failWith(ExitCode::BadFlags, invocation.takeError());
  if (invocation->version || invocation->help) {
    llvm::outs() << (invocation->version ? "gcompile " GCOMPILE_VERSION "\n"
                                         : helpText(invocation->command == Command::Compile
                                                        ? std::nullopt
                                                        : std::optional(invocation->command)));
    return ExitCode::Done;
  }
  return runCommand({*invocation, llvm::sys::fs::getMainExecutable(
                                      argv[0], reinterpret_cast<void *>(&interrupted))});
}

int main(int argc, char **argv) {
  llvm::sys::SetInterruptFunction(interrupted);
  signal(SIGTERM, terminated);
  signal(SIGHUP, terminated);
  signal(SIGPIPE, SIG_IGN); // a closed reader ends us through the stream's error, quietly
  ExitCode code = run(argv, std::vector<std::string>(argv + 1, argv + argc));
  llvm::outs().flush();
  if (llvm::outs().has_error()) {
    std::error_code error = llvm::outs().error();
    llvm::outs().clear_error();
    if (code == ExitCode::Done && error != std::errc::broken_pipe)
      code = failWith(ExitCode::BadInput, "cannot write to standard output: " + error.message());
  }
  return int(code);
}
