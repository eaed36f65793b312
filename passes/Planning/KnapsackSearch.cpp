// Exact search around the optimum of the relaxation. With the best multipliers, every option has a
// reduced cost: what the bound rises by when it is taken instead of its group's best one. Options
// whose reduced cost exceeds the gap are out; few groups keep more than one. Over these a dynamic
// programme runs, the most undecided group first: a state is a partial solution, kept when no other
// one is at least as good in uses and cost, and when its bound leaves room below the best solution
// known. (Pisinger, "A minimal algorithm for the multiple-choice knapsack problem", 1995, extended
// to bounds at many multipliers, which serve one and two resources alike.)
//
// Passes run with growing numbers of states per stage. A state that is dropped only for lack of
// room leaves its bound behind, so that the result is bounded whether or not the search was
// complete. Nothing depends on time: the same knapsack gives the same result everywhere.
#include "passes/Planning/Knapsack.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>
#include <tuple>

namespace gcompile {

constexpr double infinity = std::numeric_limits<double>::infinity();

namespace {

// A partial solution.
struct State {
  PerResource<int64_t> use{};
  double cost = 0, bound = 0;
  uint32_t parent = 0, option = 0; // in the stage before; of the stage's group
};

struct Step {
  uint32_t parent, option;
};

// For the groups from one stage on, at one tangent.
struct Suffix {
  double bound = 0;  // least value, less multiplier · limit
  KnapsackSums sums; // of the solution that has it
};

class Search {
public:
  Search(const Knapsack &knapsack, const Relaxation &dual, const SearchOptions &options)
      : knapsack(knapsack), options(options), bound(dual.bound) {
    addTangents(dual);
  }

  SearchResult run() {
    for (size_t width : {size_t(256), size_t(2048), size_t(16384), size_t(131072)}) {
      if (closed())
        break;
      fixOptions();
      if (impossible || closed())
        break;
      pass(width);
    }
    SearchResult result;
    result.states = states;
    if (best.cost < infinity) {
      result.solution = best;
      bool proven = impossible || exhausted || closed();
      result.complete = proven;
      result.bound = proven ? std::max(bound, best.cost - tolerance()) : bound;
      result.bound = std::min(result.bound, best.cost);
    } else {
      result.complete = impossible || exhausted;
      result.bound = bound;
    }
    return result;
  }

private:
  // Improvements smaller than this are not looked for; rounding errors are far below it.
  double tolerance() const {
    return std::max(options.relativeGap * std::abs(best.cost), 1e-12 * magnitude);
  }
  double target() const { return best.cost < infinity ? best.cost - tolerance() : infinity; }
  bool closed() const { return bound >= target(); }

  // Multipliers beside the best ones: their bounds are better for states that use more or less than
  // the best mixture does.
  void addTangents(const Relaxation &dual) {
    static constexpr double one[] = {1,    1.005, 0.995, 1.02, 0.98, 1.06, 0.94, 1.15, 0.85,
                                     1.35, 0.7,   1.8,   0.5,  2.5,  0.3,  5,    0.1,  0};
    static constexpr double two[] = {1, 1.1, 0.9, 1.5, 0.6, 3, 0};
    if (knapsack.resources == 1) {
      for (double factor : one)
        addTangent({factor * dual.multiplier[0], 0});
      return;
    }
    PerResource<double> scale = dual.multiplier;
    // A resource that does not bind in the relaxation may bind in the end.
    for (size_t r = 0; r < 2; ++r)
      if (scale[r] == 0)
        scale[r] = 0.02 * scale[1 - r] * double(std::max<int64_t>(knapsack.limit[1 - r], 1)) /
                   double(std::max<int64_t>(knapsack.limit[r], 1));
    addTangent(dual.multiplier);
    for (double first : two)
      for (double second : two)
        addTangent({first * scale[0], second * scale[1]});
  }

  void addTangent(const PerResource<double> &multiplier) {
    for (const Relaxation &tangent : tangents)
      if (tangent.multiplier == multiplier)
        return;
    tangents.push_back(relax(knapsack, multiplier, preferred()));
    const Relaxation &added = tangents.back();
    magnitude = std::max(tangents.front().magnitude, magnitude);
    for (size_t r = 0; r < knapsack.resources; ++r)
      if (added.sums.use[r] > knapsack.limit[r])
        return;
    if (added.sums.cost < best.cost)
      best = {picks(multiplier), added.sums.cost};
  }

