#include "passes/Planning/GreedySolver.h"

#include <algorithm>
#include <cassert>
#include <map>

namespace gcompile {
namespace {

// A choice for a whole coupling (or a single item), priced.
struct Choice {
  std::vector<size_t> options; // one per member
  int64_t bytes = 0;
  double cost = 0; // loss + price · seconds
  double seconds = 0;
  int64_t order = 0; // of first appearance: the last tie-breaker
};

struct Unit {
  std::vector<size_t> members;
  std::vector<Choice> choices; // by bytes, strictly falling cost: dominated choices are gone
  std::vector<size_t> hull;    // indices of `choices` on the lower convex hull
};

// One move along a hull.
struct Step {
  size_t unit, from, to; // indices into hull
  int64_t bytes;
  double gain;
};

} // namespace

static std::vector<std::vector<size_t>> unitMembers(const PlanProblem &problem) {
  std::vector<std::vector<size_t>> units;
  std::vector<bool> coupled(problem.items.size(), false);
  std::map<size_t, const Coupling *> first;
  for (const Coupling &coupling : problem.couplings) {
    if (coupling.items.empty())
      continue;
    for (size_t index : coupling.items)
      coupled[index] = true;
    first[*std::min_element(coupling.items.begin(), coupling.items.end())] = &coupling;
  }
  for (size_t i = 0; i < problem.items.size(); ++i) {
    if (auto found = first.find(i); found != first.end())
      units.push_back(found->second->items);
    else if (!coupled[i])
      units.push_back({i});
  }
  return units;
}

static std::vector<Choice> choicesOf(const PlanProblem &problem, const std::vector<size_t> &members,
                                     double price) {
  std::vector<Choice> choices;
  for (const PlanOption &lead : problem.items[members.front()].options) {
    Choice choice;
    choice.order = int64_t(choices.size());
    for (size_t member : members) {
      const std::vector<PlanOption> &options = problem.items[member].options;
      auto same = std::find_if(options.begin(), options.end(), [&](const PlanOption &option) {
        return option.format == lead.format && option.supported;
      });
      if (same == options.end())
        break;
      choice.options.push_back(size_t(same - options.begin()));
      choice.bytes += same->bytes;
      choice.seconds += same->seconds;
      choice.cost += objectiveOf(problem, *same) + (price - problem.lossPerSecond) * same->seconds;
    }
    if (choice.options.size() == members.size())
      choices.push_back(std::move(choice));
  }
  return choices;
}

// Sorts by bytes and drops every choice that another one beats in bytes and cost.
static void dropDominated(std::vector<Choice> &choices) {
  std::sort(choices.begin(), choices.end(), [](const Choice &a, const Choice &b) {
    if (a.bytes != b.bytes)
      return a.bytes < b.bytes;
    if (a.cost != b.cost)
      return a.cost < b.cost;
    return a.order < b.order;
  });
  std::vector<Choice> kept;
  for (Choice &choice : choices)
    if (kept.empty() || choice.cost < kept.back().cost)
      kept.push_back(std::move(choice));
  choices = std::move(kept);
}

static std::vector<size_t> lowerHull(const std::vector<Choice> &choices) {
  std::vector<size_t> hull;
  auto slope = [&](size_t a, size_t b) {
    return (choices[a].cost - choices[b].cost) / double(choices[b].bytes - choices[a].bytes);
  };
  for (size_t i = 0; i < choices.size(); ++i) {
    while (hull.size() >= 2 && slope(hull[hull.size() - 2], hull.back()) <= slope(hull.back(), i))
      hull.pop_back();
    hull.push_back(i);
  }
  return hull;
}

namespace {

// One run at one price of time.
class Run {
public:
  Run(const PlanProblem &problem, double price) : problem(problem) {
    for (std::vector<size_t> &members : unitMembers(problem)) {
      Unit unit;
      unit.choices = choicesOf(problem, members, price);
      unit.members = std::move(members);
      dropDominated(unit.choices);
      unit.hull = lowerHull(unit.choices);
      feasibleUnits &= !unit.choices.empty();
      units.push_back(std::move(unit));
    }
  }

  // Some coupling has no format that all its members support.
  bool consistent() const { return feasibleUnits; }

  int64_t startSmallest() {
    chosen.assign(units.size(), 0);
    used = problem.fixedBytes;
    for (const Unit &unit : units)
      used += unit.choices.front().bytes;
    return used;
  }

  // Greedy along the hulls; returns the bound of the linear relaxation (without the fixed seconds).
  double climb() {
    std::vector<Step> steps;
    double cost = 0;
    for (size_t u = 0; u < units.size(); ++u) {
      const Unit &unit = units[u];
      cost += unit.choices.front().cost;
      for (size_t h = 1; h < unit.hull.size(); ++h) {
        const Choice &a = unit.choices[unit.hull[h - 1]], &b = unit.choices[unit.hull[h]];
        steps.push_back({u, h - 1, h, b.bytes - a.bytes, a.cost - b.cost});
      }
    }
    std::sort(steps.begin(), steps.end(), [](const Step &a, const Step &b) {
      double left = a.gain * double(b.bytes), right = b.gain * double(a.bytes);
      if (left != right)
        return left > right;
      return a.unit != b.unit ? a.unit < b.unit : a.from < b.from;
    });
    double bound = cost;
    bool relaxed = true; // the relaxation has not met its fractional step yet
    int64_t relaxedUsed = used;
    std::vector<size_t> hullAt(units.size(), 0);
    for (const Step &step : steps) {
      if (relaxed) {
        int64_t room = problem.budgetBytes - relaxedUsed;
        if (step.bytes <= room) {
          bound -= step.gain;
          relaxedUsed += step.bytes;
        } else {
          bound -= step.gain * double(room) / double(step.bytes);
          relaxed = false;
        }
      }
      if (hullAt[step.unit] != step.from || used + step.bytes > problem.budgetBytes)
        continue;
      used += step.bytes;
      hullAt[step.unit] = step.to;
      chosen[step.unit] = units[step.unit].hull[step.to];
    }
    return bound;
  }

