// The table of a plan: width, character set, and that names from files cannot do harm.
#include "compiler/Plan/PlanReport.h"
#include "SamplePlan.h"

#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringRef.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace gcompile;
using testing::HasSubstr;
using testing::Not;

namespace {

// A plan with as many layers as the largest members and awkward names.
Plan deepPlan(int64_t layers) {
  Plan plan = samplePlan();
  for (int64_t l = 2; l < layers; ++l) {
    PlannedTensor tensor = plan.tensors[1];
    tensor.layer = l;
    tensor.role = l % 2 ? "per_layer_model_projection_of_the_second_kind" : "q";
    plan.tensors.push_back(tensor);
  }
  plan.budgetBytes = 123456789012345;
  plan.solver = "a solver with a name that is much too long for one line of a table";
  for (int i = 0; i < 12; ++i)
    plan.predicted.decodeParts.push_back({"a part with a long name", 0.002});
  plan.engines = sampleEngines();
  for (EngineSpeed &engine : plan.engines->engines)
    engine.name = engine.title = std::string(90, 'e') + "\n";
  return plan;
}

TEST(PlanReport, FitsAHundredColumnsOfAscii) {
  for (int64_t layers : {2, 60, 200}) {
    std::string table = planReport(deepPlan(layers));
    llvm::SmallVector<llvm::StringRef> lines;
    llvm::StringRef(table).split(lines, '\n');
    for (llvm::StringRef line : lines) {
      EXPECT_LE(line.size(), 100u) << line.str();
      EXPECT_EQ(line.rtrim(), line) << "blanks at the end";
      for (char c : line)
        EXPECT_TRUE(c >= ' ' && c < 127) << line.str();
    }
  }
}

TEST(PlanReport, ShowsWhatItIsAbout) {
  std::string table = planReport(samplePlan());
  for (const char *word :
       {"sample on board: 10.0 KB for text, 1024 positions", "weights", "5.8 KB", "58.0 %", "peak",
        "9.9 KB", "free", "128 B", "84\n", "24\n", "w8 on storage, 64 rows cached",
        "k kv8, v kv8, 1 layers of 128 rows",
        "50.0 tok/s  (40.0 to 60.0)  bound by memory bandwidth", "weights 75 %, barriers 25 %",
        "0.1240 nats a token, 90 % between 0.0500 and 0.3000", "assumed", "0.081 %"})
    EXPECT_THAT(table, HasSubstr(word));
}

TEST(PlanReport, AddsBlocksAndColourOnlyWhereAsked) {
  std::string plain = planReport(samplePlan());
  EXPECT_THAT(plain, Not(HasSubstr("\x1b")));
  std::string unicode = planReport(samplePlan(), {.unicode = true});
  EXPECT_THAT(unicode, HasSubstr("\u2588"));
  EXPECT_THAT(unicode, Not(HasSubstr("\x1b")));
  EXPECT_THAT(planReport(samplePlan(), {.colour = true}), HasSubstr("\x1b[1m"));
}

TEST(PlanReport, NamesFromFilesCannotMoveTheCursor) {
  Plan plan = samplePlan();
  plan.model = "a\x1b[2J\nb\xc3\xa4";
  plan.tensors[1].role = "\x1b]0;title\a";
  plan.predicted.decodeTerm = "x\ny";
  std::string table = planReport(plan);
  EXPECT_THAT(table, Not(HasSubstr("\x1b")));
  EXPECT_THAT(table, HasSubstr("a?[2J?b??"));
  EXPECT_THAT(table, HasSubstr("bound by x?y"));
}

TEST(PlanReport, SaysWhatIsNotKnown) {
  Plan plan = samplePlan();
  plan.predicted = {};
  plan.budgetBytes = 100;
  std::string table = planReport(plan);
  EXPECT_THAT(table, HasSubstr("not predicted"));
  EXPECT_THAT(table, HasSubstr("over the budget by 9.8 KB"));
  plan = samplePlan();
  plan.predicted.prefillTokensPerSecond = 0;
  EXPECT_THAT(planReport(plan), HasSubstr("prefill   not predicted: the profile has no peak"));
}

TEST(PlanReport, ShowsEnginesAndWhoseSpeedThePlanHas) {
  Plan plan = samplePlan();
  EXPECT_THAT(planReport(plan), Not(HasSubstr("engines")));
  EXPECT_FALSE(planJson(plan).getObject("engines"));
  plan.engines = sampleEngines();
  std::string table = planReport(plan);
  for (const char *line :
       {"decode  cpu 50.0, gpu 70.0, best split 72.0 tok/s (cpu 3, gpu 100 blocks)",
        "prefill cpu 1000.0, gpu 9000.0, best split 9100.0 tok/s (cpu 2, gpu 40 blocks)",
        "the speeds above are the cpu's: gcompile makes no whole programs for other engines yet"})
    EXPECT_THAT(table, HasSubstr(line));
  EXPECT_EQ(planJson(plan).getObject("predicted")->getNumber("decode_tokens_per_second"), 50)
      << "the forecast changes no prediction";
  plan.engines->decode->handovers = 0;
  plan.engines->decode->shares = {{"cpu", 103, 0.02}, {"gpu", 0, 0}};
  EXPECT_THAT(planReport(plan), HasSubstr("best split 72.0 tok/s (all on the cpu)"));
  plan.engines = sampleEngines(false);
  EXPECT_THAT(planReport(plan), HasSubstr("no split: the profile states no handover_seconds"));
  EXPECT_TRUE(planJson(plan).getObject("engines")->get("best_split")->getAsNull());
}

TEST(PlanReport, JsonKeepsThePartsAndRanges) {
  llvm::json::Object json = planJson(samplePlan());
  const llvm::json::Object &predicted = *json.getObject("predicted");
  EXPECT_EQ(predicted.getNumber("decode_low"), 40);
  EXPECT_EQ(predicted.getNumber("decode_high"), 60);
  EXPECT_EQ(predicted.getString("kl_basis"), "prior");
  ASSERT_EQ(predicted.getArray("decode_parts")->size(), 2u);
  EXPECT_FALSE(predicted.getNumber("prefill_low")) << "not known is null";
}

} // namespace