  // The options that relax() takes, as indices into the original groups.
  std::vector<uint32_t> picks(const PerResource<double> &multiplier) const {
    std::vector<uint32_t> result;
    for (const std::vector<KnapsackOption> &group : knapsack.groups)
      result.push_back(group[bestOption(group, multiplier, preferred())].tag);
    return result;
  }

  size_t preferred() const { return knapsack.resources - 1; }

  static double valueOf(const KnapsackOption &option, const PerResource<double> &multiplier) {
    return option.cost + multiplier[0] * double(option.use[0]) +
           multiplier[1] * double(option.use[1]);
  }

  // Takes options out that no solution better than the best known can take.
  void fixOptions() {
    std::vector<double> whole; // bounds with what is left
    for (Relaxation &tangent : tangents) {
      tangent = relax(knapsack, tangent.multiplier, preferred());
      bound = std::min(std::max(bound, tangent.bound), best.cost);
      whole.push_back(tangent.bound);
    }
    PerResource<int64_t> leastUse{};
    for (const std::vector<KnapsackOption> &group : knapsack.groups)
      for (size_t r = 0; r < maxResources; ++r)
        leastUse[r] += leastOf(group, r);
    for (std::vector<KnapsackOption> &group : knapsack.groups) {
      std::vector<double> least(tangents.size(), infinity);
      for (const KnapsackOption &option : group)
        for (size_t k = 0; k < tangents.size(); ++k)
          least[k] = std::min(least[k], valueOf(option, tangents[k].multiplier));
      PerResource<int64_t> others = leastUse;
      for (size_t r = 0; r < maxResources; ++r)
        others[r] -= leastOf(group, r);
      auto out = [&](const KnapsackOption &option) {
        for (size_t r = 0; r < knapsack.resources; ++r)
          if (others[r] + option.use[r] > knapsack.limit[r])
            return true;
        for (size_t k = 0; k < tangents.size(); ++k)
          if (whole[k] + (valueOf(option, tangents[k].multiplier) - least[k]) >= target())
            return true;
        return false;
      };
      group.erase(std::remove_if(group.begin(), group.end(), out), group.end());
      if (group.empty()) {
        impossible = true; // to find anything better
        return;
      }
      for (size_t r = 0; r < maxResources; ++r)
        leastUse[r] = others[r] + leastOf(group, r);
    }
  }

  static int64_t leastOf(const std::vector<KnapsackOption> &group, size_t r) {
    int64_t least = std::numeric_limits<int64_t>::max();
    for (const KnapsackOption &option : group)
      least = std::min(least, option.use[r]);
    return least;
  }

  // Groups with a choice left, the most undecided first: by the second least reduced cost.
  void orderGroups() {
    std::vector<std::tuple<double, size_t>> keys;
    for (size_t g = 0; g < knapsack.groups.size(); ++g) {
      const std::vector<KnapsackOption> &group = knapsack.groups[g];
      if (group.size() == 1)
        continue;
      double least = infinity, second = infinity;
      for (const KnapsackOption &option : group) {
        double value = valueOf(option, tangents.front().multiplier);
        second = std::min(second, std::max(value, least));
        least = std::min(least, value);
      }
      keys.push_back({second - least, g});
    }
    std::sort(keys.begin(), keys.end());
    order.clear();
    for (const auto &[key, g] : keys)
      order.push_back(g);
  }

  void buildSuffixes() {
    size_t stages = order.size();
    suffix.assign(stages + 1, std::vector<Suffix>(tangents.size()));
    leastUse.assign(stages + 1, {});
    for (size_t k = 0; k < tangents.size(); ++k)
      for (size_t r = 0; r < maxResources; ++r)
        suffix[stages][k].bound -= tangents[k].multiplier[r] * double(knapsack.limit[r]);
    for (size_t s = stages; s-- > 0;) {
      const std::vector<KnapsackOption> &group = knapsack.groups[order[s]];
      for (size_t k = 0; k < tangents.size(); ++k) {
        const KnapsackOption &option =
            group[bestOption(group, tangents[k].multiplier, preferred())];
        suffix[s][k] = suffix[s + 1][k];
        suffix[s][k].bound += valueOf(option, tangents[k].multiplier);
        suffix[s][k].sums.cost += option.cost;
        for (size_t r = 0; r < maxResources; ++r)
          suffix[s][k].sums.use[r] += option.use[r];
      }
      for (size_t r = 0; r < maxResources; ++r)
        leastUse[s][r] = leastUse[s + 1][r] + leastOf(group, r);
    }
  }

