#include "passes/Planning/GreedySolver.h"

#include "passes/Planning/ChoiceGroups.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <tuple>

namespace gcompile {
namespace {

// A choice of a group, priced.
struct Priced {
  size_t choice; // of the group
  int64_t bytes;
  double cost; // loss + price · seconds
};

struct Unit {
  std::vector<Priced> choices; // by bytes, strictly falling cost: dominated choices are gone
  std::vector<size_t> hull;    // indices of `choices` on the lower convex hull
};

// One move along a hull.
struct Step {
  size_t unit, from, to; // indices into hull
  int64_t bytes;
  double gain;
};

} // namespace

// By bytes, without every choice that another one beats in bytes and cost. Of equal ones the first
// stays.
static std::vector<Priced> pricedChoices(const ChoiceGroup &group, double extraPerPicosecond) {
  std::vector<Priced> choices;
  for (size_t i = 0; i < group.choices.size(); ++i) {
    const Choice &choice = group.choices[i];
    choices.push_back(
        {i, choice.bytes, choice.cost + extraPerPicosecond * double(choice.picoseconds)});
  }
  std::sort(choices.begin(), choices.end(), [](const Priced &a, const Priced &b) {
    return std::tie(a.bytes, a.cost, a.choice) < std::tie(b.bytes, b.cost, b.choice);
  });
  std::vector<Priced> kept;
  for (const Priced &choice : choices)
    if (kept.empty() || choice.cost < kept.back().cost)
      kept.push_back(choice);
  return kept;
}

static std::vector<size_t> lowerHull(const std::vector<Priced> &choices) {
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
  Run(const PlanProblem &problem, const std::vector<ChoiceGroup> &groups, double price)
      : problem(problem), groups(groups) {
    for (const ChoiceGroup &group : groups) {
      Unit unit;
      unit.choices = pricedChoices(group, (price - problem.lossPerSecond) * 1e-12);
      unit.hull = lowerHull(unit.choices);
      units.push_back(std::move(unit));
    }
  }

  void startSmallest() {
    chosen.assign(units.size(), 0);
    used = problem.fixedBytes;
    for (const Unit &unit : units)
      used += unit.choices.front().bytes;
  }

  // Greedy along the hulls; returns the bound of the linear relaxation (without the fixed seconds).
  double climb() {
    std::vector<Step> steps;
    double cost = 0;
    for (size_t u = 0; u < units.size(); ++u) {
      const Unit &unit = units[u];
      cost += unit.choices.front().cost;
      for (size_t h = 1; h < unit.hull.size(); ++h) {
        const Priced &a = unit.choices[unit.hull[h - 1]], &b = unit.choices[unit.hull[h]];
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
    std::vector<size_t> choice;
    for (size_t u = 0; u < units.size(); ++u)
      choice.push_back(units[u].choices[chosen[u]].choice);
    return expand(problem, groups, choice);
  }

private:
  bool bestSingle() {
    double bestGain = 0;
    size_t bestUnit = 0, bestChoice = 0;
    for (size_t u = 0; u < units.size(); ++u) {
      const Unit &unit = units[u];
      const Priced &now = unit.choices[chosen[u]];
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
      const Priced &nowA = units[a].choices[chosen[a]];
      for (size_t ca = 0; ca < chosen[a]; ++ca) {
        const Priced &smaller = units[a].choices[ca];
        int64_t room = problem.budgetBytes - used + nowA.bytes - smaller.bytes;
        double loss = smaller.cost - nowA.cost;
        for (size_t b = 0; b < units.size(); ++b) {
          if (a == b)
            continue;
          const Priced &nowB = units[b].choices[chosen[b]];
          for (size_t cb = units[b].choices.size(); cb-- > chosen[b] + 1;) {
            const Priced &larger = units[b].choices[cb];
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
  const std::vector<ChoiceGroup> &groups;
  std::vector<Unit> units;
  std::vector<size_t> chosen; // index into choices
  int64_t used = 0;
};

} // namespace

// Solves at one price of time. The bound is for objective loss + price · seconds.
static SolveResult solveAtPrice(const PlanProblem &problem, const std::vector<ChoiceGroup> &groups,
                                double price) {
  SolveResult result;
  findSmallest(problem, groups, result);
  if (result.smallestBytes > problem.budgetBytes)
    return result;
  Run run(problem, groups, price);
  run.startSmallest();
  result.bound = run.climb() + price * problem.fixedSeconds;
  run.improve();
  result.solution = run.solution();
  result.cost = evaluate(problem, *result.solution);
  return result;
}

SolveResult GreedySolver::solve(const PlanProblem &problem) const {
  assert(check(problem).empty() && "solve() needs a problem that makes sense");
  Contraction contraction = contract(problem);
  if (contraction.inconsistent > 0)
    return {};
  bool timed = std::isfinite(problem.maxSeconds);
  for (ChoiceGroup &group : contraction.groups)
    dropDominated(group.choices, timed);
  int64_t limit = picosecondsLeft(problem);
  SolveResult best = solveAtPrice(problem, contraction.groups, problem.lossPerSecond);
  if (!best.solution || best.cost.picoseconds <= limit)
    return best;

  // min loss + p·seconds − (p − p0)·maxSeconds is a bound for every p ≥ p0 (Lagrange); the largest
  // found is kept.
  double base = problem.lossPerSecond, bound = best.bound;
  double low = base, high = std::max(base, 1e-6);
  double limitSeconds = problem.fixedSeconds + double(limit) * 1e-12;
  SolveResult fast = best;
  auto solveAt = [&](double price) {
    SolveResult result = solveAtPrice(problem, contraction.groups, price);
    bound = std::max(bound, result.bound - (price - base) * limitSeconds);
    return result;
  };
  for (int i = 0; i < 60 && fast.cost.picoseconds > limit; ++i) {
    low = high;
    high *= 4;
    fast = solveAt(high);
  }
  if (fast.cost.picoseconds > limit) {
    best.solution.reset();
    best.complete = false; // a plan that meets the time limit may exist
    best.bound = bound;
    return best;
  }
  for (int i = 0; i < 40; ++i) {
    double middle = (low + high) / 2;
    SolveResult result = solveAt(middle);
    bool met = result.cost.picoseconds <= limit;
    (met ? high : low) = middle;
    if (met && result.cost.objective <= fast.cost.objective)
      fast = result;
  }
  fast.bound = bound;
  return fast;
}

} // namespace gcompile
