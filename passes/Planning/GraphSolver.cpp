#include "passes/Planning/GraphSolver.h"

#include "passes/Planning/ChoiceGroups.h"

#include <boost/graph/adjacency_list.hpp>
#include <boost/graph/r_c_shortest_paths.hpp>

#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>
#include <tuple>

namespace gcompile {
namespace {

struct Edge {
  size_t group = 0, choice = 0;
  double cost = 0;
  int64_t bytes = 0, picoseconds = 0;
  size_t index = 0;
};

using Graph =
    boost::adjacency_list<boost::vecS, boost::vecS, boost::directedS, boost::no_property, Edge>;
using Path = std::vector<boost::graph_traits<Graph>::edge_descriptor>;

// What a path from the source has used.
struct Label {
  double cost = 0;
  int64_t bytes = 0, picoseconds = 0;
};

// The order in which labels are treated.
bool operator<(const Label &a, const Label &b) {
  return std::tie(a.cost, a.bytes, a.picoseconds) < std::tie(b.cost, b.bytes, b.picoseconds);
}

bool dominates(const Label &a, const Label &b) {
  return a.cost <= b.cost && a.bytes <= b.bytes && a.picoseconds <= b.picoseconds;
}

struct Limits {
  int64_t bytes, picoseconds;
  std::vector<int64_t> leastBytes, leastPicoseconds; // from a vertex to the end
  size_t labels = 0, labelLimit;
};

// Copied by Boost, so it refers to what it counts.
struct Extend {
  Limits *limits;

  bool operator()(const Graph &graph, Label &next, const Label &label,
                  boost::graph_traits<Graph>::edge_descriptor edge) const {
    if (++limits->labels > limits->labelLimit)
      return false;
    const Edge &choice = graph[edge];
    next.cost = label.cost + choice.cost;
    next.bytes = label.bytes + choice.bytes;
    next.picoseconds = label.picoseconds + choice.picoseconds;
    size_t to = boost::target(edge, graph);
    if (next.bytes + limits->leastBytes[to] > limits->bytes ||
        next.picoseconds + limits->leastPicoseconds[to] > limits->picoseconds)
      return false;
    // At the end the cost alone decides. Boost returns the first label there that no other one
    // dominates, so that one has to be the cheapest.
    if (to + 1 == boost::num_vertices(graph))
      next.bytes = next.picoseconds = 0;
    return true;
  }
};

} // namespace

static int64_t leastOf(const ChoiceGroup &group, int64_t Choice::*use) {
  int64_t least = std::numeric_limits<int64_t>::max();
  for (const Choice &choice : group.choices)
    least = std::min(least, choice.*use);
  return least;
}

SolveResult GraphSolver::solve(const PlanProblem &problem) const {
  assert(check(problem).empty() && "solve() needs a problem that makes sense");
  Contraction contraction = contract(problem);
  if (contraction.inconsistent > 0)
    return {};
  const std::vector<ChoiceGroup> &groups = contraction.groups;
  SolveResult result;
  findSmallest(problem, groups, result);

  Graph graph(groups.size() + 1);
  Limits limits{
      problem.budgetBytes - problem.fixedBytes, picosecondsLeft(problem), {}, {}, 0, labelLimit};
  limits.leastBytes.assign(groups.size() + 1, 0);
  limits.leastPicoseconds.assign(groups.size() + 1, 0);
  double leastCost = 0;
  size_t edges = 0;
  for (size_t g = groups.size(); g-- > 0;) {
    limits.leastBytes[g] = limits.leastBytes[g + 1] + leastOf(groups[g], &Choice::bytes);
    limits.leastPicoseconds[g] =
        limits.leastPicoseconds[g + 1] + leastOf(groups[g], &Choice::picoseconds);
    // Lengths must not be negative: the first label that is taken up at the end is then the best.
    double least = std::numeric_limits<double>::infinity();
    for (const Choice &choice : groups[g].choices)
      least = std::min(least, choice.cost);
    leastCost += least;
    for (size_t c = 0; c < groups[g].choices.size(); ++c) {
      const Choice &choice = groups[g].choices[c];
      boost::add_edge(
          g, g + 1, {g, c, choice.cost - least, choice.bytes, choice.picoseconds, edges++}, graph);
    }
  }
  double fixedCost = problem.lossPerSecond * problem.fixedSeconds;
  result.bound = leastCost + fixedCost;
  if (limits.leastBytes[0] > limits.bytes || limits.leastPicoseconds[0] > limits.picoseconds)
    return result;

  Path path; // from the target to the source
  Label used;
  boost::r_c_shortest_paths(
      graph, boost::get(boost::vertex_index, graph), boost::get(&Edge::index, graph),
      boost::vertex(0, graph), boost::vertex(groups.size(), graph), path, used, Label(),
      Extend{&limits}, dominates, std::allocator<boost::r_c_shortest_paths_label<Graph, Label>>(),
      boost::default_r_c_shortest_paths_visitor());
  if (limits.labels > labelLimit) {
    result.complete = false;
    return result;
  }
  if (path.empty() && !groups.empty())
    return result;
  std::vector<size_t> choice(groups.size(), 0);
  for (const auto &edge : path)
    choice[graph[edge].group] = graph[edge].choice;
  result.solution = expand(problem, groups, choice);
  result.cost = evaluate(problem, *result.solution);
  // Optimal; the objective was summed in another order.
  result.bound = std::min(result.bound + used.cost, result.cost.objective);
  return result;
}

} // namespace gcompile