  // Fills the room that is left with the best single change, then with the best exchange of two,
  // until neither helps.
  void improve() {
    for (int round = 0; round < 1000; ++round)
      if (!bestSingle() && !bestExchange())
        return;
  }

  PlanSolution solution() const {
    PlanSolution result;
    result.choice.assign(problem.items.size(), 0);
    for (size_t u = 0; u < units.size(); ++u)
      for (size_t m = 0; m < units[u].members.size(); ++m)
        result.choice[units[u].members[m]] = units[u].choices[chosen[u]].options[m];
    return result;
  }

private:
  bool bestSingle() {
    double bestGain = 0;
    size_t bestUnit = 0, bestChoice = 0;
    for (size_t u = 0; u < units.size(); ++u) {
      const Unit &unit = units[u];
      const Choice &now = unit.choices[chosen[u]];
      for (size_t c = chosen[u] + 1; c < unit.choices.size(); ++c)
        if (used - now.bytes + unit.choices[c].bytes <= problem.budgetBytes &&
            now.cost - unit.choices[c].cost > bestGain) {
          bestGain = now.cost - unit.choices[c].cost;
          bestUnit = u;
          bestChoice = c;
        }
    }
    if (bestGain <= 0)
      return false;
    take(bestUnit, bestChoice);
    return true;
  }

  // Shrinks one unit and grows another. Bounded work: only tried where units · choices stays small.
  bool bestExchange() {
    double bestGain = 1e-15;
    size_t best[4];
    bool found = false;
    for (size_t a = 0; a < units.size(); ++a) {
      const Choice &nowA = units[a].choices[chosen[a]];
      for (size_t ca = 0; ca < chosen[a]; ++ca) {
        const Choice &smaller = units[a].choices[ca];
        int64_t room = problem.budgetBytes - used + nowA.bytes - smaller.bytes;
        double loss = smaller.cost - nowA.cost;
        for (size_t b = 0; b < units.size(); ++b) {
          if (a == b)
            continue;
          const Choice &nowB = units[b].choices[chosen[b]];
          for (size_t cb = units[b].choices.size(); cb-- > chosen[b] + 1;) {
            const Choice &larger = units[b].choices[cb];
            if (larger.bytes - nowB.bytes > room)
              continue;
            double gain = nowB.cost - larger.cost - loss;
            if (gain > bestGain) {
              bestGain = gain;
              best[0] = a, best[1] = ca, best[2] = b, best[3] = cb;
              found = true;
            }
            break; // choices fall in cost: the largest that fits is the best
          }
        }
      }
    }
    if (!found)
      return false;
    take(best[0], best[1]);
    take(best[2], best[3]);
    return true;
  }

  void take(size_t unit, size_t choice) {
    used += units[unit].choices[choice].bytes - units[unit].choices[chosen[unit]].bytes;
    chosen[unit] = choice;
  }

  const PlanProblem &problem;
  std::vector<Unit> units;
  std::vector<size_t> chosen; // index into choices
  int64_t used = 0;
  bool feasibleUnits = true;
};

} // namespace

// Solves at one price of time. The bound is for objective loss + price · seconds.
static SolveResult solveAtPrice(const PlanProblem &problem, double price) {
  SolveResult result;
  Run run(problem, price);
  if (!run.consistent())
    return result;
  result.smallestBytes = run.startSmallest();
  result.smallest = run.solution();
  if (result.smallestBytes > problem.budgetBytes)
    return result;
  result.bound = run.climb() + price * problem.fixedSeconds;
  run.improve();
  result.solution = run.solution();
  result.cost = evaluate(problem, *result.solution);
  return result;
}

SolveResult GreedySolver::solve(const PlanProblem &problem) const {
  assert(check(problem).empty() && "solve() needs a problem that makes sense");
  SolveResult best = solveAtPrice(problem, problem.lossPerSecond);
  if (!best.solution || best.cost.seconds <= problem.maxSeconds)
    return best;

  // min loss + p·seconds − (p − p0)·maxSeconds is a bound for every p ≥ p0 (Lagrange); the largest
  // found is kept.
  double base = problem.lossPerSecond, bound = best.bound;
  double low = base, high = std::max(base, 1e-6);
  SolveResult fast = best;
  auto solveAt = [&](double price) {
    SolveResult result = solveAtPrice(problem, price);
    bound = std::max(bound, result.bound - (price - base) * problem.maxSeconds);
    return result;
  };
  for (int i = 0; i < 60 && fast.cost.seconds > problem.maxSeconds; ++i) {
    low = high;
    high *= 4;
    fast = solveAt(high);
  }
  if (fast.cost.seconds > problem.maxSeconds) {
    best.solution.reset();
    return best;
  }
  for (int i = 0; i < 40; ++i) {
    double middle = (low + high) / 2;
    SolveResult result = solveAt(middle);
    bool met = result.cost.seconds <= problem.maxSeconds;
    (met ? high : low) = middle;
    if (met && result.cost.objective <= fast.cost.objective)
      fast = result;
  }
  fast.bound = bound;
  return fast;
}

} // namespace gcompile
