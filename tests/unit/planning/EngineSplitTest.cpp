// The split over two engines against brute force over all assignments, and small graphs worked out
// by hand.
#include "passes/Planning/EngineSplit.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

using namespace gcompile;

namespace {

constexpr double never = std::numeric_limits<double>::infinity();

double bruteForce(const EngineGraph &graph) {
  double best = never;
  size_t count = graph.operations.size();
  for (uint32_t bits = 0; bits < uint32_t(1) << count; ++bits) {
    double seconds = 0;
    auto on = [&](size_t i) { return (bits >> i) & 1; };
    for (size_t i = 0; i < count; ++i)
      seconds += graph.operations[i].seconds[on(i)];
    for (const EngineEdge &edge : graph.edges)
      if (on(edge.from) != on(edge.to))
        seconds += edge.transferSeconds[on(edge.from)];
    best = std::min(best, seconds);
  }
  return best;
}

TEST(EngineSplit, MovesOnlyWhatPaysForItsTransfers) {
  // A chain: the middle is three times as fast on engine 1, handing over takes 1 each way.
  EngineGraph graph;
  graph.operations = {{{1, 5}}, {{6, 2}}, {{1, 5}}};
  graph.edges = {{0, 1, {1, 1}}, {1, 2, {1, 1}}};
  EngineSplit split = splitOverEngines(graph);
  EXPECT_EQ(split.engine, (std::vector<uint8_t>{0, 1, 0}));
  EXPECT_DOUBLE_EQ(split.seconds, 1 + 1 + 2 + 1 + 1);
  EXPECT_DOUBLE_EQ(split.transferSeconds, 2);
  // Dearer transfers keep it where the others are.
  graph.edges = {{0, 1, {2.5, 2.5}}, {1, 2, {2.5, 2.5}}};
  EXPECT_EQ(splitOverEngines(graph).engine, (std::vector<uint8_t>{0, 0, 0}));
}

TEST(EngineSplit, TransfersCountByTheirDirection) {
  // The first has to be on engine 1, the second on engine 0: the value goes from 1 to 0.
  EngineGraph graph;
  graph.operations = {{{never, 1}}, {{1, never}}};
  graph.edges = {{0, 1, {100, 3}}};
  EngineSplit split = splitOverEngines(graph);
  EXPECT_EQ(split.engine, (std::vector<uint8_t>{1, 0}));
  EXPECT_DOUBLE_EQ(split.seconds, 5);
  EXPECT_DOUBLE_EQ(split.transferSeconds, 3);
}

TEST(EngineSplit, PrefersTheFirstEngineWhereNothingDecides) {
  EngineGraph graph;
  graph.operations = {{{1, 1}}, {{0, 0}}, {{2, 1}}};
  EXPECT_EQ(splitOverEngines(graph).engine, (std::vector<uint8_t>{0, 0, 1}));
  EXPECT_EQ(splitOverEngines({}).seconds, 0);
  graph.operations = {{{0, 0}}};
  EXPECT_EQ(splitOverEngines(graph).engine, (std::vector<uint8_t>{0}));
}

TEST(EngineSplit, RefusesWhatMakesNoSense) {
  EngineGraph graph;
  graph.operations = {{{1, never}}, {{never, 1}}};
  graph.edges = {{0, 1, {1, 1}}};
  EXPECT_EQ(check(graph), "");
  EngineGraph bad = graph;
  bad.operations[1].seconds = {never, never};
  EXPECT_NE(check(bad).find("neither engine"), std::string::npos);
  bad = graph;
  bad.operations[0].seconds = {-1, 1};
  EXPECT_NE(check(bad).find("operation 0"), std::string::npos);
  bad.operations[0].seconds = {std::nan(""), 1};
  EXPECT_NE(check(bad).find("operation 0"), std::string::npos);
  bad = graph;
  bad.edges[0].to = 2;
  EXPECT_NE(check(bad).find("edge 0"), std::string::npos);
  bad.edges[0] = {0, 1, {never, 1}};
  EXPECT_NE(check(bad).find("edge 0"), std::string::npos);
}

// Random graphs of up to 12 operations; what it finds is what it says it costs, and the least.
TEST(EngineSplit, IsExact) {
  std::mt19937 random(20261121);
  auto draw = [&](double low, double high) {
    return std::uniform_real_distribution<double>(low, high)(random);
  };
  size_t mixed = 0;
  for (int round = 0; round < 1500; ++round) {
    EngineGraph graph;
    size_t count = 1 + random() % 12;
    bool whole = round % 3 == 0; // whole numbers make ties
    auto time = [&](double most) {
      double value = draw(0, most);
      return whole ? std::floor(value * 8) : value;
    };
    for (size_t i = 0; i < count; ++i) {
      EngineOperation operation{{time(1), time(1)}};
      if (random() % 6 == 0)
        operation.seconds[random() % 2] = never;
      graph.operations.push_back(operation);
    }
    double dear = std::exp(draw(-4, 0.5));
    for (size_t i = 0, edges = random() % (2 * count + 1); i < edges; ++i)
      graph.edges.push_back({random() % count, random() % count, {time(dear), time(dear)}});
    ASSERT_EQ(check(graph), "");
    EngineSplit split = splitOverEngines(graph);
    ASSERT_EQ(split.engine.size(), count);
    double least = bruteForce(graph);
    ASSERT_NEAR(split.seconds, least, 1e-9 * (1 + least)) << "round " << round;
    EXPECT_DOUBLE_EQ(split.seconds, evaluate(graph, split.engine).seconds);
    size_t second = size_t(std::count(split.engine.begin(), split.engine.end(), 1));
    mixed += second > 0 && second < count;
  }
  EXPECT_GT(mixed, 300u) << "the graphs have to make it choose";
}

// A model's size: thousands of operations in a chain with side branches, at once.
TEST(EngineSplit, SolvesWholePasses) {
  std::mt19937 random(7);
  EngineGraph graph;
  for (size_t i = 0; i < 3000; ++i) {
    graph.operations.push_back({{double(random() % 1000), double(random() % 1000)}});
    if (i > 0)
      graph.edges.push_back({i - 1, i, {50, 50}});
    if (i > 9 && i % 3 == 0)
      graph.edges.push_back({i - 9, i, {80, 20}});
  }
  EngineSplit split = splitOverEngines(graph);
  for (uint8_t engine : {0, 1})
    EXPECT_LT(split.seconds,
              evaluate(graph, std::vector<uint8_t>(graph.operations.size(), engine)).seconds);
}

} // namespace
