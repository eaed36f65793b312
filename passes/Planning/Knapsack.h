// The multiple-choice knapsack with one or two limits: each group takes one option, the uses of
// each resource are summed, the sum of costs is to be least. What the exact solver works on after
// couplings are contracted and resources that do not bind are left out.
//
// The bounds are Lagrangian: for any multipliers m ≥ 0, the sum over groups of the least
// cost + m·use, less m·limit, is at most the cost of every solution within the limits.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace gcompile {

constexpr size_t maxResources = 2;

template <typename T>
using PerResource = std::array<T, maxResources>;

struct KnapsackOption {
  PerResource<int64_t> use{};
  double cost = 0;
  uint32_t tag = 0; // the caller's
};

struct Knapsack {
  size_t resources = 1; // 1 or 2; the use and limit of the other are 0
  PerResource<int64_t> limit{};
  std::vector<std::vector<KnapsackOption>> groups;
};

// The sums over one option of each group.
struct KnapsackSums {
  double cost = 0;
  PerResource<int64_t> use{};
};

// What the multipliers make of a knapsack: the value of the relaxation and the solution that has
// it, which need not be within the limits.
struct Relaxation {
  PerResource<double> multiplier{};
  double bound = 0;
  double magnitude = 0; // of the terms that were summed: rounding errors are relative to this
  KnapsackSums sums;
};

// The option of least cost + multiplier · use; of equally good ones the first with the least use of
// `prefer`. costWeight 0 asks for the least multiplier · use.
size_t bestOption(const std::vector<KnapsackOption> &group, const PerResource<double> &multiplier,
                  size_t prefer, double costWeight = 1);

// Takes bestOption in every group.
Relaxation relax(const Knapsack &knapsack, const PerResource<double> &multiplier,
                 size_t prefer = 0);

// The best multipliers: their bound is that of the linear relaxation. None: not even a mixture of
// solutions is within the limits.
std::optional<Relaxation> solveDual(const Knapsack &knapsack);

struct KnapsackSolution {
  std::vector<uint32_t> option; // index per group
  double cost = 0;
};

struct SearchOptions {
  // Stop when cost − bound ≤ relativeGap · |cost|.
  double relativeGap = 1e-10;
  // Partial solutions that may be looked at, all together.
  size_t stateLimit = 6'000'000;
};

struct SearchResult {
  std::optional<KnapsackSolution> solution;
  double bound = 0;     // no solution within the limits costs less
  bool complete = true; // the gap was reached, or it is proven that there is no solution
  size_t states = 0;    // partial solutions looked at
};

SearchResult searchKnapsack(const Knapsack &knapsack, const SearchOptions &options = {});

} // namespace gcompile
