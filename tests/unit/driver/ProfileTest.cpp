#include "compiler/Profile/DeviceProfile.h"

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

const char *head = "name: 'a' title: 'b' architecture: 'aarch64' ";

TEST(Profile, AllBundledProfilesLoadAndStateTheirSources) {
  std::vector<std::string> folders = profileFolders("");
  std::vector<std::string> names = profileNames(folders);
  for (const char *wanted : {"host", "pixel9", "pixel8a", "snapdragon8gen3", "raspberrypi5",
                             "x86-laptop", "h200", "rtx4090"})
    EXPECT_TRUE(llvm::is_contained(names, wanted)) << wanted;
  for (const std::string &name : names) {
    llvm::Expected<DeviceProfile> profile = loadProfile(name, folders);
    ASSERT_TRUE(bool(profile)) << llvm::toString(profile.takeError());
    EXPECT_EQ(profile->name, name);
    EXPECT_TRUE(profile->find("memory_bytes")) << name;
    EXPECT_TRUE(profile->find("process_budget_bytes")) << name;
    for (const Fact &fact : profile->facts) {
      EXPECT_FALSE(fact.source.empty()) << name << " " << fact.name;
      EXPECT_NE(fact.confidence, "confidence_unspecified") << name << " " << fact.name;
    }
  }
}

TEST(Profile, SustainedBandwidthIsBelowThePeak) {
  std::vector<std::string> folders = profileFolders("");
  for (const std::string &name : profileNames(folders)) {
    DeviceProfile profile = llvm::cantFail(loadProfile(name, folders));
    if (profile.find("read_bytes_per_second") && profile.find("peak_read_bytes_per_second")) {
      EXPECT_LT(profile.value("read_bytes_per_second", 0),
                profile.value("peak_read_bytes_per_second", 0))
          << name;
    }
  }
}

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

TEST(Profile, RefusesWhatMakesNoSense) {
  EXPECT_THAT(refusal("nonsense"), HasSubstr("profile 'test': 1:"));
  EXPECT_THAT(refusal("name: 'a'"), HasSubstr("no title"));
  EXPECT_THAT(refusal("name: 'a' title: 'b' architecture: 'z80'"), HasSubstr("'z80'"));
  std::string figure = "memory_bytes { value: 1 unit: 'MB' source: 's' confidence: VERIFIED }";
  EXPECT_THAT(refusal(head + figure), HasSubstr("has unit 'MB', expected 'byte'"));
  figure = "memory_bytes { value: -1 unit: 'byte' source: 's' confidence: VERIFIED }";
  EXPECT_THAT(refusal(head + figure), HasSubstr("expected a positive number"));
  figure = "memory_bytes { value: nan unit: 'byte' source: 's' confidence: VERIFIED }";
  EXPECT_THAT(refusal(head + figure), HasSubstr("expected a positive number"));
  figure = "memory_bytes { value: 1 unit: 'byte' confidence: VERIFIED }";
  EXPECT_THAT(refusal(head + figure), HasSubstr("needs a source"));
  figure = "memory_bytes { value: 1 unit: 'byte' source: 's' confidence: VERIFIED }";
  EXPECT_EQ(refusal(head + figure), "");
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