  // One dynamic programme with at most `width` states a stage.
  void pass(size_t width) {
    orderGroups();
    buildSuffixes();
    steps.clear();
    State start;
    for (const std::vector<KnapsackOption> &group : knapsack.groups)
      if (group.size() == 1) {
        start.cost += group[0].cost;
        for (size_t r = 0; r < maxResources; ++r)
          start.use[r] += group[0].use[r];
      }
    double dropped = infinity; // least bound of what was dropped for lack of room
    std::vector<State> current = {start};
    complete(current, 0);
    for (size_t s = 0; s < order.size() && !current.empty(); ++s) {
      if (states > options.stateLimit) {
        for (const State &state : current)
          dropped = std::min(dropped, state.bound);
        current.clear();
        break;
      }
      current = expand(current, s);
      dropDominated(current);
      dropped = std::min(dropped, truncate(current, width));
      steps.emplace_back();
      for (const State &state : current)
        steps.back().push_back({state.parent, state.option});
      complete(current, s + 1);
    }
    // What was not dropped was completed or could not be better than the best.
    if (dropped >= target())
      exhausted = true;
    else
      bound = std::min(std::max(bound, dropped), best.cost);
  }

  // All states one option further, by use of the first resource.
  std::vector<State> expand(const std::vector<State> &from, size_t s) {
    const std::vector<KnapsackOption> &group = knapsack.groups[order[s]];
    std::vector<State> merged, list, both;
    for (uint32_t o = 0; o < group.size(); ++o) {
      list.clear();
      for (uint32_t i = 0; i < from.size(); ++i) {
        State state = from[i];
        state.parent = i;
        state.option = o;
        state.cost += group[o].cost;
        bool within = true;
        for (size_t r = 0; r < maxResources; ++r) {
          state.use[r] += group[o].use[r];
          within &= state.use[r] + leastUse[s + 1][r] <= knapsack.limit[r];
        }
        if (within && (state.bound = boundOf(state, s + 1)) < target())
          list.push_back(state);
      }
      states += from.size();
      both.resize(merged.size() + list.size());
      std::merge(merged.begin(), merged.end(), list.begin(), list.end(), both.begin(),
                 [](const State &a, const State &b) {
                   return std::tie(a.use[0], a.use[1], a.cost) <
                          std::tie(b.use[0], b.use[1], b.cost);
                 });
      merged.swap(both);
    }
    return merged;
  }

  double boundOf(const State &state, size_t s) const {
    double most = -infinity;
    for (size_t k = 0; k < tangents.size(); ++k)
      most = std::max(most, suffix[s][k].bound + tangents[k].multiplier[0] * double(state.use[0]) +
                                tangents[k].multiplier[1] * double(state.use[1]));
    return state.cost + most;
  }

  // Keeps what no state before it (with no more of the first resource) is at least as good as.
  void dropDominated(std::vector<State> &list) {
    std::vector<std::pair<int64_t, double>> stairs; // by use of the second, falling cost
    size_t kept = 0;
    for (const State &state : list) {
      auto after = std::upper_bound(
          stairs.begin(), stairs.end(), state.use[1],
          [](int64_t use, const std::pair<int64_t, double> &stair) { return use < stair.first; });
      if (after != stairs.begin() && std::prev(after)->second <= state.cost)
        continue;
      auto last = after;
      while (last != stairs.end() && last->second >= state.cost)
        ++last;
      if (after != stairs.begin() && std::prev(after)->first == state.use[1])
        --after;
      after = stairs.erase(after, last);
      stairs.insert(after, {state.use[1], state.cost});
      list[kept++] = state;
    }
    list.resize(kept);
  }

