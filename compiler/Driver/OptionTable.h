// The priced options of every tensor, cache and table of one model on one target: what the planner
// chooses from.
#pragma once

#include "compiler/Driver/PlanModel.h"
#include "passes/Cost/CostModel.h"
#include "passes/Cost/MemoryModel.h"
#include "passes/Planning/OptionTable.h"
#include "passes/Planning/PlanProblem.h"

namespace gcompile {

// What is decided before the solver runs.
struct ProgramChoice {
  ProgramShape shape;
  int64_t tableCacheRows = 0;
};

struct PricedModel {
  OptionTable table;   // for gemma-plan
  MemoryAccount fixed; // what does not depend on choices, by category
};

// The machine that decisions are priced on: the profile's, or a nominal one where it says nothing
// or where its figures change with time.
MachineModel pricingMachine(const DeviceProfile &profile);

llvm::Expected<PricedModel> buildOptionTable(const PlanRequest &request,
                                             const ProgramChoice &choice, int64_t budgetBytes);

// Chunks and caches to try, the most comfortable first. The last one needs the least memory.
std::vector<ProgramChoice> programChoices(const PlanRequest &request, int64_t context);

// The budget from which on a choice's comfort is small beside it; the last choice needs no comfort.
int64_t comfortableBudget(const PricedModel &priced);

// Formats that the PLE table can take; others fall to the nearest that can.
WeightFormat rowTableFormat(WeightFormat format);

// "memory:w8" and back.
std::string tableOptionName(TablePlacement placement, WeightFormat format);
std::optional<std::pair<TablePlacement, WeightFormat>> parseTableOption(llvm::StringRef name);

} // namespace gcompile
