// What every choice costs, as the driver hands it to gemma-plan: priced options by name, the bytes
// and seconds that no choice changes, and the limits. Which items exist, which of them share a
// source and which caches there are comes from the module, not from here.
#pragma once

#include "passes/Planning/PlanProblem.h"

#include <map>
#include <string>
#include <vector>

namespace gcompile {

// Names of the items of the caches, all owning layers of one type together.
inline constexpr char localKvItem[] = "local";
inline constexpr char globalKvItem[] = "global";

struct OptionTable {
  // By checkpoint tensor ("layers.3.mlp.down_proj.weight"), or localKvItem and globalKvItem. A
  // row table's options are named "PLACEMENT:FORMAT" ("storage:w8").
  std::map<std::string, std::vector<PlanOption>, std::less<>> options;
  // Slots of the cache of experts on storage, which take one format a projection; 0: in memory.
  int64_t expertSlots = 0;
  int64_t fixedBytes = 0, budgetBytes = 0;
  double fixedSeconds = 0, maxSeconds = std::numeric_limits<double>::infinity();
  double lossPerSecond = 0, lossPerStoredByte = 0;
};

// "memory:w8": the option of a row table, and back; an empty format when the text is no such name.
struct TableOption {
  std::string placement, format;
};
std::string tableOptionName(const TableOption &option);
TableOption parseTableOptionName(const std::string &name);

} // namespace gcompile
