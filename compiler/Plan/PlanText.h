// A plan as protobuf text: what `--emit plan` writes, what a user may edit, what `--plan` reads,
// and what lies in every artifact. Reading checks form and names; whether the decisions make sense
// for a model and a budget is checked by planning (compiler/Driver/PlanModel.h).
#pragma once

#include "compiler/Plan/Plan.h"

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <string>

namespace gcompile {

constexpr int planVersion = 1;

// Artifacts hold nothing that was measured while compiling: their plans leave out speeds that rest
// on measurements.
enum class PlanTextUse : uint8_t { File, Artifact };
std::string planText(const Plan &plan, PlanTextUse use = PlanTextUse::File);

// `origin` is for messages.
llvm::Expected<Plan> parsePlan(llvm::StringRef text, llvm::StringRef origin);

} // namespace gcompile
