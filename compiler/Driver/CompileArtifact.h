// From a planned model to a .gpk, or to the text of one step (`--emit`). Checks the budget a second
// time with the exact sizes of code and scratch, and plans again with them when they turn out
// larger than the estimates.
#pragma once

#include "compiler/Driver/CompilerInvocation.h"
#include "compiler/Driver/PlanModel.h"
#include "compiler/Import/ImportModel.h"

#include "llvm/ADT/STLFunctionalExtras.h"

#include <atomic>
#include <string>
#include <vector>

namespace gcompile {

struct CompileInputs {
  const ImportedModel *model = nullptr;
  const CompilerInvocation *options = nullptr;
  std::string architecture; // `x86_64`, `aarch64`: of the target
  std::string profileText;  // static facts of the profile, for the artifact
  llvm::function_ref<void(llvm::StringRef step, uint64_t done, uint64_t total)> progress = nullptr;
  const std::atomic<bool> *cancel = nullptr;
};

// Called with exact sizes when the plan does not hold with them; gives a plan that does, or an
// error that says what would fit.
using Replan = llvm::function_ref<llvm::Expected<Plan>(const ExactSizes &)>;

// Writes `output`; `plan` gets the exact account. For `--emit mlir|llvm|asm|object` the text goes
// to `output` ("-": standard output).
llvm::Error compileArtifact(const CompileInputs &inputs, Plan &plan, Replan replan,
                            llvm::StringRef output);

} // namespace gcompile
