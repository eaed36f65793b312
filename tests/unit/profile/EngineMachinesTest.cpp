// Which engines of a profile count, and what of the profile goes into their machines.
#include "compiler/Profile/EngineMachines.h"
#include "passes/Cost/PublishedRuntimes.h"

#include <gtest/gtest.h>

using namespace gcompile;

namespace {

std::string figure(const char *name, const char *value, const char *unit) {
  return std::string(name) + " { value: " + value + " unit: \"" + unit +
         "\" source: \"s\" date: \"2026-11\" confidence: DERIVED }\n";
}

std::string path(const char *name, const char *access, const std::string &figures) {
  return std::string("paths { name: \"") + name + "\" title: \"t\" access: " + access +
         " through: \"x\" source: \"s\" date: \"2026-11\" confidence: VERIFIED\n" + figures + "}\n";
}

const std::string gpuFigures = figure("read_bytes_per_second", "60e9", "byte/s") +
                               figure("float_operations_per_second", "4e12", "op/s");

DeviceProfile profileWith(const std::string &paths, bool arithmetic = true) {
  std::string text = "name: \"p\" title: \"P\" architecture: \"aarch64\" kind: \"phone\"\n" +
                     figure("memory_bytes", "8e9", "byte") +
                     figure("anonymous_limit_bytes", "3e9", "byte") +
                     figure("read_bytes_per_second", "40e9", "byte/s") + paths;
  if (arithmetic)
    text += figure("integer_operations_per_second", "2e12", "op/s") +
            figure("float_operations_per_second", "0.25e12", "op/s");
  return llvm::cantFail(parseProfile(text, "p"));
}

TEST(EngineMachines, TakeTheEnginesThatAreKnown) {
  DeviceProfile profile =
      profileWith(path("cpu", "OPEN", "") +
                  path("gpu", "OPEN", gpuFigures + figure("handover_seconds", "80e-6", "s")));
  std::vector<EngineMachine> engines = engineMachines(profile);
  ASSERT_EQ(engines.size(), 2u);
  EXPECT_EQ(engines[0].name, "cpu");
  EXPECT_EQ(engines[0].machine.readBytesPerSecond, 40e9);
  EXPECT_EQ(engines[0].machine.barrierSeconds, machineModel(profile).barrierSeconds);
  EXPECT_FALSE(engines[0].handover);
  EXPECT_EQ(engines[1].name, "gpu");
  EXPECT_TRUE(engines[1].ownBandwidth);
  EXPECT_EQ(engines[1].machine.readBytesPerSecond, 60e9);
  ASSERT_TRUE(engines[1].handover);
  EXPECT_EQ(engines[1].handover->value, 80e-6);
  EXPECT_EQ(engines[1].machine.barrierSeconds,
            findPublishedRuntime("litert-gpu-mobile")->fit.secondsPerStep);
  // No integer units: integers are decoded to floats.
  double share = publishedPrefill(false).share;
  EXPECT_DOUBLE_EQ(matmulRate(engines[1].machine, WeightFormat::W4), share * 4e12);
  EXPECT_DOUBLE_EQ(matmulRate(engines[1].machine, WeightFormat::BF16), share * 4e12);
}

TEST(EngineMachines, SharedMemoryStandsInForAnEnginesOwnBandwidthAndWidensIt) {
  std::vector<EngineMachine> engines = engineMachines(
      profileWith(path("cpu", "OPEN", "") +
                  path("gpu", "OPEN", figure("integer_operations_per_second", "9e12", "op/s"))));
  ASSERT_EQ(engines.size(), 2u);
  EXPECT_FALSE(engines[1].ownBandwidth);
  EXPECT_FALSE(engines[1].handover);
  EXPECT_EQ(engines[1].machine.readBytesPerSecond, 40e9);
  EXPECT_EQ(engines[1].machine.uncertainty.bandwidth, 2);
  EXPECT_EQ(matmulRate(engines[1].machine, WeightFormat::F16), 0) << "no float figure is stated";
}

TEST(EngineMachines, LeaveOutWhatIsNotKnownOrReached) {
  EXPECT_TRUE(engineMachines(profileWith("")).empty());
  EXPECT_TRUE(engineMachines(profileWith(path("cpu", "OPEN", ""))).empty());
  EXPECT_TRUE(engineMachines(profileWith(path("gpu", "OPEN", gpuFigures))).empty());
  std::string cpu = path("cpu", "OPEN", "");
  EXPECT_TRUE(engineMachines(profileWith(cpu + path("npu", "VENDOR", gpuFigures))).empty());
  EXPECT_TRUE(engineMachines(profileWith(cpu + path("npu", "CLOSED", gpuFigures))).empty());
  std::string bandwidthAlone = figure("read_bytes_per_second", "60e9", "byte/s");
  EXPECT_TRUE(engineMachines(profileWith(cpu + path("gpu", "OPEN", bandwidthAlone))).empty());
  EXPECT_TRUE(engineMachines(profileWith(cpu + path("gpu", "OPEN", gpuFigures), false)).empty())
      << "the processor's arithmetic is not stated";
}

} // namespace
