// From a solution of the planning problem to the plan.
#pragma once

#include "compiler/Driver/OptionTable.h"

namespace gcompile {

// The plan that a solution stands for, with account and predictions; who solved it is left open.
Plan writePlan(const PlanRequest &request, const ProgramChoice &choice, const MemoryAccount &fixed,
               const PlanProblem &problem, const PlanSolution &solution);

// Of an objective over its bound; 0 where only rounding is left.
double relativeGap(double objective, double bound);

} // namespace gcompile
