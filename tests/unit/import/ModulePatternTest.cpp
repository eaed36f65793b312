#include "compiler/Import/Coded/ModulePattern.h"

#include "tests/unit/import/TestFiles.h"

#include <gmock/gmock.h>

namespace gcompile {
namespace {

// What Python's re.search and re.match say of the same pattern and name.
TEST(ModulePattern, MatchesAsPython) {
  struct Case {
    const char *pattern, *name;
    bool search, match;
  } cases[] = {
      {"^lm_head$", "lm_head", true, true},
      {"^lm_head$", "model.lm_head", false, false},
      {"lm_head$", "model.lm_head", true, false},
      {".*lm_head$", "model.lm_head", true, true},
      {"layers\\.[0-3]\\.mlp\\.", "layers.3.mlp.up", true, true},
      {"layers\\.[0-3]\\.mlp\\.", "layers.13.mlp.up", false, false},
      {"layers\\.\\d+\\.mlp", "layers.13.mlp.up", true, true},
      {"layers\\.(1[5-9]|[23]\\d)\\.", "layers.27.x", true, true},
      {"layers\\.(?:1[5-9]|[23]\\d)\\.", "layers.14.x", false, false},
      {"(a|b)*c", "abbac", true, true},
      {"(a*)*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false, false},
      {"a?b+?", "bb", true, true},
      {"[^.]+$", "a.b", true, false},
      {"", "anything", true, true},
      {"a.c", "a\nc", false, false},
  };
  for (const Case &one : cases) {
    ModulePattern pattern = valueOf(ModulePattern::parse(one.pattern));
    EXPECT_EQ(pattern.foundIn(one.name), one.search) << one.pattern << " in " << one.name;
    EXPECT_EQ(pattern.matchesStart(one.name), one.match) << one.pattern << " at " << one.name;
  }
}

TEST(ModulePattern, RefusesWhatItDoesNotKnow) {
  for (const char *pattern : {"(", ")", "[a", "a**", "(?=x)", "(?!x)", "a{2}", "\\b", "\\", "*a",
                              "[z-a]", "(?P<n>x)", "\\1"})
    EXPECT_NE(errorOf(ModulePattern::parse(pattern)), "") << pattern;
  EXPECT_NE(errorOf(ModulePattern::parse(std::string(5000, 'a'))), "");
  EXPECT_NE(errorOf(ModulePattern::parse(std::string(100, '(') + std::string(100, ')'))), "");
}

} // namespace
} // namespace gcompile
