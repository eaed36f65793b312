#include "compiler/Import/HostileJson.h"

#include "tests/unit/import/TestFiles.h"

#include <gmock/gmock.h>

using testing::HasSubstr;

namespace gcompile {
namespace {

TEST(HostileJson, AcceptsDepthUpToTheLimitAndNoMore) {
  std::string ok = std::string(64, '[') + std::string(64, ']');
  EXPECT_EQ(errorOf(parseHostileJson(ok, "x")), "");
  std::string deep = std::string(65, '[') + std::string(65, ']');
  EXPECT_THAT(errorOf(parseHostileJson(deep, "x")), HasSubstr("nested deeper than 64"));
  EXPECT_THAT(errorOf(parseHostileJson(std::string(10'000'000, '['), "x")), HasSubstr("nested"));
}

TEST(HostileJson, BracketsInStringsDoNotNest) {
  EXPECT_EQ(errorOf(parseHostileJson("[\"" + std::string(1000, '[') + "\\\"\"]", "x")), "");
}

TEST(HostileJson, RefusesDuplicateKeysAlsoWhenSpelledDifferently) {
  EXPECT_THAT(errorOf(parseHostileJson(R"({"a":1,"b":2,"a":3})", "x")),
              HasSubstr("'a' occurs twice"));
  EXPECT_THAT(errorOf(parseHostileJson(R"({"a":1,"\u0061":3})", "x")),
              HasSubstr("'a' occurs twice"));
  EXPECT_EQ(errorOf(parseHostileJson(R"({"a":{"a":1},"b":{"a":1},"c":["a","a"]})", "x")), "");
}

TEST(HostileJson, RefusesWhatIsTooLongUnclosedOrNotUtf8) {
  EXPECT_THAT(errorOf(parseHostileJson("[1,2]", "x", {4, 8, JsonNumbers::Any})),
              HasSubstr("5 bytes"));
  EXPECT_THAT(errorOf(parseHostileJson("[\"abc", "x")), HasSubstr("no end"));
  EXPECT_THAT(errorOf(parseHostileJson("\"\\", "x")), HasSubstr("no end"));
  EXPECT_THAT(errorOf(parseHostileJson("[\"\xff\"]", "x")), HasSubstr("JSON"));
  EXPECT_NE(errorOf(parseHostileJson("", "x")), "");
  EXPECT_NE(errorOf(parseHostileJson("[1]]", "x")), "");
}

TEST(HostileJson, IntegersOnlyRefusesFractionsAndOverflow) {
  JsonLimits limits{1000, 8, JsonNumbers::IntegersOnly};
  EXPECT_EQ(errorOf(parseHostileJson("[0,-3,9223372036854775807,\"1.5\"]", "x", limits)), "");
  for (const char *text : {"[1.0]", "[1e3]", "[9223372036854775808]", "[-]"})
    EXPECT_THAT(errorOf(parseHostileJson(text, "x", limits)), HasSubstr("integer")) << text;
}

TEST(HostileJson, QuotedTextIsSafeToPrint) {
  EXPECT_EQ(inQuotes("a\nb\x1b[0m"), "'a\\x0ab\\x1b[0m'");
  EXPECT_LT(inQuotes(std::string(100000, 'x')).size(), 200u);
  std::string umlauts;
  for (int i = 0; i < 200; ++i)
    umlauts += "x\xc3\xa4";
  EXPECT_TRUE(llvm::json::isUTF8(inQuotes(umlauts)));
  EXPECT_TRUE(llvm::json::isUTF8(inQuotes("\xff\xfe")));
}

} // namespace
} // namespace gcompile
