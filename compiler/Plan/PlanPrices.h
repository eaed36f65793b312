// The planning problem of a plan, rebuilt from the prices that the plan keeps: what `why`, the
// front in a report and what-if questions work on. Nothing but the plan is needed.
#pragma once

#include "compiler/Plan/Plan.h"
#include "passes/Planning/PlanProblem.h"

#include "llvm/Support/Error.h"

namespace gcompile {

struct PricedPlan {
  PlanProblem problem;   // items as in the plan: tensors by name, then "kv.local" and "kv.global"
  PlanSolution solution; // what the plan chose
};

// Fails when the plan keeps no prices, takes what it does not price, or when its prices do not give
// the objective that it records (its formats were edited and it was not replayed since).
llvm::Expected<PricedPlan> pricedPlan(const Plan &plan);

// Name of the option of a tensor that the plan takes: "w4", of the row table "storage:w4".
std::string chosenOption(const Plan &plan, const PlannedTensor &tensor);

} // namespace gcompile
