// One decoded token: measured figures that the model has to give back, what each term counts, and
// what an estimate must never do.
#include "passes/Cost/CostModel.h"
#include "tests/unit/cost/TestShapes.h"

#include <cmath>
#include <gtest/gtest.h>

using namespace gcompile;
using namespace gcompile::test;

namespace {

MachineModel machineOf(double bandwidth) {
  MachineModel machine;
  machine.readBytesPerSecond = bandwidth;
  return machine;
}

TimeEstimate tokenOf(const MachineModel &machine, WeightFormat format, int64_t positions = 1) {
  ModelShape model = shapeOfE2B();
  std::vector<WeightFormat> formats(model.tensors.size(), format);
  DecodeWork work;
  work.formats = formats;
  work.positions = positions;
  return decodeTime(machine, model, work);
}

TEST(DecodeTime, E2BInW4IsWhatWasMeasured) {
  // kernels.md 1: 1.140 GB a token took 37.5 to 41 ms where the plain read of it took 37.0.
  TensorShape all{"all", "down", 0, 2279759104 / 1536, 1536};
  double seconds = decodeSeconds(machineOf(1.140e9 / 37e-3), all, WeightFormat::W4, 1140000000);
  EXPECT_GT(seconds, 0.0375);
  EXPECT_LT(seconds, 0.041);
}

TEST(DecodeTime, TermsOfE2BAddUpToTheWeightsRead) {
  // devices.md 1: Q4_0 reads 1.282 GB of weights and head for a token; ours packs 4.5 bits too.
  MachineModel machine = machineOf(100e9);
  TimeEstimate token = tokenOf(machine, WeightFormat::W4G32);
  double bytes =
      (token.of("weights") + token.of("head")) * 100e9 * bandwidthShare(WeightFormat::W4G32);
  EXPECT_NEAR(bytes, 1.282e9, 0.003e9);
  EXPECT_NEAR(token.of("head") / (token.of("weights") + token.of("head")), 402.7 / 2279.5, 0.002);
  EXPECT_EQ(token.dominantLimit(), "memory bandwidth");
  EXPECT_LT(token.low, token.seconds());
  EXPECT_GT(token.high, token.seconds());
}

TEST(DecodeTime, ReadsTheCachesThatSharingLayersReadAgain) {
  // devices.md 1: 14336 local and 7168 global elements a position on E2B; the window is 512.
  ModelShape model = shapeOfE2B();
  EXPECT_EQ(kvBytesPerPosition(model, false, KvFormat::F16, KvFormat::F16), 2 * 14336);
  EXPECT_EQ(kvBytesPerPosition(model, true, KvFormat::F16, KvFormat::F16), 2 * 7168);
  MachineModel machine = machineOf(10e9);
  double share = bandwidthShare(KvFormat::F16);
  EXPECT_NEAR(kvReadSeconds(machine, model, false, KvFormat::F16, KvFormat::F16, 4096),
              512 * 28672 / (10e9 * share), 1e-9);
  EXPECT_NEAR(kvReadSeconds(machine, model, true, KvFormat::F16, KvFormat::F16, 4096),
              4096.0 * 14336 / (10e9 * share), 1e-9);
  EXPECT_GT(kvReadSeconds(machine, model, true, KvFormat::F16, KvFormat::F16, 4096),
            1.9 * kvReadSeconds(machine, model, true, KvFormat::Kv8, KvFormat::Kv8, 4096) * 0.77 /
                0.9);
}

TEST(DecodeTime, SlowArithmeticBoundsNarrowFormats) {
  MachineModel machine = machineOf(10e9);
  machine.instructionsPerSecond = 4e9;
  TensorShape tensor{"t", "down", 0, 1024, 1024};
  int64_t bytes = packedBytes(WeightFormat::W2, 1024, 1024);
  EXPECT_GT(decodeSeconds(machine, tensor, WeightFormat::W2, bytes),
            double(bytes) / (10e9 * bandwidthShare(WeightFormat::W2)) * 1.5);
  EXPECT_TRUE(isArithmeticBound(machine, WeightFormat::W2));
  EXPECT_FALSE(isArithmeticBound(machine, WeightFormat::F32));
  EXPECT_EQ(tokenOf(machine, WeightFormat::W2).dominantLimit(), "arithmetic");
}

TEST(DecodeTime, MeasuredRatesReplaceGeneralOnes) {
  MachineModel machine = machineOf(10e9);
  machine.weightRates[size_t(WeightFormat::W4)] = {7e9, 6e9, 0};
  TensorShape tensor{"t", "down", 0, 4096, 4096};
  int64_t bytes = packedBytes(WeightFormat::W4, 4096, 4096);
  // 7 GB/s from memory, but decoding manages 6.
  EXPECT_NEAR(decodeSeconds(machine, tensor, WeightFormat::W4, bytes), double(bytes) / 6e9, 1e-9);
  machine.weightRates[size_t(WeightFormat::W4)].cachedBytesPerSecond = 60e9;
  EXPECT_NEAR(decodeSeconds(machine, tensor, WeightFormat::W4, bytes), double(bytes) / 7e9, 1e-9);
  // What stays in a cache is read faster.
  machine.readCurve = {{1e6, 40e9}, {1e9, 10e9}}; // four times as fast: 28 GB/s
  EXPECT_NEAR(decodeSeconds(machine, tensor, WeightFormat::W4, bytes, 1e6), double(bytes) / 28e9,
              1e-9);
  EXPECT_NEAR(readBandwidth(machine, 31.6228e6), 20e9, 1e6);
  EXPECT_EQ(readBandwidth(machine, 1), 40e9);
  EXPECT_EQ(readBandwidth(machine, 1e12), 10e9);
}

TEST(DecodeTime, SetsInCachesHaveTheirOwnRates) {
  MachineModel machine = machineOf(10e9);
  machine.weightRates[size_t(WeightFormat::W4)] = {7e9, 60e9, 0, {{1e6, 50e9}, {4e6, 20e9}}};
  machine.weightRates[size_t(WeightFormat::W2)] = {7e9, 60e9, 0, {}};
  TensorShape tensor{"t", "down", 0, 4096, 4096};
  auto rate = [&](WeightFormat format, double workingSet) {
    int64_t bytes = packedBytes(format, 4096, 4096);
    return double(bytes) / decodeSeconds(machine, tensor, format, bytes, workingSet);
  };
  EXPECT_NEAR(rate(WeightFormat::W4, 0.5e6), 50e9, 1);
  EXPECT_NEAR(rate(WeightFormat::W4, 2e6), std::sqrt(50e9 * 20e9), 1);
  EXPECT_NEAR(rate(WeightFormat::W4, 4e6), 20e9, 1);
  // Not of this size, not known, and not measured for this format.
  EXPECT_NEAR(rate(WeightFormat::W4, 5e6), 7e9, 1);
  EXPECT_NEAR(rate(WeightFormat::W4, 0), 7e9, 1);
  EXPECT_NEAR(rate(WeightFormat::W2, 2e6), 7e9, 1);
}

TEST(DecodeTime, ReadingFollowsTheBandwidthOfTheMomentAndArithmeticDoesNot) {
  MachineModel machine = machineOf(20e9);
  machine.weightRates[size_t(WeightFormat::W4)] = {10e9, 12e9, 1e12};
  machine.readCurve = {{1e6, 80e9}, {1e9, 20e9}};
  TensorShape tensor{"t", "down", 0, 4096, 4096};
  double bytes = double(packedBytes(WeightFormat::W4, 4096, 4096));
  auto seconds = [&](double read) {
    return decodeSeconds(atReadBandwidth(machine, read), tensor, WeightFormat::W4, int64_t(bytes));
  };
  EXPECT_NEAR(seconds(20e9), bytes / 10e9, 1e-12);
  EXPECT_NEAR(seconds(5e9), bytes / 2.5e9, 1e-12); // its share of the bandwidth stays one half
  EXPECT_NEAR(seconds(100e9), bytes / 12e9, 1e-12);
  EXPECT_NEAR(readBandwidth(atReadBandwidth(machine, 5e9), 1e6), 20e9, 1);
  EXPECT_EQ(atReadBandwidth(machine, 5e9).rates(WeightFormat::W4).matmulOperationsPerSecond, 1e12);
  EXPECT_EQ(atReadBandwidth({}, 5e9).readBytesPerSecond, 0);
}

TEST(DecodeTime, LaunchesDecideOnSmallModels) {
  MachineModel machine = machineOf(1e15);
  TimeEstimate token = tokenOf(machine, WeightFormat::W4);
  EXPECT_EQ(token.dominantLimit(), "barriers");
  // Counted in the program that gcompile emits for E2B.
  EXPECT_EQ(decodeLaunches(shapeOfE2B()), 382);
  EXPECT_NEAR(token.of("launches"), 382 * machine.barrierSeconds, 1e-12);
}

TEST(DecodeTime, UnknownMachineGetsNoPrediction) {
  EXPECT_FALSE(tokenOf({}, WeightFormat::W4).known());
  EXPECT_EQ(decodeSpeed(TimeEstimate()).tokensPerSecond, 0);
  EXPECT_EQ(decodeSpeed(DecodeParts()).tokensPerSecond, 0);
  EXPECT_EQ(prefillSpeed({}, {}, {}, 128).tokensPerSecond, 0);
}

TEST(DecodeTime, LessCertainFiguresWidenTheAnswer) {
  MachineModel sure = machineOf(30e9), unsure = sure;
  unsure.uncertainty.bandwidth = 2;
  SpeedEstimate a = decodeSpeed(tokenOf(sure, WeightFormat::W8)),
                b = decodeSpeed(tokenOf(unsure, WeightFormat::W8));
  EXPECT_EQ(a.tokensPerSecond, b.tokensPerSecond);
  EXPECT_LT(b.low, a.low);
  EXPECT_GT(b.high, a.high);
  EXPECT_LT(a.low, a.tokensPerSecond);
  EXPECT_GT(a.high, a.tokensPerSecond);
}

TEST(DecodeTime, NamesTheDominantTermOfParts) {
  EXPECT_EQ(decodeSpeed({.weights = 0.02, .kv = 0, .barriers = 0.001, .storage = 0}).term,
            "memory bandwidth");
  EXPECT_EQ(decodeSpeed({.weights = 1e-6, .kv = 0, .barriers = 1e-5, .storage = 0}).term,
            "barriers");
}

TEST(DecodeTime, HeatSlowsArithmeticMoreThanReading) {
  MachineModel machine = machineOf(30e9);
  machine.integerOpsPerSecond = 1e12;
  machine.sustainedCompute = 0.6;
  machine.sustainedBandwidth = 0.95;
  MachineModel hot = sustained(machine);
  EXPECT_NEAR(hot.readBytesPerSecond, 28.5e9, 1);
  EXPECT_NEAR(hot.integerOpsPerSecond, 0.6e12, 1);
  EXPECT_EQ(sustained(hot).integerOpsPerSecond, hot.integerOpsPerSecond);
}

TEST(Experts, DistinctOnesAreWhatTheFormulaSays) {
  // devices.md 5, 8 of 128: 8, 15.5, 29.1, 51.6, 82.4, 111.8 for 1, 2, 4, 8, 16, 32 tokens.
  const double wanted[] = {8, 15.5, 29.1, 51.6, 82.4, 111.8};
  for (int i = 0; i < 6; ++i)
    EXPECT_NEAR(distinctExperts(128, 8, 1 << i), wanted[i], 0.05);
  EXPECT_EQ(distinctExperts(0, 0, 5), 0);
}

TEST(Experts, ATokenReadsItsExpertsAlone) {
  MachineModel machine = machineOf(10e9);
  ModelShape model = shapeOfExperts(128, 8);
  std::vector<WeightFormat> formats(1, WeightFormat::W4);
  DecodeWork work;
  work.formats = formats;
  double bytes = double(packedBytes(WeightFormat::W4, 128 * 1024, 1024)) * 8 / 128;
  EXPECT_NEAR(decodeTime(machine, model, work).of("weights"),
              bytes / (10e9 * bandwidthShare(WeightFormat::W4)), 1e-9);
}

} // namespace