  // Keeps the `width` states of least bound; returns the least bound of the others.
  static double truncate(std::vector<State> &list, size_t width) {
    if (list.size() <= width)
      return infinity;
    std::vector<double> bounds;
    for (const State &state : list)
      bounds.push_back(state.bound);
    std::nth_element(bounds.begin(), bounds.begin() + ptrdiff_t(width), bounds.end());
    double least = bounds[width];
    size_t kept = 0;
    for (const State &state : list)
      if (state.bound < least)
        list[kept++] = state;
    list.resize(kept);
    return least;
  }

  // Completes states with what the tangents' relaxations take of the rest, and keeps the best.
  void complete(const std::vector<State> &list, size_t s) {
    size_t bestState = 0, bestTangent = tangents.size();
    double least = best.cost;
    for (size_t i = 0; i < list.size(); ++i)
      for (size_t k = 0; k < tangents.size(); ++k) {
        const KnapsackSums &rest = suffix[s][k].sums;
        if (list[i].cost + rest.cost < least && list[i].use[0] + rest.use[0] <= knapsack.limit[0] &&
            list[i].use[1] + rest.use[1] <= knapsack.limit[1]) {
          least = list[i].cost + rest.cost;
          bestState = i;
          bestTangent = k;
        }
      }
    if (bestTangent == tangents.size())
      return;
    best.cost = least;
    best.option = picks(tangents[bestTangent].multiplier);
    uint32_t state = uint32_t(bestState);
    for (size_t stage = s; stage-- > 0;) {
      const Step &step = steps[stage][state];
      best.option[order[stage]] = knapsack.groups[order[stage]][step.option].tag;
      state = step.parent;
    }
  }

  Knapsack knapsack; // what is left of it; tags are option indices of the original
  const SearchOptions &options;
  std::vector<Relaxation> tangents; // the best multipliers first
  double bound, magnitude = 0;
  KnapsackSolution best{{}, infinity};
  bool impossible = false; // fixing showed that nothing is better than the best known
  bool exhausted = false;  // a pass dropped nothing that could be better
  size_t states = 0;

  std::vector<size_t> order;                  // groups by stage
  std::vector<std::vector<Suffix>> suffix;    // [stage][tangent]
  std::vector<PerResource<int64_t>> leastUse; // [stage]
  std::vector<std::vector<Step>> steps;       // [stage][state]
};

} // namespace

static Knapsack withTags(Knapsack knapsack) {
  for (std::vector<KnapsackOption> &group : knapsack.groups)
    for (size_t o = 0; o < group.size(); ++o)
      group[o].tag = uint32_t(o);
  return knapsack;
}

// The knapsack without resource r.
static Knapsack without(const Knapsack &knapsack, size_t r) {
  Knapsack result = knapsack;
  result.resources = 1;
  result.limit = {knapsack.limit[1 - r], 0};
  for (std::vector<KnapsackOption> &group : result.groups)
    for (KnapsackOption &option : group)
      option.use = {option.use[1 - r], 0};
  return result;
}

static bool isWithin(const Knapsack &knapsack, const KnapsackSolution &solution, size_t r) {
  int64_t use = 0;
  for (size_t g = 0; g < knapsack.groups.size(); ++g)
    use += knapsack.groups[g][solution.option[g]].use[r];
  return use <= knapsack.limit[r];
}

SearchResult searchKnapsack(const Knapsack &knapsack, const SearchOptions &options) {
  std::optional<Relaxation> dual = solveDual(knapsack);
  if (!dual)
    return {};
  // A resource that does not bind in the relaxation mostly does not bind at all.
  double bound = dual->bound;
  for (size_t r = 0; knapsack.resources == 2 && r < 2; ++r) {
    if (dual->multiplier[r] != 0)
      continue;
    SearchResult relaxed = searchKnapsack(without(knapsack, r), options);
    if (relaxed.solution && isWithin(knapsack, *relaxed.solution, r))
      return relaxed;
    if (!relaxed.solution && relaxed.complete)
      return relaxed;
    bound = std::max(bound, relaxed.bound);
  }
  Knapsack tagged = withTags(knapsack);
  SearchResult result = Search(tagged, *dual, options).run();
  result.bound = std::max(result.bound, bound);
  if (result.solution)
    result.bound = std::min(result.bound, result.solution->cost);
  return result;
}

} // namespace gcompile
