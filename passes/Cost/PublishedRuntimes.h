// How other runtimes decode Gemma 4, as two constants for each class of runtime: the share of the
// memory's peak that they reach and what a launch costs besides. Fitted to 64 published
// measurements (tests/data/measurements); tests/unit/cost/PublishedRuntimesTest fits them again,
// prints the table of errors, and fails when these constants are not what the measurements say.
// They serve where nothing was measured of our own kernels on a kind of device, and say what a
// rival does.
#pragma once

#include "passes/Cost/RooflineFit.h"

#include <span>
#include <string_view>

namespace gcompile {

struct PublishedRuntime {
  std::string_view group, title;
  int measurements;
  RooflineFit fit;      // η of peak bandwidth; τ in seconds a launch (decodeLaunches)
  double expectedError; // mean error of a prediction for a device that is not among them
};

std::span<const PublishedRuntime> publishedRuntimes();
const PublishedRuntime *findPublishedRuntime(std::string_view group); // null: no such group

// The share of an engine's arithmetic peak that prompts reach elsewhere (model A of the same test).
struct PublishedPrefill {
  std::string_view group, title;
  double share;
};
const PublishedPrefill &publishedPrefill(bool cuda); // llama.cpp on cards, else LiteRT-LM

// Variance of a measurement about the model (errors of about 20 %) over that of log τ between
// groups (factors of about e).
constexpr double stepCostPriorWeight = 0.04;

} // namespace gcompile
