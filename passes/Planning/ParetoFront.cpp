#include "passes/Planning/ParetoFront.h"

#include "passes/Planning/PreparedProblem.h"

#include <algorithm>
#include <cmath>
#include <tuple>

namespace gcompile {

// A point of the front need not be proven to the last digit: its own bound says how good it is.
constexpr ExactOptions untimedEffort = {.relativeGap = 1e-6, .stateLimit = 400'000};
// With a time limit too, closing the last bit costs the most. The promise is a tenth of a percent;
// the few points where states run out cost more than all others, and are searched all the same.
constexpr ExactOptions timedEffort = {.relativeGap = 8e-4, .stateLimit = 4'000'000};
// Where the curve of the relaxation counts as flat, as a share of its range. Points closer together
// than the effort tells apart would be the same plans, or worse ones.
constexpr double untimedFlat = 1e-5, timedFlat = 1e-3;

// The most bytes that any choice of supported options takes.
static int64_t largestBytes(const PlanProblem &problem) {
  int64_t total = problem.fixedBytes;
  for (const PlanItem &item : problem.items) {
    int64_t most = 0;
    for (const PlanOption &option : item.options)
      if (option.supported)
        most = std::max(most, option.bytes);
    total += most;
  }
  return total;
}

namespace {

struct CurvePoint {
  double bytes, way; // way: how far along the curve
};

} // namespace

// The curve of the relaxation from `low` to `high` bytes, up to where it is as good as flat. Its
// way is measured half by bytes and half by the order of magnitude of the objective: equal steps
// along it show both the steep and the flat end.
static std::vector<CurvePoint> curveBetween(const PreparedProblem &prepared, int64_t low,
                                            int64_t high, double flat) {
  constexpr int samples = 96;
  std::vector<std::pair<int64_t, double>> sampled; // budget, bound
  for (int i = 0; i <= samples; ++i) {
    // Denser at the low end, which is the steep one.
    double share = std::pow(double(i) / samples, 2);
    int64_t budget = i == samples ? high : low + int64_t(share * double(high - low));
    if (auto relaxed = prepared.relaxAt(budget))
      sampled.push_back({budget, relaxed->bound});
  }
  if (sampled.empty())
    return {{double(low), 0}, {double(high), 1}};
  double best = sampled.back().second, range = sampled.front().second - best;
  while (sampled.size() > 2 && sampled[sampled.size() - 2].second - best <= flat * range)
    sampled.pop_back();
  double bytes = std::max(double(sampled.back().first - low), 1.0);
  std::vector<CurvePoint> curve;
  for (auto [budget, bound] : sampled) {
    double left = range > 0 ? (bound - best) / range : 0;
    curve.push_back({double(budget), 0.5 * double(budget - low) / bytes +
                                         0.5 * std::log(left + 10 * flat) / std::log(10 * flat)});
  }
  return curve;
}

// `count` budgets by equal ways along the curve.
static std::vector<int64_t> budgetsAlong(const std::vector<CurvePoint> &curve, size_t count) {
  std::vector<int64_t> budgets;
  double first = curve.front().way, last = curve.back().way;
  size_t at = 0;
  for (size_t i = 0; i + 1 < count; ++i) {
    double way = first + (last - first) * double(i) / double(count - 1);
    while (at + 1 < curve.size() && curve[at + 1].way <= way)
      ++at;
    const CurvePoint &a = curve[at], &b = curve[std::min(at + 1, curve.size() - 1)];
    double share = b.way > a.way ? (way - a.way) / (b.way - a.way) : 0;
    budgets.push_back(int64_t(a.bytes + share * (b.bytes - a.bytes)));
  }
  budgets.push_back(int64_t(curve.back().bytes));
  return budgets;
}

std::vector<FrontPoint> solveFront(const PlanProblem &problem, const FrontOptions &options) {
  PreparedProblem prepared(problem);
  bool timed = std::isfinite(problem.maxSeconds);
  const ExactOptions &effort = timed ? timedEffort : untimedEffort;
  std::optional<int64_t> smallest = prepared.smallestBudget();
  if (!smallest || options.points == 0 || *smallest > options.maxBytes)
    return {};
  SolveResult best = prepared.solve(std::min(options.maxBytes, largestBytes(problem)), effort);
  int64_t low = std::max(options.minBytes, *smallest);
  if (!best.solution || best.cost.bytes < low)
    return {};
  std::vector<int64_t> budgets =
      budgetsAlong(curveBetween(prepared, low, best.cost.bytes, timed ? timedFlat : untimedFlat),
                   std::max<size_t>(options.points, 3) - 1);

  std::vector<FrontPoint> points = {{*best.solution, best.cost, best.bound}};
  for (int64_t budget : budgets)
    if (SolveResult result = prepared.solve(budget, effort); result.solution)
      points.push_back({*result.solution, result.cost, result.bound});
  std::sort(points.begin(), points.end(), [](const FrontPoint &a, const FrontPoint &b) {
    return std::tie(a.cost.bytes, a.cost.objective, a.solution.choice) <
           std::tie(b.cost.bytes, b.cost.objective, b.solution.choice);
  });
  std::vector<FrontPoint> front;
  for (FrontPoint &point : points)
    if (point.cost.bytes >= options.minBytes &&
        (front.empty() || point.cost.objective < front.back().cost.objective))
      front.push_back(std::move(point));
  // A bound for more bytes holds for fewer bytes too.
  for (size_t i = front.size(); i-- > 1;)
    front[i - 1].bound = std::max(front[i - 1].bound, front[i].bound);
  return front;
}

} // namespace gcompile
