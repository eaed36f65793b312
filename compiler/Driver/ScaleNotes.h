// What people should know of a plan's static scales (docs/decisions/0011) beside its figures.
#pragma once

#include "compiler/Driver/Candidate.h"

namespace gcompile {

// Whether the static activations that a checkpoint was made for are kept, and what others cost.
// Empty: there are none.
std::string activationsNote(const Candidate &candidate, const PlanRequest &request,
                            const Plan &plan);

// Which caches take scales that are fixed, and where these are from. Empty: none.
std::string cacheScalesNote(const Candidate &candidate, const Plan &plan);

} // namespace gcompile
