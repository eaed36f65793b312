// Maximises the Lagrangian bound. As a function of one multiplier it is concave and piecewise
// linear; each solution (or mixture of solutions) is a line above it. The lines from both sides of
// the top intersect at the next multiplier to try, and the top is reached when the function meets
// that intersection: a Newton method that ends exactly. For two resources the same is done for the
// function that is left when the first multiplier is at its best for the second.
#include "passes/Planning/Knapsack.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace gcompile {
namespace {

// Sums over one option of each group, or over a mixture of such.
struct Mixture {
  double cost = 0;
  PerResource<double> use{};
};

// A line above the function of one multiplier, the mixture it stands for, and the multipliers at
// which it touches.
struct Line {
  double atZero = 0, slope = 0;
  Mixture mixture;
  PerResource<double> multiplier{};
  double value = 0; // where it touches

  double at(double multiplier) const { return atZero + multiplier * slope; }
};

} // namespace

size_t bestOption(const std::vector<KnapsackOption> &group, const PerResource<double> &multiplier,
                  size_t prefer, double costWeight) {
  size_t best = 0;
  double least = std::numeric_limits<double>::infinity();
  for (size_t o = 0; o < group.size(); ++o) {
    double value = costWeight * group[o].cost + multiplier[0] * double(group[o].use[0]) +
                   multiplier[1] * double(group[o].use[1]);
    if (value < least || (value == least && group[o].use[prefer] < group[best].use[prefer])) {
      least = value;
      best = o;
    }
  }
  return best;
}

static Relaxation relaxWeighted(const Knapsack &knapsack, double costWeight,
                                const PerResource<double> &multiplier, size_t prefer) {
  Relaxation result;
  result.multiplier = multiplier;
  for (const std::vector<KnapsackOption> &group : knapsack.groups) {
    const KnapsackOption &best = group[bestOption(group, multiplier, prefer, costWeight)];
    result.bound += costWeight * best.cost;
    result.magnitude += std::abs(best.cost);
    result.sums.cost += best.cost;
    for (size_t r = 0; r < maxResources; ++r) {
      result.bound += multiplier[r] * double(best.use[r]);
      result.magnitude += std::abs(multiplier[r] * double(best.use[r]));
      result.sums.use[r] += best.use[r];
    }
  }
  for (size_t r = 0; r < maxResources; ++r) {
    result.bound -= multiplier[r] * double(knapsack.limit[r]);
    result.magnitude += std::abs(multiplier[r] * double(knapsack.limit[r]));
  }
  return result;
}

Relaxation relax(const Knapsack &knapsack, const PerResource<double> &multiplier, size_t prefer) {
  return relaxWeighted(knapsack, 1, multiplier, prefer);
}

// Where the mixture of the lines left and right of the top has slope 0.
static Mixture mixtureAtTop(const Line &rising, const Line &falling) {
  double share = -falling.slope / (rising.slope - falling.slope);
  auto mix = [&](double a, double b) { return share * a + (1 - share) * b; };
  const Mixture &a = rising.mixture, &b = falling.mixture;
  return {mix(a.cost, b.cost), {mix(a.use[0], b.use[0]), mix(a.use[1], b.use[1])}};
}

// `touch(m)` gives a line that touches the function at m; `falling` is one of slope ≤ 0. Returns
// the best line that was touched, with the mixture that is optimal at the top.
template <typename Touch>
static Line climb(Line falling, Touch touch) {
  Line rising = touch(0.0);
  if (rising.slope <= 0)
    return rising;
  Line best = rising;
  // Ends by itself: each round finds a line that was not known. The limit is for rounding.
  for (int round = 0; round < 200; ++round) {
    double multiplier = (falling.atZero - rising.atZero) / (rising.slope - falling.slope);
    if (!(multiplier > 0) || !std::isfinite(multiplier))
      break;
    Line next = touch(multiplier);
    if (next.value > best.value)
      best = next;
    double top = rising.at(multiplier);
    if (next.value >= top - 1e-14 * (std::abs(rising.atZero) + std::abs(top)))
      break;
    Line &side = next.slope > 0 ? rising : falling;
    if (side.slope == next.slope && side.atZero == next.atZero)
      break;
    side = next;
  }
  best.mixture = mixtureAtTop(rising, falling);
  return best;
}

static Mixture mixtureOf(const KnapsackSums &sums) {
  return {sums.cost, {double(sums.use[0]), double(sums.use[1])}};
}

// The best multiplier of resource 0 with that of resource 1 given. Needs the least use of resource
// 0 to be within its limit.
static Line bestFirst(const Knapsack &knapsack, double costWeight, double second) {
  auto lineOf = [&](const Relaxation &relaxation) {
    Line line;
    line.mixture = mixtureOf(relaxation.sums);
    line.atZero =
        costWeight * line.mixture.cost + second * (line.mixture.use[1] - double(knapsack.limit[1]));
    line.slope = line.mixture.use[0] - double(knapsack.limit[0]);
    line.multiplier = relaxation.multiplier;
    line.value = relaxation.bound;
    return line;
  };
  Relaxation falling; // the solution of least use: it touches at infinity
  for (const std::vector<KnapsackOption> &group : knapsack.groups) {
    auto value = [&](const KnapsackOption &option) {
      return costWeight * option.cost + second * double(option.use[1]);
    };
    const KnapsackOption &option = *std::min_element(
        group.begin(), group.end(), [&](const KnapsackOption &a, const KnapsackOption &b) {
          return a.use[0] != b.use[0] ? a.use[0] < b.use[0] : value(a) < value(b);
        });
    falling.sums.cost += option.cost;
    for (size_t r = 0; r < maxResources; ++r)
      falling.sums.use[r] += option.use[r];
  }
  return climb(lineOf(falling), [&](double first) {
    return lineOf(relaxWeighted(knapsack, costWeight, {first, second}, 0));
  });
}

std::optional<Relaxation> solveDual(const Knapsack &knapsack) {
  for (size_t r = 0; r < knapsack.resources; ++r) {
    int64_t least = 0;
    for (const std::vector<KnapsackOption> &group : knapsack.groups) {
      int64_t use = std::numeric_limits<int64_t>::max();
      for (const KnapsackOption &option : group)
        use = std::min(use, option.use[r]);
      least += use;
    }
    if (least > knapsack.limit[r])
      return std::nullopt;
  }
  if (knapsack.resources == 1)
    return relax(knapsack, bestFirst(knapsack, 1, 0).multiplier);

  // Lines of the second multiplier: the mixture is within the first limit.
  auto lineOf = [&](Line line) {
    line.atZero = line.mixture.cost;
    line.slope = line.mixture.use[1] - double(knapsack.limit[1]);
    return line;
  };
  Line fastest = lineOf(bestFirst(knapsack, 0, 1)); // the least use of resource 1 that is possible
  if (fastest.slope > 1e-9 * std::abs(fastest.mixture.use[1]))
    return std::nullopt;
  fastest.slope = std::min(fastest.slope, 0.0);
  Line best = climb(fastest, [&](double second) { return lineOf(bestFirst(knapsack, 1, second)); });
  return relax(knapsack, best.multiplier, 1);
}

} // namespace gcompile
