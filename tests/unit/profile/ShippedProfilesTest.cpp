// Every profile in profiles/: it loads, each figure states where it comes from, and the figures are
// plausible beside each other and beside what is known of the physics of memory.
#include "compiler/Profile/DeviceProfile.h"
#include "compiler/Profile/EngineMachines.h"

#include "llvm/ADT/StringSet.h"

#include <gtest/gtest.h>
#include <map>

using namespace gcompile;

namespace {

std::vector<DeviceProfile> shipped() {
  std::vector<std::string> folders = {profileFolders("").back()}; // the source tree alone
  std::vector<DeviceProfile> profiles;
  for (const std::string &name : profileNames(folders)) {
    if (name == "host")
      continue;
    llvm::Expected<DeviceProfile> profile = loadProfile(name, folders);
    EXPECT_TRUE(bool(profile)) << llvm::toString(profile.takeError());
    if (profile)
      profiles.push_back(std::move(*profile));
  }
  return profiles;
}

TEST(ShippedProfiles, AtLeastFortyOfEveryKind) {
  std::map<std::string, int> kinds;
  for (const DeviceProfile &profile : shipped())
    ++kinds[profile.kind];
  int all = 0;
  for (auto [kind, least] : {std::pair("phone", 12),
                             {"board", 6},
                             {"laptop", 12},
                             {"gpu", 12},
                             {"server", 6},
                             {"web", 2}}) {
    EXPECT_GE(kinds[kind], least) << kind;
    all += kinds[kind];
  }
  EXPECT_GE(all, 40);
  EXPECT_EQ(kinds.count(""), 0u) << "a profile states no kind";
}

TEST(ShippedProfiles, EveryFigureStatesSourceDateAndConfidence) {
  llvm::StringSet<> confidences;
  for (const char *each :
       {"verified", "single_source", "measured", "derived", "recalled", "heuristic"})
    confidences.insert(each);
  int figures = 0;
  auto check = [&](const std::string &owner, const std::string &source, const std::string &date,
                   const std::string &confidence) {
    ++figures;
    EXPECT_GT(source.size(), 8u) << owner;
    EXPECT_TRUE(confidences.contains(confidence)) << owner << " " << confidence;
    // Nothing is older than the oldest profile's sources or younger than this file's.
    EXPECT_GE(date, "2024-01") << owner;
    EXPECT_LE(date, "2027-12") << owner;
    // Whoever did not read a source again has to say so.
    if (confidence == "recalled") {
      EXPECT_NE(source.find("not read again"), std::string::npos) << owner;
    }
  };
  for (const DeviceProfile &profile : shipped()) {
    for (const Fact &fact : profile.facts)
      check(profile.name + " " + fact.name, fact.source, fact.date, fact.confidence);
    for (const DeviceFeature &feature : profile.features)
      check(profile.name + " " + feature.name, feature.source, feature.date, feature.confidence);
    for (const ExecutionPath &path : profile.paths) {
      check(profile.name + " " + path.name, path.source, path.date, path.confidence);
      for (const Fact &fact : path.facts)
        check(profile.name + " " + path.name + " " + fact.name, fact.source, fact.date,
              fact.confidence);
    }
  }
  EXPECT_GT(figures, 1000);
}

// Ranges in which any machine of today lies; a slipped unit or digit falls out.
TEST(ShippedProfiles, FiguresLieWhereMachinesAre) {
  const std::map<std::string, std::pair<double, double>> ranges = {
      {"memory_bytes", {2e9, 2e12}},
      {"process_budget_bytes", {1e9, 2e12}},
      {"anonymous_limit_bytes", {1e9, 2e12}},
      {"accelerator_limit_bytes", {1e9, 2e12}},
      {"page_cache_bytes", {5e8, 1e12}},
      {"peak_read_bytes_per_second", {5e9, 1e13}},
      {"read_bytes_per_second", {2e9, 1e13}},
      {"last_level_cache_bytes", {5e5, 1e9}},
      {"cores", {1, 512}},
      {"threads", {1, 512}},
      {"clock_hertz", {5e8, 7e9}},
      {"integer_operations_per_second", {5e10, 1e16}},
      {"float_operations_per_second", {1e10, 1e16}},
      {"storage_read_bytes_per_second", {1e7, 2e10}},
      {"storage_random_read_seconds", {1e-5, 1e-2}},
      {"handover_seconds", {1e-6, 5e-3}},
      {"sustained_compute", {0.3, 1}}};
  for (const DeviceProfile &profile : shipped()) {
    std::vector<Fact> facts = profile.facts;
    for (const ExecutionPath &path : profile.paths)
      facts.insert(facts.end(), path.facts.begin(), path.facts.end());
    for (const Fact &fact : facts) {
      auto range = ranges.find(fact.name);
      ASSERT_NE(range, ranges.end()) << fact.name << " has no range here";
      EXPECT_GE(fact.value, range->second.first) << profile.name << " " << fact.name;
      EXPECT_LE(fact.value, range->second.second) << profile.name << " " << fact.name;
    }
  }
}

TEST(ShippedProfiles, SustainedBandwidthIsASharePossibleOfThePeak) {
  int compared = 0;
  for (const DeviceProfile &profile : shipped()) {
    const Fact *sustained = profile.find("read_bytes_per_second");
    const Fact *peak = profile.find("peak_read_bytes_per_second");
    if (!sustained || !peak)
      continue;
    ++compared;
    EXPECT_LT(sustained->value, peak->value) << profile.name;
    // The worst software on the best memory that was seen reaches 28 %.
    EXPECT_GT(sustained->value, 0.2 * peak->value) << profile.name;
    for (const ExecutionPath &path : profile.paths)
      for (const Fact &fact : path.facts)
        if (fact.name == "read_bytes_per_second") {
          EXPECT_LT(fact.value, peak->value) << profile.name << " " << path.name;
        }
  }
  EXPECT_GE(compared, 30);
}

// What is left to one app: limits below the memory, and the budget one of them.
TEST(ShippedProfiles, BudgetsAreTheLimitThatBinds) {
  for (const DeviceProfile &profile : shipped()) {
    bool card = profile.architecture == "nvptx64";
    const Fact *limit = profile.find(card ? "accelerator_limit_bytes" : "anonymous_limit_bytes");
    ASSERT_TRUE(limit) << profile.name;
    EXPECT_EQ(profile.value("process_budget_bytes", 0), limit->value) << profile.name;
    double memory = profile.value("memory_bytes", 0);
    EXPECT_LT(limit->value, memory) << profile.name;
    EXPECT_LE(limit->value + (card ? 0 : profile.value("page_cache_bytes", 0)), memory)
        << profile.name;
    // Phones keep most of their memory for themselves.
    if (profile.kind == "phone")
      EXPECT_LE(limit->value, 0.5 * memory) << profile.name;
  }
}

// docs/planning.md says how many plans have a forecast over engines, and how many a split.
TEST(ShippedProfiles, SomeKnowTwoEngines) {
  int two = 0, handovers = 0;
  for (const DeviceProfile &profile : shipped()) {
    std::vector<EngineMachine> engines = engineMachines(profile);
    if (engines.empty())
      continue;
    ++two;
    for (const EngineMachine &engine : engines) {
      handovers += engine.handover ? 1 : 0;
      EXPECT_GT(engine.machine.readBytesPerSecond, 0) << profile.name << " " << engine.name;
      EXPECT_GT(engine.machine.barrierSeconds, 0) << profile.name << " " << engine.name;
      EXPECT_GT(matmulRate(engine.machine, WeightFormat::W4), 0)
          << profile.name << " " << engine.name;
    }
  }
  EXPECT_EQ(two, 10);
  EXPECT_EQ(handovers, 4);
}

// Engines without a public way in are marked so.
TEST(ShippedProfiles, ClosedEnginesAreNotPromised) {
  auto access = [](const std::string &name, const std::string &path) -> std::string {
    llvm::Expected<DeviceProfile> profile = loadProfile(name, {profileFolders("").back()});
    if (!profile)
      return llvm::toString(profile.takeError());
    for (const ExecutionPath &each : profile->paths)
      if (each.name == path)
        return each.access;
    return "none";
  };
  EXPECT_EQ(access("pixel9", "npu"), "closed"); // the TPU of G4
  EXPECT_EQ(access("pixel8", "npu"), "closed");
  EXPECT_EQ(access("pixel10", "npu"), "vendor");     // ahead of time, through LiteRT alone
  EXPECT_EQ(access("iphone17pro", "npu"), "vendor"); // Core ML decides
  EXPECT_EQ(access("macbook-m4", "npu"), "vendor");
  EXPECT_EQ(access("galaxys26ultra", "npu"), "vendor");
  EXPECT_EQ(access("pixel9", "cpu"), "open");
  for (const DeviceProfile &profile : shipped()) {
    EXPECT_FALSE(profile.paths.empty()) << profile.name;
    for (const ExecutionPath &path : profile.paths)
      if (path.name == "npu" && path.through.find("mlir-aie") == std::string::npos) {
        EXPECT_NE(path.access, "open") << profile.name;
      }
  }
}

// Figures that a vendor or two sources state; wrong here means a wrong table.
TEST(ShippedProfiles, KnownFigures) {
  const std::tuple<const char *, const char *, double> known[] = {
      {"pixel9", "memory_bytes", 12e9},
      {"raspberrypi5", "cores", 4},
      {"rtx4090", "peak_read_bytes_per_second", 1008e9},
      {"h200", "memory_bytes", 141e9},
      {"h100", "peak_read_bytes_per_second", 3350e9},
      {"macbook-m4max", "peak_read_bytes_per_second", 546e9},
      {"strix-halo", "peak_read_bytes_per_second", 256e9},
      {"graviton3", "cores", 64},
      {"galaxys26ultra", "read_bytes_per_second", 41e9},
      {"dgx-spark", "peak_read_bytes_per_second", 273e9}};
  for (auto [name, fact, value] : known) {
    llvm::Expected<DeviceProfile> profile = loadProfile(name, {profileFolders("").back()});
    ASSERT_TRUE(bool(profile)) << llvm::toString(profile.takeError());
    EXPECT_EQ(profile->value(fact, 0), value) << name << " " << fact;
  }
}

} // namespace
