// Which of two engines (a processor and an accelerator, say) does each operation of a pass, when
// they work one after the other: the sum of the operations' times on their engines and of the
// transfers between operations on different engines is least. That is a minimum cut (H. S. Stone,
// "Multiprocessor Scheduling with the Aid of Network Flow Algorithms", 1977), so the answer is
// exact. Times are seconds. Engines that work at once (a pipeline over many inputs) are another
// problem.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace gcompile {

constexpr size_t engineCount = 2;

struct EngineOperation {
  // By engine; infinity: the engine cannot do it.
  std::array<double, engineCount> seconds{};
};

// A value that goes from one operation to another. Several edges between two operations add up.
struct EngineEdge {
  size_t from = 0, to = 0;
  // By the engine of `from`: what handing it to the other one takes.
  std::array<double, engineCount> transferSeconds{};
};

struct EngineGraph {
  std::vector<EngineOperation> operations;
  std::vector<EngineEdge> edges;
};

// Why the graph makes no sense, empty when it does: an edge's ends, a time that is negative or no
// number, an infinite transfer, an operation that neither engine can do.
std::string check(const EngineGraph &graph);

struct EngineSplit {
  std::vector<uint8_t> engine; // by operation: 0 or 1
  double seconds = 0;          // in all
  double transferSeconds = 0;  // of them
};

// What an assignment takes; infinity when an engine cannot do what it is given.
EngineSplit evaluate(const EngineGraph &graph, std::vector<uint8_t> engine);

// The best assignment; of equally good ones one with the most on engine 0. Requires check(graph) to
// be empty. Times are resolved to 2^-40 of the sum of all finite ones.
EngineSplit splitOverEngines(const EngineGraph &graph);

} // namespace gcompile
