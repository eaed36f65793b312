// The linear relaxation of the groups from one stage of a search on, as a function of how much of
// resource 0 is left: with resource 1 priced, it is the lower convex hulls of the groups' options
// taken in the order of their slopes, hence piecewise linear and convex. Evaluated by walking,
// since states come sorted.
#pragma once

#include "passes/Planning/Knapsack.h"

namespace gcompile {

// From one option of a group's hull to the next: more of resource 0 for less value.
struct HullSegment {
  double slope = 0; // value per unit of resource 0, below 0
  uint32_t stage = 0, option = 0;
  double value = 0, cost = 0; // differences
  PerResource<int64_t> use{};
};

// What is left to be gained for stages ≥ s. Entry i: after i segments.
class SuffixCurve {
public:
  // Index of the last entry that needs at most `room`, searched from a neighbour; -1 when not even
  // the first does.
  ptrdiff_t walk(ptrdiff_t from, int64_t room) const {
    ptrdiff_t last = ptrdiff_t(entries.size()) - 1, i = from;
    while (i < last && entries[size_t(i + 1)].use[0] <= room)
      ++i;
    while (i >= 0 && entries[size_t(i)].use[0] > room)
      --i;
    return i;
  }

  // Least value of the relaxation within `room`, of which `index` is the walk.
  double value(ptrdiff_t index, int64_t room) const {
    const Entry &entry = entries[size_t(index)];
    return entry.value + entry.slope * double(room - entry.use[0]);
  }

  struct Entry {
    double value = 0, slope = 0; // slope to the next entry; 0 at the last
    double cost = 0;             // of the solution that the segments up to here give
    PerResource<int64_t> use{};
  };
  std::vector<Entry> entries;
};

// The hulls of all groups of a search at one price of resource 1.
class GroupHulls {
public:
  // `order`: the groups by stage.
  GroupHulls(const Knapsack &knapsack, const std::vector<size_t> &order, double price);

  double price() const { return secondPrice; }
  // Writes the curve for the stages from `stage` on, and forgets those before: stages only rise.
  void curve(size_t stage, SuffixCurve &out);
  // The options (indices in their groups) by stage that entry `index` of that curve stands for;
  // those of earlier stages are not set.
  void options(size_t stage, size_t index, std::vector<uint32_t> &out) const;

private:
  double secondPrice;
  std::vector<HullSegment> segments;      // by slope
  std::vector<SuffixCurve::Entry> starts; // [stage]: sums of the least options from it on
  std::vector<uint32_t> first;            // [stage]: the least option
};

} // namespace gcompile
