// Kernel cases of experts (docs/decisions/0008): products whose rows chose their matrix, the
// choice, the lists of slots, and the weighted sum. Expected values come from loops written from
// KernelOps.td; only the weights of the choice and gelu have none, since their rounding is not
// fixed here.
#pragma once

#include "ir/Format/Format.h"
#include "tests/conformance/KernelCases.h"

namespace gcompile::test {

// Who chose whom: `experts` has `ranks` numbers for each row, and what group_rows makes of them.
struct Choice {
  int64_t rows, ranks, experts, groups; // rows: capacity; groups: most
  std::vector<int32_t> chosenBy;        // rows × ranks
  std::vector<int32_t> members, starts, chosen;
};
// Rows beyond `active` choose nothing; expert 0 is never chosen.
Choice randomChoice(int64_t rows, int64_t active, int64_t ranks, int64_t experts);

// out[slot] = x[row or slot] · Wᵀ of the slot's expert, for `active` of `rows` rows. `perSlot`:
// inputs are slots.
KernelCase expertProductCase(WeightFormat format, const Choice &choice, int64_t active,
                             bool perSlot);

std::vector<KernelCase> expertCases();

} // namespace gcompile::test
