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
  int64_t expertSlots = 0; // of the cache of experts on storage; 0: they lie in memory
};

struct PricedModel {
  OptionTable table;   // for gemma-plan
  MemoryAccount fixed; // what does not depend on choices, by category
  // Nats that a second of waiting for experts on storage is worth, when placements and numbers of
  // slots are compared: never less than a tenth of the balanced objective's (docs/decisions/0012).
  double placementLossPerSecond = 0;
};

// The machine that decisions are priced on: the profile's, or a nominal one where it says nothing
// or where its figures change with time.
MachineModel pricingMachine(const DeviceProfile &profile);

llvm::Expected<PricedModel> buildOptionTable(const PlanRequest &request,
                                             const ProgramChoice &choice, int64_t budgetBytes);

// Chunks and caches to try with all experts in memory, the most comfortable first. The last one
// needs the least memory.
std::vector<ProgramChoice> programChoices(const PlanRequest &request, int64_t context);
// The same with experts on storage, each with the fewest slots that its chunks can do with; none
// where that cannot be: the model has no experts, or the target's programs cannot ask for them.
std::vector<ProgramChoice> storageChoices(const PlanRequest &request, int64_t context);

// Whether programs of the target can ask for experts on storage.
bool canFetchExperts(const DeviceProfile &profile);
// Experts of one layer that the largest chunk may need at once: the fewest slots.
int64_t fewestExpertSlots(const ModelShape &model, const ProgramShape &shape);
// Slots of the cache that belong to a layer in the account; their sum over layers is all of them.
int64_t expertSlotShare(const ModelShape &model, int64_t slots, int64_t layer);

// The budget from which on a choice's comfort is small beside it; the last choice needs no comfort.
int64_t comfortableBudget(const PricedModel &priced);

// Formats that the PLE table can take; others fall to the nearest that can.
WeightFormat rowTableFormat(WeightFormat format);

// "memory:w8" and back.
std::string tableOptionName(TablePlacement placement, WeightFormat format);
std::optional<std::pair<TablePlacement, WeightFormat>> parseTableOption(llvm::StringRef name);

} // namespace gcompile
