// Planning problems for tests and benchmarks: random families, shapes of the published sizes, and a
// text form.
#pragma once

#include "passes/Planning/PlanProblem.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace gcompile {

// How bytes, losses and times hang together, from easy to hard for a knapsack.
enum class Family {
  Uncorrelated,       // everything at random
  Correlated,         // loss falls with bytes, with noise: what weights look like
  StronglyCorrelated, // loss = constant − bytes, almost: the relaxation says little
  SubsetSum,          // loss = −bytes: only exact filling counts
  Identical,          // many equal items: symmetric
};
constexpr Family allFamilies[] = {Family::Uncorrelated, Family::Correlated,
                                  Family::StronglyCorrelated, Family::SubsetSum, Family::Identical};
std::string_view name(Family family);

struct InstanceShape {
  Family family = Family::Correlated;
  size_t items = 5, options = 4; // at most; at least 1
  bool couplings = false, speedLimit = false, unsupported = false, ratesOfExchange = false;
  // Where the budget lies between the smallest and the largest choice; below 0 nothing fits.
  double tightness = 0.5;
};

// The same for the same seed, everywhere.
PlanProblem randomInstance(const InstanceShape &shape, uint32_t seed);

// As `gcompile` would ask for a published size: its tensors and caches with their true shapes, 2 to
// 16 bits (`options` choices a tensor, at most 24), made-up sensitivities that differ by role and
// layer. `experts` sizes group the experts of a layer by projection.
PlanProblem modelInstance(std::string_view size, size_t options, double bitsPerWeight,
                          uint32_t seed);
std::vector<std::string_view> modelInstanceNames();

// The text form, one statement a line, '#' starts a comment:
//   budget BYTES | fixed BYTES SECONDS | max-seconds S | rates LOSS_PER_SECOND LOSS_PER_STORED_BYTE
//   item NAME
//   option FORMAT BYTES LOSS SECONDS [stored BYTES] [unsupported]     of the last item
//   couple REASON ITEM…                                              items by name
//   row FORMAT…                                                      of the last couple, * for any
//   expect OBJECTIVE | expect nothing                                the optimum, known otherwise
struct Instance {
  PlanProblem problem;
  std::optional<double> optimum;
  bool infeasible = false;
};
// `error` says the line and what was wrong.
std::optional<Instance> parseInstance(const std::string &text, std::string &error);
std::string printInstance(const PlanProblem &problem);

} // namespace gcompile
