// Exact search around the optimum of the relaxation. With the best multipliers, every option has a
// reduced cost: what the bound rises by when it is taken instead of its group's best one. Options
// whose reduced cost exceeds the gap are out; few groups keep more than one. Over these a dynamic
// programme runs, the largest groups first: a state is a partial solution, kept when no other
// one is at least as good in uses and cost, and when its bound leaves room below the best solution
// known. (Pisinger, "A minimal algorithm for the multiple-choice knapsack problem", 1995, extended
// to bounds at many multipliers, which serve one and two resources alike.)
//
// Passes run with growing numbers of states per stage. A state that is dropped only for lack of
// room leaves its bound behind, so that the result is bounded whether or not the search was
// complete. Nothing depends on time: the same knapsack gives the same result everywhere.
#include "passes/Planning/KnapsackHulls.h"

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

// A state and the entry of a curve that completes it to a solution.
struct Completion {
  size_t state = 0, curve = 0, entry = 0;
  double cost = infinity;
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
    static constexpr double two[] = {1, 1.1, 0.9, 1.6, 0.6};
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
    secondPrice = scale[1];
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

  // Groups with a choice left, those whose options differ most in what their uses are worth first:
  // once the large ones are decided, the relaxation of the many small ones is tight. (On problems
  // of the published sizes this needs a tenth to a hundredth of the states that the most undecided
  // group first needs.)
  void orderGroups() {
    std::vector<std::tuple<double, size_t>> keys;
    for (size_t g = 0; g < knapsack.groups.size(); ++g) {
      const std::vector<KnapsackOption> &group = knapsack.groups[g];
      if (group.size() == 1)
        continue;
      double span = 0;
      for (size_t r = 0; r < knapsack.resources; ++r) {
        int64_t most = std::numeric_limits<int64_t>::min();
        for (const KnapsackOption &option : group)
          most = std::max(most, option.use[r]);
        span += tangents.front().multiplier[r] * double(most - leastOf(group, r));
      }
      keys.push_back({-span, g});
    }
    std::sort(keys.begin(), keys.end());
    order.clear();
    for (const auto &[key, g] : keys)
      order.push_back(g);
  }

  // Prices of resource 1 at which the rest is bounded.
  std::vector<double> prices(bool fine) const {
    if (knapsack.resources == 1)
      return {0};
    static constexpr double coarseFactors[] = {1, 0.9, 1.1, 0.6, 1.6, 0};
    static constexpr double fineFactors[] = {1,   0.985, 1.015, 0.96, 1.04, 0.9, 1.1,
                                             0.8, 1.25,  0.6,   1.6,  3,    0};
    std::vector<double> result;
    if (fine)
      for (double factor : fineFactors)
        result.push_back(factor * secondPrice);
    else
      for (double factor : coarseFactors)
        result.push_back(factor * secondPrice);
    return result;
  }

  // One dynamic programme with at most `width` states a stage.
  void pass(size_t width) {
    orderGroups();
    hulls.clear();
    for (double price : prices(width > 256))
      hulls.emplace_back(knapsack, order, price);
    curves.resize(hulls.size());
    leastUse.assign(order.size() + 1, {});
    for (size_t s = order.size(); s-- > 0;)
      for (size_t r = 0; r < maxResources; ++r)
        leastUse[s][r] = leastUse[s + 1][r] + leastOf(knapsack.groups[order[s]], r);
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
    if (order.empty())
      completeAll(start);
    // What was not dropped was completed or could not be better than the best.
    if (dropped >= target())
      exhausted = true;
    else
      bound = std::min(std::max(bound, dropped), best.cost);
  }

  // All states one option further, by use of the first resource.
  std::vector<State> expand(const std::vector<State> &from, size_t s) {
    const std::vector<KnapsackOption> &group = knapsack.groups[order[s]];
    for (size_t c = 0; c < hulls.size(); ++c)
      hulls[c].curve(s + 1, curves[c]);
    std::vector<State> merged, list, both;
    std::vector<ptrdiff_t> at(curves.size());
    for (uint32_t o = 0; o < group.size(); ++o) {
      list.clear();
      for (size_t c = 0; c < curves.size(); ++c)
        at[c] = ptrdiff_t(curves[c].entries.size()) - 1;
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
        if (!within)
          continue;
        setBound(state, at);
        if (state.bound < target())
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

  // `at`: where the state before was found on each curve.
  void setBound(State &state, std::vector<ptrdiff_t> &at) {
    int64_t room = knapsack.limit[0] - state.use[0];
    double over = double(state.use[1] - knapsack.limit[1]), most = -infinity;
    for (size_t c = 0; c < curves.size(); ++c) {
      at[c] = curves[c].walk(std::max<ptrdiff_t>(at[c], 0), room);
      if (at[c] < 0)
        most = infinity;
      else
        most = std::max(most, curves[c].value(at[c], room) + hulls[c].price() * over);
    }
    state.bound = state.cost + most;
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

  // Completes states with what the curves take of the rest, and keeps the best.
  void complete(const std::vector<State> &list, size_t s) {
    Completion found;
    found.cost = best.cost;
    std::vector<ptrdiff_t> at(curves.size(), 0);
    for (size_t i = 0; i < list.size(); ++i)
      for (size_t c = 0; c < curves.size(); ++c) {
        at[c] = curves[c].walk(std::max<ptrdiff_t>(at[c], 0), knapsack.limit[0] - list[i].use[0]);
        if (at[c] < 0)
          continue;
        const SuffixCurve::Entry &rest = curves[c].entries[size_t(at[c])];
        if (list[i].cost + rest.cost < found.cost &&
            list[i].use[1] + rest.use[1] <= knapsack.limit[1])
          found = {i, c, size_t(at[c]), list[i].cost + rest.cost};
      }
    if (!(found.cost < best.cost))
      return;
    std::vector<uint32_t> options;
    hulls[found.curve].options(s, found.entry, options);
    uint32_t state = uint32_t(found.state);
    for (size_t stage = s; stage-- > 0;) {
      options[stage] = steps[stage][state].option;
      state = steps[stage][state].parent;
    }
    best.cost = found.cost;
    best.option.clear();
    for (const std::vector<KnapsackOption> &group : knapsack.groups)
      best.option.push_back(group.front().tag);
    for (size_t stage = 0; stage < order.size(); ++stage)
      best.option[order[stage]] = knapsack.groups[order[stage]][options[stage]].tag;
  }

  // No group has a choice left.
  void completeAll(const State &state) {
    if (state.cost >= best.cost || state.use[0] > knapsack.limit[0] ||
        state.use[1] > knapsack.limit[1])
      return;
    best.cost = state.cost;
    best.option.clear();
    for (const std::vector<KnapsackOption> &group : knapsack.groups)
      best.option.push_back(group.front().tag);
  }

  Knapsack knapsack; // what is left of it; tags are option indices of the original
  const SearchOptions &options;
  std::vector<Relaxation> tangents; // the best multipliers first
  double bound, magnitude = 0;
  KnapsackSolution best{{}, infinity};
  bool impossible = false; // fixing showed that nothing is better than the best known
  bool exhausted = false;  // a pass dropped nothing that could be better
  size_t states = 0;

  double secondPrice = 0; // of resource 1, the best in the relaxation

  std::vector<size_t> order;                  // groups by stage
  std::vector<GroupHulls> hulls;              // by price
  std::vector<SuffixCurve> curves;            // by price, of the stage in work
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
