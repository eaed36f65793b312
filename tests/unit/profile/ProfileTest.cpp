#include "compiler/Profile/DeviceProfile.h"

#include "compiler/Profile/MeasuredRates.h"

#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace gcompile;
using testing::HasSubstr;

namespace {

std::string refusal(const std::string &text) {
  llvm::Expected<DeviceProfile> profile = parseProfile(text, "test");
  if (profile)
    return "";
  return llvm::toString(profile.takeError());
}

const std::string head = "name: 'a' title: 'b' architecture: 'aarch64' ";

TEST(Profile, UnknownTargetsNameTheNearest) {
  llvm::Expected<DeviceProfile> profile = loadProfile("pixle9", profileFolders(""));
  ASSERT_FALSE(profile);
  EXPECT_THAT(llvm::toString(profile.takeError()), HasSubstr("did you mean 'pixel9'?"));
}

TEST(Profile, NamesCannotLeaveTheFolder) {
  llvm::Expected<DeviceProfile> profile = loadProfile("../profiles/pixel9", profileFolders(""));
  ASSERT_FALSE(profile);
  EXPECT_THAT(llvm::toString(profile.takeError()), HasSubstr("unknown target"));
}

// A figure of so many units, otherwise faultless.
std::string figure(const std::string &name, const std::string &value, const std::string &unit,
                   const std::string &rest = "") {
  return name + " { value: " + value + " unit: '" + unit +
         "' source: 'data sheet' date: '2026-11' confidence: VERIFIED " + rest + "} ";
}

const std::string memory = figure("memory_bytes", "8e9", "byte");
const std::string limit = figure("anonymous_limit_bytes", "3e9", "byte");

TEST(Profile, AcceptsTheLeastThatIsNeeded) {
  llvm::Expected<DeviceProfile> profile = parseProfile(head + memory + limit, "test");
  ASSERT_TRUE(bool(profile)) << llvm::toString(profile.takeError());
  EXPECT_EQ(profile->facts.size(), 3u);
  // The budget follows from the limit and keeps its confidence.
  const Fact *budget = profile->find("process_budget_bytes");
  ASSERT_TRUE(budget);
  EXPECT_EQ(budget->value, 3e9);
  EXPECT_EQ(budget->confidence, "verified");
  EXPECT_THAT(budget->source, HasSubstr("anonymous_limit_bytes"));
  EXPECT_EQ(profile->text.find("process_budget"), std::string::npos);
}

TEST(Profile, AnOwnBudgetStands) {
  llvm::Expected<DeviceProfile> profile =
      parseProfile(head + memory + limit + figure("process_budget_bytes", "2e9", "byte"), "test");
  ASSERT_TRUE(bool(profile)) << llvm::toString(profile.takeError());
  EXPECT_EQ(profile->value("process_budget_bytes", 0), 2e9);
}

TEST(Profile, OnAnAcceleratorItsOwnLimitBinds) {
  std::string card = "name: 'a' title: 'b' architecture: 'nvptx64' ";
  EXPECT_THAT(refusal(card + memory + limit), HasSubstr("accelerator_limit_bytes"));
  llvm::Expected<DeviceProfile> profile = parseProfile(
      card + memory + limit + figure("accelerator_limit_bytes", "7e9", "byte"), "test");
  ASSERT_TRUE(bool(profile)) << llvm::toString(profile.takeError());
  EXPECT_EQ(profile->value("process_budget_bytes", 0), 7e9);
}

TEST(Profile, RefusesWhatMakesNoSense) {
  EXPECT_THAT(refusal("nonsense"), HasSubstr("profile 'test': 1:"));
  EXPECT_THAT(refusal("name: 'a'"), HasSubstr("no title"));
  EXPECT_THAT(refusal("name: 'a' title: 'b' architecture: 'z80'"), HasSubstr("'z80'"));
  EXPECT_THAT(refusal("name: '../a' title: 'b' architecture: 'aarch64'"), HasSubstr("'../a'"));
  EXPECT_THAT(refusal("name: 'a' title: 'b\\nc' architecture: 'aarch64'"),
              HasSubstr("control characters"));
  EXPECT_THAT(refusal(head + ("kind: 'toaster'")), HasSubstr("'toaster'"));
  EXPECT_THAT(refusal(head + ("operating_system: 'dos'")), HasSubstr("'dos'"));
  EXPECT_THAT(refusal(std::string(2 << 20, ' ')), HasSubstr("larger than 1 MiB"));
  EXPECT_THAT(refusal(head + ("clock_speed { value: 1 }")),
              HasSubstr("no field named \"clock_speed\""));
}

TEST(Profile, RefusesFiguresThatAreNone) {
  auto of = [&](const std::string &text) { return refusal(head + memory + limit + text); };
  EXPECT_EQ(of(""), "");
  EXPECT_EQ(of(figure("cores", "8", "count")), "");
  EXPECT_THAT(of(figure("cores", "8", "MB")), HasSubstr("has unit 'MB', expected 'count'"));
  EXPECT_THAT(of(figure("cores", "8.5", "count")), HasSubstr("whole number"));
  EXPECT_THAT(of(figure("clock_hertz", "2.4", "GHz")), HasSubstr("has unit 'GHz', expected 'Hz'"));
  for (const char *value : {"-1", "nan", "inf", "-inf", "1e30"})
    EXPECT_THAT(of(figure("clock_hertz", value, "Hz")), HasSubstr("expected a positive number"))
        << value;
  EXPECT_THAT(of(figure("clock_hertz", "0", "Hz")), HasSubstr("is 0"));
  EXPECT_THAT(of(figure("sustained_compute", "65", "ratio")), HasSubstr("up to 1"));
  EXPECT_THAT(of(figure("clock_hertz", "2e9", "Hz", "low: 3e9 high: 4e9 ")),
              HasSubstr("outside its range"));
  EXPECT_THAT(of(figure("clock_hertz", "2e9", "Hz", "low: 1e9 ")), HasSubstr("outside its range"));
  EXPECT_THAT(of(figure("clock_hertz", "2e9", "Hz", "low: nan high: 4e9 ")),
              HasSubstr("expected a positive number"));
}

TEST(Profile, RefusesFiguresWithoutProvenance) {
  auto of = [&](const std::string &rest) {
    return refusal(head + memory + limit + "cores { value: 8 unit: 'count' " + rest + "}");
  };
  EXPECT_EQ(of("source: 's' date: '2026-11-21' confidence: HEURISTIC "), "");
  EXPECT_THAT(of("date: '2026-11' confidence: VERIFIED "), HasSubstr("needs a source"));
  EXPECT_THAT(of("source: 's' date: '2026-11' "), HasSubstr("and a confidence"));
  EXPECT_THAT(of("source: 's' date: '2026-11' confidence: CERTAIN "), HasSubstr("\"CERTAIN\""));
  EXPECT_THAT(of("source: 's' date: '2026-11' confidence: 77 "), HasSubstr("77"));
  for (const char *date : {"", "2026", "2026-13", "2026-00-01", "21.11.2026", "2026-11-32"})
    EXPECT_THAT(of(std::string("source: 's' date: '") + date + "' confidence: VERIFIED "),
                HasSubstr("expected YYYY-MM"))
        << date;
}

TEST(Profile, RefusesFiguresThatContradictEachOther) {
  auto of = [&](const std::string &text) { return refusal(head + text); };
  EXPECT_THAT(of(memory + limit + figure("peak_read_bytes_per_second", "1e10", "byte/s") +
                 figure("read_bytes_per_second", "2e10", "byte/s")),
              HasSubstr("more than 'peak_read_bytes_per_second' allows"));
  EXPECT_THAT(of(memory + limit + figure("process_budget_bytes", "9e9", "byte")),
              HasSubstr("more than 'memory_bytes' allows"));
  EXPECT_THAT(of(memory + figure("anonymous_limit_bytes", "9e9", "byte")),
              HasSubstr("more than 'memory_bytes' allows"));
  EXPECT_THAT(of(memory + limit + figure("cores", "2", "count") + figure("threads", "64", "count")),
              HasSubstr("more than 'cores' allows"));
  EXPECT_THAT(of(limit), HasSubstr("'memory_bytes' is missing"));
  EXPECT_THAT(of(memory), HasSubstr("what is left to one process is missing"));
}

TEST(Profile, RefusesPathsThatSayNothing) {
  auto of = [&](const std::string &path) {
    return refusal(head + memory + limit + "paths { " + path + "}");
  };
  std::string rest = "title: 't' through: 'PTX' source: 's' date: '2026-11' confidence: VERIFIED ";
  EXPECT_EQ(of("name: 'gpu' access: OPEN " + rest), "");
  EXPECT_THAT(of("name: 'abacus' access: OPEN " + rest), HasSubstr("'abacus'"));
  EXPECT_THAT(of("name: 'gpu' " + rest), HasSubstr("no access"));
  EXPECT_THAT(of("name: 'gpu' access: 9 " + rest), HasSubstr("no access"));
  EXPECT_THAT(of("name: 'gpu' access: OPEN title: 't' source: 's' date: '2026-11' "
                 "confidence: VERIFIED "),
              HasSubstr("is empty"));
  EXPECT_THAT(
      of("name: 'gpu' access: OPEN " + rest + figure("read_bytes_per_second", "-1", "byte/s")),
      HasSubstr("'gpu.read_bytes_per_second'"));
}

// What is known less well is predicted in a wider range: by confidence, by a range that sources
// give, by absence.
TEST(Profile, WhatIsUnknownWidensTheAnswer) {
  auto bandwidth = [&](const std::string &text) {
    return uncertaintyOf(llvm::cantFail(parseProfile(head + memory + limit + text, "test")))
        .bandwidth;
  };
  double narrow = bandwidth(figure("read_bytes_per_second", "3e10", "byte/s"));
  double ranged =
      bandwidth(figure("read_bytes_per_second", "3e10", "byte/s", "low: 3e10 high: 6e10 "));
  EXPECT_GT(narrow, 1);
  EXPECT_EQ(ranged, 2);
  EXPECT_GT(bandwidth(""), narrow);
}

TEST(Profile, FilesAreTargetsToo) {
  llvm::Expected<DeviceProfile> profile =
      loadProfile(profileFolders("").back() + "/pixel9.textproto", {});
  ASSERT_TRUE(bool(profile)) << llvm::toString(profile.takeError());
  EXPECT_EQ(profile->name, "pixel9");
  for (const char *path : {"/nowhere/x.textproto", "/.textproto"}) {
    llvm::Expected<DeviceProfile> none = loadProfile(path, {});
    ASSERT_FALSE(none);
    EXPECT_THAT(llvm::toString(none.takeError()), HasSubstr("cannot be read"));
  }
}

// The corpus of the fuzzer, file by file: nothing crashes, and the good ones are accepted.
TEST(Profile, KeptCorpus) {
  int good = 0, bad = 0;
  std::error_code error;
  for (llvm::sys::fs::directory_iterator entry(GC_FUZZ_CORPUS_DIR "/profile", error), end;
       entry != end && !error; entry.increment(error)) {
    auto buffer = llvm::MemoryBuffer::getFile(entry->path());
    ASSERT_TRUE(bool(buffer));
    llvm::Expected<DeviceProfile> profile = parseProfile((*buffer)->getBuffer(), "corpus");
    bool wanted = llvm::sys::path::filename(entry->path()).starts_with("good");
    EXPECT_EQ(bool(profile), wanted) << entry->path();
    (profile ? good : bad) += 1;
    llvm::consumeError(profile.takeError());
  }
  EXPECT_GE(good, 2);
  EXPECT_GE(bad, 4);
}

TEST(Profile, WhatIsMeasuredStaysOutOfTheText) {
  DeviceProfile host = detectHost();
  std::string before = host.text;
  EXPECT_FALSE(host.find("read_bytes_per_second"));
  measureHost(host);
  ASSERT_TRUE(host.find("read_bytes_per_second"));
  EXPECT_GT(host.value("read_bytes_per_second", 0), 1e8);
  EXPECT_EQ(host.text, before);
  EXPECT_EQ(host.text.find("read_bytes_per_second"), std::string::npos);
}

TEST(Profile, DetectingTwiceGivesTheSameText) { EXPECT_EQ(detectHost().text, detectHost().text); }

} // namespace
