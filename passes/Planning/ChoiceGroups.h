// Couplings contracted: items that hang together become one group whose choices are the joint ones,
// so that what solvers see is a multiple-choice knapsack without couplings.
#pragma once

#include "passes/Planning/PlanProblem.h"
#include "passes/Planning/Solver.h"

#include <optional>

namespace gcompile {

struct Choice {
  int64_t bytes = 0, picoseconds = 0;
  double cost = 0;               // objective, without what is fixed
  std::vector<uint32_t> options; // option index of each member
};

struct ChoiceGroup {
  std::vector<size_t> members; // item indices
  std::vector<Choice> choices; // in order of the members' options
};

struct Contraction {
  std::vector<ChoiceGroup> groups; // by their first item
  size_t inconsistent = 0;         // groups without a choice: no formats that all members support
  bool tooMany = false;            // a group has more than maxJointChoices; groups are not complete
  size_t tooManyAt = 0;            // the first item of that group
};

// Only options that are supported become choices.
Contraction contract(const PlanProblem &problem);

// Keeps one of the choices that are equal, and no choice that another is at least as good as in
// bytes, cost and, when `timed`, time. What stays is sorted by bytes. For every solution that used
// a dropped choice there is one that is no worse without it.
void dropDominated(std::vector<Choice> &choices, bool timed);

// Option per item of the choice per group.
PlanSolution expand(const PlanProblem &problem, const std::vector<ChoiceGroup> &groups,
                    const std::vector<size_t> &choice);

// Fills smallestBytes and smallest. Every group has a choice.
void findSmallest(const PlanProblem &problem, const std::vector<ChoiceGroup> &groups,
                  SolveResult &result);

// Empty when `choice` (option per item) satisfies it; else one line.
std::string brokenCoupling(const PlanProblem &problem, const Coupling &coupling,
                           const std::vector<size_t> &choice);

} // namespace gcompile
