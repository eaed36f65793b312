#include "passes/Planning/KnapsackHulls.h"

#include <algorithm>
#include <tuple>

namespace gcompile {

// Option indices of the lower hull of (use of resource 0, value), from the least use to the least
// value.
static std::vector<uint32_t> lowerHull(const std::vector<KnapsackOption> &group, double price) {
  auto value = [&](uint32_t o) { return group[o].cost + price * double(group[o].use[1]); };
  std::vector<uint32_t> sorted(group.size()), hull;
  for (uint32_t o = 0; o < group.size(); ++o)
    sorted[o] = o;
  std::sort(sorted.begin(), sorted.end(), [&](uint32_t a, uint32_t b) {
    return std::make_tuple(group[a].use[0], value(a), a) <
           std::make_tuple(group[b].use[0], value(b), b);
  });
  auto slope = [&](uint32_t a, uint32_t b) {
    return (value(b) - value(a)) / double(group[b].use[0] - group[a].use[0]);
  };
  for (uint32_t o : sorted) {
    if (!hull.empty() && value(o) >= value(hull.back()))
      continue; // more of the resource for nothing
    while (hull.size() >= 2 && slope(hull[hull.size() - 2], hull.back()) >= slope(hull.back(), o))
      hull.pop_back();
    hull.push_back(o);
  }
  return hull;
}

GroupHulls::GroupHulls(const Knapsack &knapsack, const std::vector<size_t> &order, double price)
    : secondPrice(price), starts(order.size() + 1), first(order.size()) {
  for (size_t s = order.size(); s-- > 0;) {
    const std::vector<KnapsackOption> &group = knapsack.groups[order[s]];
    std::vector<uint32_t> hull = lowerHull(group, price);
    first[s] = hull.front();
    const KnapsackOption &least = group[hull.front()];
    starts[s] = starts[s + 1];
    starts[s].cost += least.cost;
    starts[s].value += least.cost + price * double(least.use[1]);
    for (size_t r = 0; r < maxResources; ++r)
      starts[s].use[r] += least.use[r];
    for (size_t h = 1; h < hull.size(); ++h) {
      const KnapsackOption &a = group[hull[h - 1]], &b = group[hull[h]];
      HullSegment segment;
      segment.stage = uint32_t(s);
      segment.option = hull[h];
      segment.cost = b.cost - a.cost;
      for (size_t r = 0; r < maxResources; ++r)
        segment.use[r] = b.use[r] - a.use[r];
      segment.value = segment.cost + price * double(segment.use[1]);
      segment.slope = segment.value / double(segment.use[0]);
      segments.push_back(segment);
    }
  }
  // Within a group the slopes rise, so that its segments stay in order; equal ones by their use.
  std::sort(segments.begin(), segments.end(), [](const HullSegment &a, const HullSegment &b) {
    return std::tie(a.slope, a.stage, a.option) < std::tie(b.slope, b.stage, b.option);
  });
}

void GroupHulls::curve(size_t stage, SuffixCurve &out) {
  segments.erase(std::remove_if(segments.begin(), segments.end(),
                                [&](const HullSegment &segment) { return segment.stage < stage; }),
                 segments.end());
  out.entries.clear();
  out.entries.push_back(starts[stage]);
  for (const HullSegment &segment : segments) {
    SuffixCurve::Entry next = out.entries.back();
    out.entries.back().slope = segment.slope;
    next.value += segment.value;
    next.cost += segment.cost;
    for (size_t r = 0; r < maxResources; ++r)
      next.use[r] += segment.use[r];
    out.entries.push_back(next);
  }
  out.entries.back().slope = 0;
}

void GroupHulls::options(size_t stage, size_t index, std::vector<uint32_t> &out) const {
  out.resize(first.size());
  for (size_t s = stage; s < first.size(); ++s)
    out[s] = first[s];
  for (const HullSegment &segment : segments) {
    if (segment.stage < stage)
      continue;
    if (index-- == 0)
      return;
    out[segment.stage] = segment.option;
  }
}

} // namespace gcompile
