#include "compiler/Driver/CheckFlags.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringRef.h"

namespace gcompile {

static llvm::Error refuse(const llvm::Twine &why) { return llvm::createStringError(why); }

// Commands that read a finished file plan nothing.
static llvm::Error checkReaders(const CompilerInvocation &invocation) {
  if (!llvm::is_contained({Command::Targets, Command::Inspect, Command::Why, Command::Verify},
                          invocation.command))
    return llvm::Error::success();
  for (llvm::StringRef flag :
       {"--budget", "--context", "--modalities", "--tables", "--experts", "--objective",
        "--min-decode", "--weight-format", "--kv-format", "--plan", "--emit", "--weights",
        "--calibration", "--imatrix", "--sensitivity", "--activations", "--kv-scales"})
    if (invocation.wasGiven(flag))
      return refuse("'" + commandName(invocation.command) + "' takes no " + flag +
                    ": it plans nothing (gcompile plan does)");
  return llvm::Error::success();
}

// An export writes a plan that exists, with the weights of a checkpoint.
static llvm::Error checkExport(const CompilerInvocation &invocation) {
  if (invocation.command != Command::Export) {
    if (!invocation.exportFormat.empty())
      return refuse("--format is for 'export'");
    return llvm::Error::success();
  }
  for (llvm::StringRef flag :
       {"--target", "--budget", "--context", "--modalities", "--tables", "--experts", "--objective",
        "--min-decode", "--weight-format", "--kv-format", "--plan", "--emit", "--calibration",
        "--sensitivity", "--activations", "--kv-scales"})
    if (invocation.wasGiven(flag))
      return refuse("'export' takes no " + flag + ": the plan has decided (gcompile plan does)");
  if (invocation.exportFormat.empty())
    return refuse("'export' needs --format gguf or compressed-tensors");
  if (invocation.model.empty())
    return refuse("'export' needs --model PATH: the checkpoint whose weights are written");
  return llvm::Error::success();
}

static llvm::Error checkOutputs(const CompilerInvocation &invocation) {
  bool reports =
      llvm::is_contained({Command::Compile, Command::Plan, Command::Inspect}, invocation.command);
  if (!invocation.report.empty() && !reports)
    return refuse("'" + commandName(invocation.command) +
                  "' takes no --report: it is the page of one plan");
  bool lower = invocation.emit != EmitKind::Artifact && invocation.emit != EmitKind::Plan;
  if (lower && invocation.command == Command::Plan)
    return refuse("'plan' stops before code: leave it out for --emit mlir, llvm, asm or object");
  if (lower && !invocation.report.empty())
    return refuse("--report goes with a plan or an artifact, not with --emit mlir, llvm, asm or "
                  "object");
  if (!invocation.report.empty() && invocation.report == invocation.output)
    return refuse("-o and --report name the same file '" + invocation.output + "'");
  return llvm::Error::success();
}

// What expected quality may rest on.
static llvm::Error checkQuality(const CompilerInvocation &invocation) {
  if (invocation.command == Command::Verify) {
    if (invocation.model.empty() != invocation.text.empty())
      return refuse("'verify' measures the KL to the original with both --model PATH and --text "
                    "FILE");
  } else if (!invocation.text.empty()) {
    return refuse("--text is for 'verify'; to measure before planning, use --calibration");
  }
  bool measures = invocation.sensitivity == QualityBasis::Calibration ||
                  invocation.sensitivity == QualityBasis::Sensitivities;
  if (measures && invocation.calibration.empty())
    return refuse("--sensitivity measure and calibration need a text: --calibration FILE");
  if (!invocation.imatrix.empty()) {
    if (!invocation.calibration.empty())
      return refuse("--imatrix and --calibration both say what inputs are like: give one");
    if (invocation.sensitivity)
      return refuse("--sensitivity does not go with --imatrix: the matrix says what errors weigh");
    if (invocation.syntheticSeed || invocation.model.empty())
      return refuse("--imatrix needs the weights that it was made of: --model PATH");
  }
  if (invocation.calibration.empty())
    return llvm::Error::success();
  // The text also tells what static scales are, and what it costs to have or to drop them.
  bool measuresScales = invocation.activations || invocation.kvScales;
  if (invocation.sensitivity && !measures && !measuresScales && invocation.planFile.empty())
    return refuse("--sensitivity " + std::string(name(*invocation.sensitivity)) +
                  " uses no text: leave out --calibration");
  if (invocation.syntheticSeed)
    return refuse("--calibration: generated weights have no quality that could be measured; leave "
                  "out --weights");
  if (invocation.model.empty())
    return refuse("--calibration needs --model: the text is run through that model");
  return llvm::Error::success();
}

llvm::Error checkFlags(const CompilerInvocation &invocation) {
  if (invocation.wasGiven("--points") && invocation.command != Command::Pareto)
    return refuse("--points is for 'pareto'");
  if (invocation.remeasure &&
      llvm::is_contained({Command::Inspect, Command::Why, Command::Verify, Command::Calibrate},
                         invocation.command))
    return refuse("'" + commandName(invocation.command) +
                  "' takes no --remeasure: it uses nothing that is kept");
  if (llvm::Error error = checkReaders(invocation))
    return error;
  if (llvm::Error error = checkExport(invocation))
    return error;
  if (llvm::Error error = checkQuality(invocation))
    return error;
  return checkOutputs(invocation);
}

} // namespace gcompile
