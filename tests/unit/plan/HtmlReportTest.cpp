// The page of a plan: escapes, size, nothing from outside.
#include "compiler/Report/HtmlReport.h"
#include "SamplePlan.h"
#include "compiler/Report/Html.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace gcompile;
using testing::HasSubstr;
using testing::Not;

namespace {

TEST(Html, EscapesTextAndAttributes) {
  EXPECT_EQ(html::escaped("<script>\"x\" & 'y'"), "&lt;script&gt;&quot;x&quot; &amp; &#39;y&#39;");
  EXPECT_EQ(html::escaped(llvm::StringRef("a\0b\x1b", 4)), "a\uFFFDb\uFFFD");
  EXPECT_EQ(html::escaped("line\n\ttab"), "line\n\ttab");
  EXPECT_EQ(html::escaped("\xff"), "\uFFFD");
}

TEST(Html, DecimalsAreShort) {
  EXPECT_EQ(html::decimal(12.30, 2), "12.3");
  EXPECT_EQ(html::decimal(1000, 2), "1000");
  EXPECT_EQ(html::decimal(-0.01, 1), "0");
  EXPECT_EQ(html::decimal(1.0 / 0.0), "0");
}

ReportInput inputOf(const Plan &plan) {
  ReportInput input;
  input.plan = &plan;
  input.command = "gcompile plan --model sample";
  for (int i = 1; i <= 200; ++i)
    input.front.push_back({5000 + i * 50, 1.0 / i, 0.02});
  return input;
}

TEST(HtmlReport, IsTheSameEveryTimeAndNeedsNothingElse) {
  Plan plan = samplePlan();
  std::string page = htmlReport(inputOf(plan));
  plan.seconds = 123; // how long solving took is not in it
  EXPECT_EQ(page, htmlReport(inputOf(plan)));
  for (const char *word : {"http:", "https:", "<script", "src=", "@import", "url("})
    EXPECT_THAT(page, Not(HasSubstr(word)));
  EXPECT_LT(page.size(), reportLimitBytes);
}

TEST(HtmlReport, EscapesEveryNameThatAFileGives) {
  Plan plan = samplePlan();
  const char *hostile = "\"><script>alert('x')</script><b a='";
  plan.model = plan.target = plan.solver = hostile;
  plan.modalities = {hostile};
  for (PlannedTensor &tensor : plan.tensors) {
    tensor.name = hostile;
    if (tensor.role == "q")
      tensor.role = hostile;
  }
  for (PlannedKv &kv : plan.kvCaches)
    kv.layerType = hostile;
  plan.predicted.decodeTerm = plan.predicted.prefillTerm = hostile;
  plan.predicted.decodeParts = {{hostile, 1}};
  plan.engines = sampleEngines();
  plan.engines->compiled = plan.engines->handover->source = hostile;
  for (EngineSpeed &engine : plan.engines->engines)
    engine.name = engine.title = engine.through = hostile;
  for (EngineShare &share : plan.engines->decode->shares)
    share.engine = hostile;
  DeviceProfile profile;
  profile.name = profile.title = profile.architecture = hostile;
  profile.notes = {hostile};
  profile.facts = {{hostile, 1, hostile, hostile, hostile, hostile},
                   {"read_bytes_per_second", 1, "byte/s", hostile, hostile, "RECALLED"}};
  ReportInput input = inputOf(plan);
  input.profile = &profile;
  input.command = hostile;
  input.notes = {hostile};
  input.arena = {{hostile, 10, {1, 2, 3}}};
  std::string page = htmlReport(input);
  EXPECT_THAT(page, Not(HasSubstr("<script")));
  EXPECT_THAT(page, Not(HasSubstr("alert('x')")));
  EXPECT_THAT(page, HasSubstr("&lt;script&gt;alert(&#39;x&#39;)"));
}

TEST(HtmlReport, StaysSmallForAnyPlan) {
  Plan plan = samplePlan();
  PlannedTensor tensor = plan.tensors[1];
  for (int64_t l = 0; l < 20000; ++l) {
    tensor.layer = l % 4096;
    tensor.name = std::string(300, 'x') + std::to_string(l);
    tensor.role = "role " + std::to_string(l % 50) + std::string(100, 'y');
    plan.tensors.push_back(tensor);
  }
  plan.engines = sampleEngines();
  for (EngineSpeed &engine : plan.engines->engines)
    engine.title = engine.through = std::string(100000, 'e');
  plan.engines->handover->source = std::string(100000, 's');
  ReportInput input = inputOf(plan);
  DeviceProfile profile;
  profile.facts.assign(1000, {"name", 1, "", std::string(10000, 's'), "2026", "RECALLED"});
  profile.notes.assign(1000, std::string(10000, 'n'));
  input.profile = &profile;
  for (int i = 0; i < 100000; ++i)
    input.front.push_back({20000 + i, 1e-3, 0.02});
  input.arena.assign(3, {"decode", 1000, std::vector<int64_t>(100000, 5)});
  EXPECT_LT(htmlReport(input).size(), reportLimitBytes);
}

} // namespace
