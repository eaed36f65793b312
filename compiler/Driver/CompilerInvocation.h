// Everything the command line can say, as one value. Parsing is table-driven (the same table writes
// --help) because subcommands, exact exit codes and "did you mean" need more than llvm::cl gives.
// Nothing here touches files except $GCOMPILE_* look-ups by the callers.
#pragma once

#include "compiler/Plan/Plan.h"

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace gcompile {

enum class Command : uint8_t {
  Compile,
  Plan,
  Targets,
  Inspect,
  Verify,
  Why,
  Pareto,
  Calibrate,
  Export
};

enum class EmitKind : uint8_t { Artifact, Plan, Mlir, Llvm, Asm, Object };
enum class TableChoice : uint8_t { Auto, Memory, Storage };

// Exit codes of the program.
enum class ExitCode : int { Done = 0, BadInput = 1, BadFlags = 2, NothingFits = 3, OurBug = 4 };

// A format that the user wants for tensors whose name matches; later rules win.
struct FormatRule {
  std::string pattern; // glob over canonical names; "*" for a bare format
  WeightFormat format;
};

// A parsed model of the command line. Defaults are those of --help.
struct CompilerInvocation {
  Command command = Command::Compile;
  std::vector<std::string> arguments; // without dashes: files, tensor names

  std::string target, model, output;
  std::optional<int64_t> budgetBytes;
  int64_t context = 4096; // 0: auto
  bool contextGiven = false;
  std::vector<std::string> modalities = {"text"};
  TableChoice tables = TableChoice::Auto, experts = TableChoice::Auto;
  Objective objective = Objective::Quality;
  double minDecode = 0; // tokens per second; 0: no limit
  std::vector<FormatRule> weightFormats;
  std::optional<KvFormat> localKv, globalKv;
  std::optional<Activations> activations; // absent: static where the checkpoint states scales
  std::optional<Activations> kvScales;    // absent: as activations
  std::string calibration, imatrix, planFile, report;
  std::string exportFormat;
  std::string text;                        // verify: what the KL is measured on
  std::optional<QualityBasis> sensitivity; // absent: the deepest that the other flags allow
  EmitKind emit = EmitKind::Artifact;
  std::optional<uint64_t> syntheticSeed;
  int64_t jobs = 0;     // 0: one a core
  int64_t points = 256; // of the front
  int64_t calibrationSeconds = 15;

  std::map<std::string, std::string, std::less<>> given; // flags as they were written, last value
  bool wasGiven(llvm::StringRef flag) const {
    return given.find(std::string_view(flag)) != given.end();
  }

  bool remeasure = false; // what was kept of this machine and of models
  bool json = false, quiet = false, help = false, version = false;
};

// `arguments` without the program's name. The error is one line; its exit code is BadFlags.
llvm::Expected<CompilerInvocation> parseCommandLine(llvm::ArrayRef<std::string> arguments);

// Help of the program, or of one command, with examples.
std::string helpText(std::optional<Command> command);

llvm::StringRef commandName(Command command);

} // namespace gcompile
