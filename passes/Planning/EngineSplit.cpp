// The network: engine 0 is the source, engine 1 the sink. An operation left with the sink pays its
// time on engine 1 (the edge from the source is cut), one left with the source its time on engine
// 0. Boost's boykov_kolmogorov_max_flow finds the cut; capacities are whole numbers, so that it is
// exact whatever the order of sums.
#include "passes/Planning/EngineSplit.h"

#include <boost/graph/adjacency_list.hpp>
#include <boost/graph/boykov_kolmogorov_max_flow.hpp>

#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>

namespace gcompile {
namespace {

using Traits = boost::adjacency_list_traits<boost::vecS, boost::vecS, boost::directedS>;

struct Vertex {
  boost::default_color_type colour{};
  int64_t distance = 0;
  Traits::edge_descriptor predecessor;
};

struct Arc {
  int64_t capacity = 0, residual = 0;
  Traits::edge_descriptor reverse;
};

using Network = boost::adjacency_list<boost::vecS, boost::vecS, boost::directedS, Vertex, Arc>;

void connect(Network &network, size_t from, size_t to, int64_t forward, int64_t backward) {
  auto there = boost::add_edge(from, to, network).first;
  auto back = boost::add_edge(to, from, network).first;
  network[there].capacity = forward;
  network[back].capacity = backward;
  network[there].reverse = back;
  network[back].reverse = there;
}

// Of all finite times.
double totalSeconds(const EngineGraph &graph) {
  double total = 0;
  for (const EngineOperation &operation : graph.operations)
    for (double seconds : operation.seconds)
      total += std::isfinite(seconds) ? seconds : 0;
  for (const EngineEdge &edge : graph.edges)
    total += edge.transferSeconds[0] + edge.transferSeconds[1];
  return total;
}

} // namespace

std::string check(const EngineGraph &graph) {
  for (size_t i = 0; i < graph.operations.size(); ++i) {
    const auto &seconds = graph.operations[i].seconds;
    for (double time : seconds)
      if (!(time >= 0))
        return "operation " + std::to_string(i) + " has a time that is negative or no number";
    if (!std::isfinite(seconds[0]) && !std::isfinite(seconds[1]))
      return "operation " + std::to_string(i) + " can be done by neither engine";
  }
  for (size_t i = 0; i < graph.edges.size(); ++i) {
    const EngineEdge &edge = graph.edges[i];
    if (edge.from >= graph.operations.size() || edge.to >= graph.operations.size())
      return "edge " + std::to_string(i) + " names an operation that does not exist";
    for (double time : edge.transferSeconds)
      if (!(time >= 0) || !std::isfinite(time))
        return "edge " + std::to_string(i) + " has a transfer time that is negative or not finite";
  }
  return std::isfinite(totalSeconds(graph)) ? "" : "the times sum to infinity";
}

EngineSplit evaluate(const EngineGraph &graph, std::vector<uint8_t> engine) {
  assert(engine.size() == graph.operations.size());
  EngineSplit split;
  for (size_t i = 0; i < engine.size(); ++i)
    split.seconds += graph.operations[i].seconds[engine[i]];
  for (const EngineEdge &edge : graph.edges)
    if (engine[edge.from] != engine[edge.to])
      split.transferSeconds += edge.transferSeconds[engine[edge.from]];
  split.seconds += split.transferSeconds;
  split.engine = std::move(engine);
  return split;
}

EngineSplit splitOverEngines(const EngineGraph &graph) {
  assert(check(graph).empty() && "a graph has to make sense");
  size_t count = graph.operations.size();
  double total = totalSeconds(graph);
  if (count == 0)
    return {};
  // Whole units; what an engine cannot do costs more than everything else together.
  constexpr double units = double(int64_t(1) << 40);
  double scale = total > 0 ? units / total : 0;
  int64_t forbidden = (int64_t(1) << 41) + int64_t(2 * (count + graph.edges.size()));
  auto unitsOf = [&](double seconds) {
    return std::isfinite(seconds) ? int64_t(std::llround(seconds * scale)) : forbidden;
  };
  Network network(count + 2);
  size_t source = count, sink = count + 1;
  for (size_t i = 0; i < count; ++i) {
    connect(network, source, i, unitsOf(graph.operations[i].seconds[1]), 0);
    connect(network, i, sink, unitsOf(graph.operations[i].seconds[0]), 0);
  }
  for (const EngineEdge &edge : graph.edges)
    if (edge.from != edge.to)
      connect(network, edge.from, edge.to, unitsOf(edge.transferSeconds[0]),
              unitsOf(edge.transferSeconds[1]));
  boost::boykov_kolmogorov_max_flow(
      network, boost::get(&Arc::capacity, network), boost::get(&Arc::residual, network),
      boost::get(&Arc::reverse, network), boost::get(&Vertex::predecessor, network),
      boost::get(&Vertex::colour, network), boost::get(&Vertex::distance, network),
      boost::get(boost::vertex_index, network), source, sink);
  // With engine 1 is what still reaches the sink; the rest, as large as it can be, is with engine
  // 0.
  std::vector<uint8_t> engine(count, 0);
  std::vector<size_t> open = {sink};
  std::vector<bool> reached(count + 2, false);
  reached[sink] = true;
  while (!open.empty()) {
    size_t at = open.back();
    open.pop_back();
    for (auto [arc, end] = boost::out_edges(at, network); arc != end; ++arc) {
      size_t from = boost::target(*arc, network);
      if (reached[from] || network[network[*arc].reverse].residual <= 0)
        continue;
      reached[from] = true;
      if (from < count)
        engine[from] = 1;
      open.push_back(from);
    }
  }
  return evaluate(graph, std::move(engine));
}

} // namespace gcompile
