// Constructors of the two passes that write decisions, with values that options cannot carry.
#pragma once

#include "mlir/Pass/Pass.h"
#include "passes/Planning/OptionTable.h"
#include "passes/Planning/Solver.h"
#include "passes/Transforms/WriteDecisions.h"

namespace gcompile {

// gemma-apply-plan: replays decisions.
std::unique_ptr<mlir::Pass> createApplyPlan(PlanDecisions decisions);

// What gemma-plan decides with, beside the module.
struct PlanningInputs {
  OptionTable table;
  std::string solver; // empty: the default one
  int64_t context = 4096, chunk = 128, tableCacheRows = 128;
};

// What gemma-plan did. Filled also when nothing fits (`result.solution` is empty then, and the
// pass fails).
struct PlanningOutcome {
  PlanProblem problem;
  SolveResult result;
};

// gemma-plan: decides. `outcome` may be null, and outlives the pass.
std::unique_ptr<mlir::Pass> createGemmaPlan(PlanningInputs inputs, PlanningOutcome *outcome);

} // namespace gcompile
