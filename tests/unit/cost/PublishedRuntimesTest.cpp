// The published measurements (tests/data/measurements) against the model of published runtimes: how
// well it predicts a measurement, and a Gemma size, that it has not seen, beside the naive
// roofline. The table of errors to beat was made for the same measurements by an independent
// program.
#include "passes/Cost/PublishedRuntimes.h"
#include "tests/unit/cost/Measurements.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdio>
#include <set>

using namespace gcompile;
using namespace gcompile::test;

namespace {

// Decoder layers, launches of a decoded token, and weights of the decoder that one token uses
// (without embedding and head), from the public configurations.
struct GemmaSize {
  double layers, launches, activeWeights, prefillWeights;
};

// Products: q, o, gate, up, down everywhere; k and v where a layer has a cache of its own, v not
// where it is the key; two of the per-layer inputs; with experts the router and their two stacks.
// Besides, three launches a layer (six with experts) and two a token, as decodeLaunches counts.
constexpr double launches(int layers, int ownKeys, int ownValues, bool perLayerInputs,
                          bool experts) {
  return layers * (5 + 2 * perLayerInputs + 3 * experts + (experts ? 6 : 3)) + ownKeys + ownValues +
         2;
}

const std::map<std::string, GemmaSize> gemmaSizes = {
    {"gemma4-E2B", {35, launches(35, 15, 15, true, false), 1876.8e6, 577.6e6}},
    {"gemma4-E4B", {42, launches(42, 24, 24, true, false), 3972.8e6, 2313.4e6}},
    {"gemma4-12B", {48, launches(48, 48, 40, false, false), 10899.9e6, 10899.9e6}},
    {"gemma4-26B-A4B", {30, launches(30, 30, 25, false, true), 3083.6e6, 3083.6e6}},
    {"gemma4-31B", {60, launches(60, 60, 50, false, false), 29286.7e6, 29286.7e6}}};

// The same count as the cost model's, which is tested to make 382 of E2B's shapes.
static_assert(launches(35, 15, 15, true, false) == 382);

using Groups = std::map<std::string, std::vector<RooflineSample>>;

enum class Steps { layers, launches };

// By group of the file. By engine too where a group mixes engines: constants are an engine's.
Groups decodeGroups(Steps steps, bool byEngine) {
  auto rows = readMeasurements("published.csv");
  std::map<std::string, std::set<std::string>> engines;
  auto engineOf = [](const MeasurementRow &row) {
    std::string engine = row.at("backend").substr(0, row.at("backend").find_first_of(" ."));
    std::transform(engine.begin(), engine.end(), engine.begin(), ::tolower);
    return engine;
  };
  for (const MeasurementRow &row : rows)
    engines[row.at("fit_group")].insert(engineOf(row));
  Groups groups;
  for (const MeasurementRow &row : rows) {
    std::string group = row.at("fit_group");
    if (group == "-")
      continue;
    if (byEngine && engines[group].size() > 1)
      group += "-" + engineOf(row);
    const GemmaSize &size = gemmaSizes.at(row.at("model"));
    groups[group].push_back({std::stod(row.at("bytes_per_tok_gb")) * 1e9,
                             std::stod(row.at("bw_peak_gbs")) * 1e9,
                             steps == Steps::layers ? size.layers : size.launches,
                             1 / std::stod(row.at("decode_tok_s")), row.at("model")});
  }
  return groups;
}

// τ of a group starts where the other groups' is: their median, without the group itself.
StepCostPrior priorFor(const Groups &groups, const std::string &group) {
  std::vector<double> others;
  for (const auto &[name, samples] : groups)
    if (name != group && samples.size() >= 3)
      others.push_back(std::max(fitModelC(samples).secondsPerStep, 1e-7));
  std::sort(others.begin(), others.end());
  return {others[others.size() / 2], stepCostPriorWeight};
}

RooflineFit fitPlain(std::span<const RooflineSample> samples) { return fitModelC(samples); }

// What devices.md section 4 reports for these rows, %: Model C's mean error and leave-one-out, and
// Model A's.
struct ReportedErrors {
  double mean, leaveOneOut, meanOfA, leaveOneOutOfA;
};
const std::map<std::string, ReportedErrors> reported = {
    {"llama-cuda", {7.3, 8.3, 20.7, 22.3}},
    {"strix-halo", {0.4, 5.3, 13.5, 20.1}},
    {"llama-metal", {15.4, 19.2, 21.7, 23.7}},
    {"litert-gpu-desktop", {17.0, 27.5, 29.8, 36.2}},
    {"litert-gpu-mobile", {24.4, 41.0, 26.6, 33.2}},
    {"litert-cpu", {20.8, 28.8, 21.8, 24.9}},
    {"llama-cpu", {9.4, 15.7, 11.1, 13.8}},
    {"jetson", {19.8, 23.0, 20.1, 22.4}}};
constexpr double rounding = 0.05; // half of the last digit reported

// Model C as the report must have fitted it: η in steps of 0.01, τ a layer in steps of 5 µs up to
// about half a millisecond (its constants are such numbers).
RooflineFit fitOnTheReportsGrid(std::span<const RooflineSample> samples) {
  RooflineFit best;
  double least = 1e300;
  for (int efficiency = 1; efficiency <= 100; ++efficiency)
    for (int microseconds = 0; microseconds <= 510; microseconds += 5) {
      RooflineFit fit{efficiency / 100.0, microseconds * 1e-6};
      double sum = 0;
      for (const RooflineSample &sample : samples) {
        double error = std::log(predictSeconds(fit, sample) / sample.seconds);
        sum += error * error;
      }
      if (sum < least) {
        least = sum;
        best = fit;
      }
    }
  return best;
}

// The rows are the report's: its estimator gives its errors on them, CUDA's 8.3 left out included,
// which the least squares between its grid's points do not (8.6). So that figure is its grid's.
TEST(PublishedRuntimes, AreTheRowsThatWereReportedOn) {
  for (const auto &[name, samples] : decodeGroups(Steps::layers, false)) {
    auto wanted = reported.find(name);
    if (wanted == reported.end())
      continue;
    EXPECT_NEAR(100 * meanError(fitModelA(samples), samples), wanted->second.meanOfA, 0.1) << name;
    EXPECT_NEAR(100 * leaveOneOutError(samples, fitModelA), wanted->second.leaveOneOutOfA, 0.1)
        << name;
    RooflineFit fit = fitOnTheReportsGrid(samples);
    EXPECT_NEAR(100 * meanError(fit, samples), wanted->second.mean, 0.1) << name;
    EXPECT_NEAR(100 * leaveOneOutError(samples, fitOnTheReportsGrid), wanted->second.leaveOneOut,
                0.1)
        << name;
  }
}

struct Errors {
  double rows = 0, mean = 0, leaveOneOut = 0, leaveOneModelOut = 0; // sums over rows
  double predicted = 0; // rows whose model could be left out
};

// Sums over the classes of runtime that a group of the report holds.
void add(Errors &errors, std::span<const RooflineSample> samples, const Fitter &fitter) {
  size_t predicted = 0;
  double count = double(samples.size());
  double withoutModel = leaveOneModelOutError(samples, fitter, predicted);
  errors.rows += count;
  errors.mean += count * meanError(fitter(samples), samples);
  errors.leaveOneOut += count * leaveOneOutError(samples, fitter);
  errors.leaveOneModelOut += double(predicted) * withoutModel;
  errors.predicted += double(predicted);
}

std::string show(const Errors &errors) {
  char text[64];
  std::snprintf(text, sizeof text, "%4.1f /%5.1f /%5.1f", 100 * errors.mean / errors.rows,
                100 * errors.leaveOneOut / errors.rows,
                errors.predicted > 0 ? 100 * errors.leaveOneModelOut / errors.predicted : 0);
  return text;
}

// Leaving a whole Gemma size out is harder than what was reported; what it comes to, %, where it is
// above the report's figure for one row left out. Everywhere else it is not.
const std::map<std::string, double> leftOutSizeAboveTheReport = {{"llama-cuda", 8.6},
                                                                 {"llama-metal", 19.4}};

TEST(PublishedRuntimes, PredictUnseenMeasurementsNoWorseThanWasReported) {
  Groups layers = decodeGroups(Steps::layers, false), classes = decodeGroups(Steps::launches, true);
  ASSERT_EQ(layers.size(), 9u);
  ASSERT_EQ(classes.size(), 10u);
  std::map<std::string, Errors> naive, byLayer, byLaunch;
  for (const auto &[name, samples] : layers) {
    add(naive[name], samples, fitModelA);
    add(byLayer[name], samples, fitPlain);
  }
  for (const auto &[name, samples] : classes) {
    StepCostPrior prior = priorFor(classes, name);
    bool part = !layers.count(name); // of a group that mixes engines
    add(byLaunch[part ? name.substr(0, name.rfind('-')) : name], samples,
        [&](std::span<const RooflineSample> s) { return fitModelC(s, prior); });
  }
  std::printf("errors in %%: mean / one measurement left out / one Gemma size left out\n"
              "%-20s %3s   %-20s  %-20s  %-20s  %s\n",
              "group", "n", "A", "C by layer", "C by launch, prior", "reported: one left out");
  double sum = 0, sumOfA = 0, count = 0;
  for (const auto &[name, errors] : byLaunch) {
    auto wanted = reported.find(name);
    std::printf("%-20s %3.0f   %s   %s   %s   %5.1f\n", name.c_str(), errors.rows,
                show(naive[name]).c_str(), show(byLayer[name]).c_str(), show(errors).c_str(),
                wanted == reported.end() ? 0 : wanted->second.leaveOneOut);
    if (wanted == reported.end())
      continue; // litert-cpu-desktop: two rows, no report
    EXPECT_LE(100 * errors.leaveOneOut / errors.rows, wanted->second.leaveOneOut + rounding)
        << name;
    double sizeLeftOut = 100 * errors.leaveOneModelOut / errors.predicted;
    auto above = leftOutSizeAboveTheReport.find(name);
    EXPECT_LE(sizeLeftOut, (above == leftOutSizeAboveTheReport.end() ? wanted->second.leaveOneOut
                                                                     : above->second) +
                               rounding)
        << name;
    sum += errors.leaveOneOut;
    sumOfA += naive[name].leaveOneOut;
    count += errors.rows;
  }
  ASSERT_EQ(count, 62);
  std::printf(
      "62 rows, one measurement left out: A %.1f, C by launch %.1f (reported: 24.3, 20.2)\n",
      100 * sumOfA / count, 100 * sum / count);
  EXPECT_LE(100 * sum / count, 20.2);
}

TEST(PublishedRuntimes, ConstantsAreWhatTheMeasurementsSay) {
  Groups groups = decodeGroups(Steps::launches, true);
  ASSERT_EQ(publishedRuntimes().size(), groups.size());
  for (const auto &[name, samples] : groups) {
    const PublishedRuntime *runtime = findPublishedRuntime(name);
    StepCostPrior prior = priorFor(groups, name);
    auto pooled = [&](std::span<const RooflineSample> s) { return fitModelC(s, prior); };
    RooflineFit fit = pooled(samples);
    SCOPED_TRACE(name + ": " + std::to_string(fit.efficiency) + ", " +
                 std::to_string(1e6 * fit.secondsPerStep) + "e-6, " +
                 std::to_string(leaveOneOutError(samples, pooled)));
    ASSERT_NE(runtime, nullptr);
    EXPECT_EQ(runtime->measurements, int(samples.size())) << name;
    EXPECT_NEAR(runtime->fit.efficiency, fit.efficiency, 0.002) << name;
    EXPECT_NEAR(runtime->fit.secondsPerStep, fit.secondsPerStep, 0.05e-6) << name;
    EXPECT_NEAR(runtime->expectedError, leaveOneOutError(samples, pooled), 0.002) << name;
  }
}

// Prefill of llama.cpp on cards: operations of all layers against the int8 peak, and a fixed cost
// for every layer and micro-batch of 512 tokens. A prompt is what `context` says.
std::vector<RooflineSample> prefillSamples(const std::string &backend, bool skipSharedLayers) {
  std::map<std::string, double> peaks;
  for (const MeasurementRow &row : readMeasurements("peaks.csv"))
    peaks[row.at("soc") + " " + row.at("backend")] = std::stod(row.at("operations_per_second"));
  std::vector<RooflineSample> samples;
  for (const MeasurementRow &row : readMeasurements("published.csv")) {
    auto size = gemmaSizes.find(row.at("model"));
    std::string used = row.at("backend").substr(0, row.at("backend").find(" 4T"));
    auto peak = peaks.find(row.at("soc") + " " + used);
    if (used.rfind(backend, 0) != 0 || row.at("fit_group") == "-" ||
        row.at("prefill_tok_s").empty() || size == gemmaSizes.end() || peak == peaks.end() ||
        row.at("model") == "gemma4-26B-A4B")
      continue;
    double tokens = std::stod(row.at("context"));
    double weights = skipSharedLayers ? size->second.prefillWeights : size->second.activeWeights;
    samples.push_back({2 * weights * tokens, peak->second,
                       size->second.layers * std::max(1.0, tokens / 512),
                       tokens / std::stod(row.at("prefill_tok_s")), row.at("model")});
  }
  return samples;
}

TEST(PublishedRuntimes, PrefillOnCardsNeedsACostPerLayer) {
  std::vector<RooflineSample> samples = prefillSamples("llama.cpp CUDA", false);
  ASSERT_EQ(samples.size(), 9u);
  RooflineFit a = fitModelA(samples), c = fitModelC(samples);
  std::printf(
      "llama.cpp CUDA prefill, %zu rows: A phi %.2f, %.0f %%; C phi %.2f, %.0f us per layer "
      "and micro-batch, %.0f %%, left out %.0f %%\n",
      samples.size(), a.efficiency, 100 * meanError(a, samples), c.efficiency,
      1e6 * c.secondsPerStep, 100 * meanError(c, samples),
      100 * leaveOneOutError(samples, [](auto s) { return fitModelC(s); }));
  EXPECT_LT(100 * meanError(c, samples), 22 + 2); // ten rows there, one of no known peak
  EXPECT_LT(meanError(c, samples), meanError(a, samples) / 1.5);
  EXPECT_NEAR(publishedPrefill(true).share, a.efficiency, 0.002);
}

TEST(PublishedRuntimes, LiteRtPrefillIsPossibleOnlyWhenSharedLayersAreSkipped) {
  std::vector<RooflineSample> skip = prefillSamples("LiteRT-LM", true),
                              full = prefillSamples("LiteRT-LM", false);
  ASSERT_EQ(skip.size(), 6u);
  double most = 0, mostFull = 0;
  for (size_t i = 0; i < skip.size(); ++i) {
    most = std::max(most, skip[i].work / skip[i].peakPerSecond / skip[i].seconds);
    mostFull = std::max(mostFull, full[i].work / full[i].peakPerSecond / full[i].seconds);
  }
  RooflineFit a = fitModelA(skip);
  std::printf(
      "LiteRT prefill, %zu rows: phi %.2f with shared layers skipped, %.0f %%, left out %.0f "
      "%%; the largest share of the peak %.2f (%.2f with all layers)\n",
      skip.size(), a.efficiency, 100 * meanError(a, skip), 100 * leaveOneOutError(skip, fitModelA),
      most, mostFull);
  EXPECT_NEAR(publishedPrefill(false).share, a.efficiency, 0.002);
  EXPECT_LE(most, 1);
  EXPECT_GT(mostFull, 1);
}

// Both constants come back from times that obey the model.
TEST(RooflineFit, FindsTheConstantsOfExactSamples) {
  std::vector<RooflineSample> samples;
  for (double work : {1e9, 3e9, 9e9, 20e9})
    for (double layers : {30.0, 60.0})
      samples.push_back({work, 100e9, layers, work / (0.7 * 100e9) + layers * 2e-4, "m"});
  RooflineFit fit = fitModelC(samples);
  EXPECT_NEAR(fit.efficiency, 0.7, 1e-4);
  EXPECT_NEAR(fit.secondsPerStep, 2e-4, 1e-7);
  EXPECT_GT(meanError(fitModelA(samples), samples), 0.05);
  EXPECT_NEAR(leaveOneOutError(samples, [](auto s) { return fitModelC(s); }), 0, 1e-4);
}

TEST(RooflineFit, NeverExceedsThePeak) {
  std::vector<RooflineSample> samples = {{10e9, 100e9, 30, 0.05, "a"}, {20e9, 100e9, 30, 0.1, "b"}};
  EXPECT_LE(fitModelC(samples).efficiency, 1);
  EXPECT_LE(fitModelA(samples).efficiency, 1);
}

// One model alone says nothing of τ: the prior decides, and one left out is not predicted.
TEST(RooflineFit, APriorDecidesWhatSamplesCannot) {
  std::vector<RooflineSample> samples = {{10e9, 100e9, 50, 0.2, "a"}, {10e9, 100e9, 50, 0.2, "a"}};
  EXPECT_NEAR(fitModelC(samples, StepCostPrior{1e-3, 0.06}).secondsPerStep, 1e-3, 2e-4);
  EXPECT_NEAR(fitModelC(samples, StepCostPrior{1e-4, 0.06}).secondsPerStep, 1e-4, 2e-5);
  size_t predicted = 7;
  EXPECT_EQ(leaveOneModelOutError(samples, fitModelA, predicted), 0);
  EXPECT_EQ(predicted, 0u);
}

} // namespace
