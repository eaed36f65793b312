// Planning the bundled presets and the bundled tiny checkpoint: budgets hold, fixed formats stay
// fixed, plans survive a round trip.
#include "compiler/Driver/PlanModel.h"
#include "compiler/Driver/ModelShape.h"
#include "compiler/Driver/PlannedScales.h"
#include "compiler/Import/ImportModel.h"
#include "compiler/Plan/PlanReport.h"
#include "compiler/Plan/PlanText.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

using namespace gcompile;
using testing::HasSubstr;

namespace {

class PlanModel : public testing::Test {
protected:
  void load(const char *preset, const char *target) {
    config = llvm::cantFail(loadPreset(preset));
    shape = shapeOf(config);
    profile = llvm::cantFail(loadProfile(target, profileFolders("")));
    request.model = &shape;
    request.profile = &profile;
    request.options = &options;
    request.module = llvm::cantFail(PlanningModule::build(config, options.modalities));
    request.maxPositions = config.maxPositions;
  }

  Plan plan() {
    llvm::Expected<PlanOutcome> outcome = planModel(request);
    if (!outcome) {
      ADD_FAILURE() << llvm::toString(outcome.takeError());
      return {};
    }
    if (!outcome->plan) {
      ADD_FAILURE() << outcome->message;
      return {};
    }
    return *outcome->plan;
  }

  std::string replayRefusal(const Plan &edited) {
    llvm::Expected<Plan> plan = replayPlan(request, edited);
    return plan ? "" : llvm::toString(plan.takeError());
  }

  ModelConfig config;
  ModelShape shape;
  DeviceProfile profile;
  CompilerInvocation options;
  PlanRequest request;
};

TEST_F(PlanModel, E2BFitsAGigabyteOnAPixel9) {
  load("gemma-4-E2B", "pixel9");
  options.budgetBytes = 1000000000;
  Plan result = plan();
  EXPECT_LE(result.memory.peak(), 1000000000);
  EXPECT_GT(result.memory.peak(), 950000000); // it uses what it may
  EXPECT_EQ(result.tables, TablePlacement::Storage);
  EXPECT_GE(result.tableCacheRows, result.prefillChunk);
  EXPECT_EQ(result.localCapacity, 640);
  EXPECT_EQ(result.globalCapacity, 4096);
  EXPECT_LT(result.optimality.gap, 0.02);
  EXPECT_LE(result.optimality.bound, result.optimality.objective + 1e-12);
  EXPECT_EQ(result.predicted.decodeTerm, "memory bandwidth");
  EXPECT_EQ(result.tensorFormats.size(), shape.tensors.size());
  EXPECT_EQ(result.tensorFormats.at("norm.weight"), WeightFormat::F32);
}

TEST_F(PlanModel, WeightsOfTheAccountAreThePackedTensorsAligned) {
  load("gemma-4-E2B", "pixel9");
  options.budgetBytes = 2000000000;
  Plan result = plan();
  int64_t packed = 0;
  for (const PlannedTensor &tensor : result.tensors)
    if (tensor.role != "per_layer_table")
      packed += (tensor.bytes + 127) / 128 * 128;
  EXPECT_EQ(packed, result.memory.weights);
}

// gemma4.md's parameter count of the text model, through names and shapes.
TEST_F(PlanModel, ShapesHoldEveryParameter) {
  load("gemma-4-E2B", "pixel9");
  int64_t parameters = 0;
  for (const TensorShape &tensor : shape.tensors)
    parameters += tensor.n * tensor.k;
  EXPECT_EQ(parameters, 4628569379);
}

TEST_F(PlanModel, MoreMemoryNeverCostsQuality) {
  load("gemma-4-E4B", "pixel9");
  double last = 1e9;
  for (int64_t budget : {2000000000ll, 2500000000ll, 3000000000ll, 5000000000ll, 9000000000ll}) {
    options.budgetBytes = budget;
    double kl = plan().predicted.kl;
    EXPECT_LE(kl, last * 1.001) << budget;
    last = kl;
  }
}

TEST_F(PlanModel, TheSmallestBudgetIsExact) {
  load("gemma-4-E2B", "raspberrypi5");
  options.budgetBytes = 1000;
  llvm::Expected<PlanOutcome> outcome = planModel(request);
  ASSERT_TRUE(bool(outcome));
  ASSERT_FALSE(outcome->plan);
  EXPECT_THAT(outcome->message, HasSubstr("no plan fits 1.0 KB: the smallest needs"));
  EXPECT_THAT(outcome->suggestion, HasSubstr("--budget"));
  options.budgetBytes = outcome->smallestBudgetBytes;
  EXPECT_LE(plan().memory.peak(), outcome->smallestBudgetBytes);
  options.budgetBytes = outcome->smallestBudgetBytes - 1;
  llvm::Expected<PlanOutcome> less = planModel(request);
  ASSERT_TRUE(bool(less));
  EXPECT_FALSE(less->plan);
}

TEST_F(PlanModel, ExpertsStayOnStorageWhereMemoryIsShort) {
  load("gemma-4-26B-A4B", "galaxys25ultra");
  options.experts = TableChoice::Memory;
  options.budgetBytes = 5000000000;
  EXPECT_FALSE(llvm::cantFail(planModel(request)).plan);
  EXPECT_THAT(llvm::cantFail(planModel(request)).suggestion, HasSubstr("--experts storage"));
  options.experts = TableChoice::Auto;
  Plan result = plan();
  EXPECT_TRUE(result.expertsOnStorage());
  EXPECT_LE(result.memory.peak(), 5000000000);
  EXPECT_GT(result.memory.peak(), 4980000000); // what was left became slots
  EXPECT_GE(result.expertSlots, 128);
  std::set<WeightFormat> formats;
  int64_t stored = 0;
  for (const PlannedTensor &tensor : result.tensors)
    if (tensor.role == "expert_down") {
      formats.insert(tensor.format);
      EXPECT_EQ(tensor.placement, "storage");
      ++stored;
    }
  EXPECT_EQ(formats.size(), 1u);
  EXPECT_EQ(stored, 30);
  EXPECT_EQ(result.memory.tables % result.expertSlots, 0);
  EXPECT_NEAR(result.predicted.expertMissRate, 1 - double(result.expertSlots) / 3840, 1e-12);
  EXPECT_EQ(result.predicted.decodeTerm, "storage");
  // More memory, more slots; with all of it they lie in memory.
  options.budgetBytes = 8000000000;
  Plan more = plan();
  EXPECT_GT(more.predicted.decodeTokensPerSecond, result.predicted.decodeTokensPerSecond);
  options.budgetBytes = 30000000000;
  EXPECT_FALSE(plan().expertsOnStorage());
}

TEST_F(PlanModel, APlanOfExpertsOnStorageSurvivesItsTextAndItsReplay) {
  load("gemma-4-26B-A4B", "galaxys25ultra");
  options.experts = TableChoice::Storage;
  options.budgetBytes = 6000000000;
  Plan written = plan();
  std::string text = planText(written, PlanTextUse::File);
  options.experts = TableChoice::Auto;
  Plan replayed =
      llvm::cantFail(replayPlan(request, llvm::cantFail(parsePlan(text, "p.textproto"))));
  EXPECT_EQ(replayed.expertSlots, written.expertSlots);
  EXPECT_EQ(replayed.memory, written.memory);
  EXPECT_EQ(planText(replayed, PlanTextUse::File), text);
  Plan edited = written;
  edited.expertSlots = 127; // a chunk of 128 rows may need 128
  EXPECT_THAT(replayRefusal(edited), HasSubstr("expert_slots is 127, expected 128"));
  edited.expertSlots = 3841;
  EXPECT_THAT(replayRefusal(edited), HasSubstr("to 3840"));
  options.experts = TableChoice::Memory;
  EXPECT_THAT(replayRefusal(written), HasSubstr("experts lie on storage, --experts says"));
  // Plans of before there was a choice have their experts in memory.
  options.experts = TableChoice::Auto;
  edited = written;
  edited.experts = TablePlacement::None;
  edited.expertSlots = 0;
  EXPECT_THAT(replayRefusal(edited), HasSubstr("budget"));
}

TEST_F(PlanModel, ProgramsThatCannotAskKeepTheirExpertsInMemory) {
  load("gemma-4-26B-A4B", "rtx4090");
  options.budgetBytes = 6000000000;
  EXPECT_FALSE(llvm::cantFail(planModel(request)).plan);
  options.experts = TableChoice::Storage;
  EXPECT_THAT(llvm::toString(planModel(request).takeError()), HasSubstr("cannot ask for experts"));
}

TEST_F(PlanModel, SuggestsTheTableOnStorageWhenThatIsEnough) {
  load("gemma-4-E2B", "pixel9");
  options.tables = TableChoice::Memory;
  options.budgetBytes = 1000000000;
  llvm::Expected<PlanOutcome> outcome = planModel(request);
  ASSERT_TRUE(bool(outcome));
  ASSERT_FALSE(outcome->plan);
  EXPECT_THAT(outcome->suggestion, HasSubstr("--tables storage"));
}

TEST_F(PlanModel, FixedFormatsStayFixedAndLaterRulesWin) {
  load("gemma-4-E2B", "pixel9");
  options.budgetBytes = 8000000000;
  options.weightFormats = {{"*", WeightFormat::W4G32}, {"*.down_proj.weight", WeightFormat::W8}};
  options.localKv = KvFormat::Kv8;
  Plan result = plan();
  for (const PlannedTensor &tensor : result.tensors) {
    if (tensor.role == "norm")
      continue;
    WeightFormat wanted = tensor.role == "down"              ? WeightFormat::W8
                          : tensor.role == "per_layer_table" ? WeightFormat::W4
                                                             : WeightFormat::W4G32;
    EXPECT_EQ(tensor.format, wanted) << tensor.name;
    EXPECT_EQ(tensor.fixed, tensor.role != "per_layer_table") << tensor.name;
  }
  EXPECT_EQ(result.localK, KvFormat::Kv8);
}

TEST_F(PlanModel, PatternsThatMatchNothingAreRefused) {
  load("gemma-4-E2B", "pixel9");
  options.weightFormats = {{"*.dwon_proj.*", WeightFormat::W8}};
  llvm::Expected<PlanOutcome> outcome = planModel(request);
  ASSERT_FALSE(outcome);
  EXPECT_THAT(llvm::toString(outcome.takeError()), HasSubstr("matches no tensor"));
}

TEST_F(PlanModel, AMinimumSpeedIsMetOrRefused) {
  load("gemma-4-E2B", "pixel9");
  options.budgetBytes = 4000000000;
  double free = plan().predicted.decodeTokensPerSecond;
  options.minDecode = free * 1.5;
  EXPECT_GE(plan().predicted.decodeTokensPerSecond, options.minDecode * 0.999);
  options.minDecode = 1e6;
  llvm::Expected<PlanOutcome> outcome = planModel(request);
  ASSERT_TRUE(bool(outcome));
  EXPECT_FALSE(outcome->plan);
  EXPECT_THAT(outcome->message, HasSubstr("--min-decode"));
}

TEST_F(PlanModel, AutoContextGrowsWithTheBudget) {
  load("gemma-4-E2B", "pixel9");
  options.context = 0;
  options.contextGiven = true;
  options.budgetBytes = 900000000;
  int64_t small = plan().context;
  options.budgetBytes = 6000000000;
  int64_t large = plan().context;
  EXPECT_LT(small, large);
  EXPECT_LE(large, config.maxPositions);
}

TEST_F(PlanModel, ContextsBeyondTheModelAreRefused) {
  load("gemma-4-E2B", "pixel9");
  options.context = 200000;
  options.contextGiven = true;
  llvm::Expected<PlanOutcome> outcome = planModel(request);
  ASSERT_FALSE(outcome);
  EXPECT_THAT(llvm::toString(outcome.takeError()), HasSubstr("131072 positions"));
}

TEST_F(PlanModel, ExactSizesReplaceEstimates) {
  load("gemma-4-E2B", "pixel9");
  options.budgetBytes = 1000000000;
  Plan first = plan();
  request.exact = ExactSizes{first.prefillChunk, 50000000, 3000000};
  Plan second = plan();
  EXPECT_EQ(second.memory.code, 3000000);
  EXPECT_GE(second.memory.activations, 50000000);
  EXPECT_LE(second.memory.peak(), 1000000000);
}

TEST_F(PlanModel, APlanSurvivesItsTextAndItsReplay) {
  load("gemma-4-E2B", "pixel9");
  options.budgetBytes = 1000000000;
  Plan first = plan();
  std::string text = planText(first);
  llvm::Expected<Plan> read = parsePlan(text, "test");
  ASSERT_TRUE(bool(read)) << llvm::toString(read.takeError());
  EXPECT_EQ(planText(*read), text);
  llvm::Expected<Plan> replayed = replayPlan(request, *read);
  ASSERT_TRUE(bool(replayed)) << llvm::toString(replayed.takeError());
  EXPECT_EQ(planText(*replayed), text);
  EXPECT_EQ(replayed->localCapacity, first.localCapacity);
}

TEST_F(PlanModel, APlanWithItsTableInMemorySurvivesToo) {
  load("gemma-4-E2B", "pixel9");
  options.budgetBytes = 20000000000;
  Plan first = plan();
  ASSERT_EQ(first.tables, TablePlacement::Memory);
  llvm::Expected<Plan> replayed =
      replayPlan(request, llvm::cantFail(parsePlan(planText(first), "t")));
  ASSERT_TRUE(bool(replayed)) << llvm::toString(replayed.takeError());
  EXPECT_EQ(planText(*replayed), planText(first));
}

// A grid that no search offers for plain values: the plan names it, so the replay has it too.
TEST_F(PlanModel, APlanOfKeptGridsReplaysWithoutTheFlag) {
  load("gemma-4-E2B", "pixel9");
  options.budgetBytes = 3000000000;
  options.weightFormats = {{"*", WeightFormat::Q4K}, {"*down_proj*", WeightFormat::NF4}};
  Plan first = plan();
  options.weightFormats.clear();
  llvm::Expected<Plan> replayed = replayPlan(request, first);
  ASSERT_TRUE(bool(replayed)) << llvm::toString(replayed.takeError());
  EXPECT_EQ(planText(*replayed), planText(first));
  for (PlannedTensor &tensor : first.tensors)
    if (tensor.role == "per_layer_table")
      tensor.format = WeightFormat::Q4K;
  EXPECT_NE(replayRefusal(first), "");
}

// What was measured with --calibration comes back from the file alone.
TEST_F(PlanModel, AMeasuredPlanReplaysWithoutItsText) {
  load("gemma-4-E2B", "pixel9");
  options.budgetBytes = 1500000000;
  auto measured = std::make_shared<QualityModel>(shape);
  measured->basis = QualityBasis::Sensitivities;
  for (const TensorShape &tensor : shape.tensors)
    if (tensor.role != "norm")
      measured->tensors[tensor.name].probes = {{0.0125, 1e-4 * double(1 + tensor.layer % 3)},
                                               {0.15, 2e-3}};
  measured->caches = {{{true, KvFormat::Kv8}, 0.003}, {{false, KvFormat::Kv4}, 0.02}};
  measured->link = {-1.5, 1.1, 0.04, -1, -6, 2, 0.07, 16};
  request.quality = measured;
  Plan first = plan();
  EXPECT_EQ(first.predicted.klBasis, QualityBasis::Sensitivities);
  EXPECT_FALSE(first.predicted.klFromFile);
  Plan read = llvm::cantFail(parsePlan(planText(first), "kept"));

  request.quality = nullptr; // a run that knows shapes alone
  llvm::Expected<Plan> replayed = replayPlan(request, read);
  ASSERT_TRUE(bool(replayed)) << llvm::toString(replayed.takeError());
  EXPECT_EQ(planText(*replayed), planText(first));
  EXPECT_EQ(planText(*replayed, PlanTextUse::Artifact), planText(first, PlanTextUse::Artifact));
  EXPECT_TRUE(replayed->predicted.klFromFile);
  EXPECT_THAT(planReport(*replayed, {}), HasSubstr("as the plan file says"));

  // An edit moves KL along the plan's own link, as planning with the measurements would.
  Plan edited = read;
  for (PlannedTensor &tensor : edited.tensors)
    if (tensor.role == "down" && tensor.layer == 3)
      tensor.format = tensor.format == WeightFormat::W2 ? WeightFormat::W4 : WeightFormat::W2;
  options.budgetBytes = 3000000000;
  Plan moved = llvm::cantFail(replayPlan(request, edited));
  request.quality = measured;
  options.sensitivity = QualityBasis::Sensitivities; // asked for: nothing comes from the file
  Plan again = llvm::cantFail(replayPlan(request, edited));
  EXPECT_FALSE(again.predicted.klFromFile);
  EXPECT_EQ(planText(moved), planText(again));
  EXPECT_NE(moved.predicted.kl, first.predicted.kl);

  // A price that is missing is said.
  options.sensitivity = std::nullopt;
  edited.tensors.back().options.clear();
  for (PlannedTensor &tensor : edited.tensors)
    if (tensor.role == "up" && tensor.layer == 0)
      tensor.options.clear();
  EXPECT_THAT(replayRefusal(edited), HasSubstr("--calibration again"));
}

// What static scales cost is counted, and comes back from the file for the very same scales.
TEST_F(PlanModel, CountsWhatStaticScalesCost) {
  load("gemma-4-E2B", "pixel9");
  options.budgetBytes = 1500000000;
  double dynamic = plan().predicted.kl;
  PlannedScales scales;
  scales.activations = Activations::Static;
  scales.byTensor = {{"layers.0.mlp.down_proj.weight", {0.01f, 0.02f}}};
  scales.caches = {{0, {{0.1f, 0.2f}, {1.6f, 3.2f}}}};
  auto measured = std::make_shared<QualityModel>(shape);
  measured->caches = {{{false, KvFormat::Kv8}, 0.5}};
  request.quality = measured;
  request.activations = scales.activations;
  request.activationScales = scales.byTensor;
  request.cacheScales = scales.caches;
  request.staticCost = StaticCost{0.25, scales.hash()};
  Plan first = plan();
  EXPECT_NEAR(first.predicted.kl, dynamic + 0.25, 0.05); // the cache takes another format than kv8
  EXPECT_NE(first.localK, KvFormat::Kv8);
  EXPECT_GT(first.predicted.klLow, 0.25 * 0.7);
  Plan read = llvm::cantFail(parsePlan(planText(first), "kept"));

  request.quality = nullptr; // a run that measures nothing
  request.staticCost.reset();
  request.activationScales.clear();
  request.cacheScales.clear();
  Plan replayed = llvm::cantFail(replayPlan(request, read));
  EXPECT_EQ(planText(replayed), planText(first));
  EXPECT_TRUE(replayed.predicted.klFromFile);

  // Other scales cost something else, which nothing is known of.
  Plan edited = read;
  edited.activationScales.begin()->second.output *= 2;
  Plan unknown = llvm::cantFail(replayPlan(request, edited));
  EXPECT_FALSE(unknown.predicted.staticCost);
  EXPECT_LT(unknown.predicted.kl, 0.25);
  edited = read;
  edited.cacheScales.begin()->second.kv4.key *= 2;
  EXPECT_FALSE(llvm::cantFail(replayPlan(request, edited)).predicted.staticCost);
  // Formats are another matter.
  edited = read;
  edited.tensors.front().format = WeightFormat::W2;
  ASSERT_EQ(edited.tensors.front().role, "embedding");
  Plan coarser = llvm::cantFail(replayPlan(request, edited));
  ASSERT_TRUE(coarser.predicted.staticCost);
  EXPECT_EQ(coarser.predicted.staticCost->activations, 0.25);
}

TEST_F(PlanModel, EditedPlansAreTakenOrRefusedWithTheReason) {
  load("gemma-4-E2B", "pixel9");
  options.budgetBytes = 1000000000;
  Plan plan0 = plan();
  auto tensor = [](Plan &plan, const char *name) -> PlannedTensor & {
    for (PlannedTensor &tensor : plan.tensors)
      if (tensor.name == name)
        return tensor;
    return plan.tensors.front();
  };
  Plan edited = plan0;
  tensor(edited, "layers.20.mlp.down_proj.weight").format = WeightFormat::W2;
  llvm::Expected<Plan> smaller = replayPlan(request, edited);
  ASSERT_TRUE(bool(smaller)) << llvm::toString(smaller.takeError());
  EXPECT_LT(smaller->memory.weights, plan0.memory.weights);
  EXPECT_GT(smaller->predicted.kl, plan0.predicted.kl);

  edited = plan0;
  tensor(edited, "embed_tokens.weight").format = WeightFormat::BF16;
  EXPECT_THAT(replayRefusal(edited), HasSubstr("the budget is 1000000000"));
  edited = plan0;
  tensor(edited, "norm.weight").format = WeightFormat::W8;
  EXPECT_THAT(replayRefusal(edited), HasSubstr("vectors stay f32"));
  edited = plan0;
  edited.tensors.erase(edited.tensors.begin() + 5);
  EXPECT_THAT(replayRefusal(edited), HasSubstr("it has no tensor"));
  edited = plan0;
  edited.tensors.push_back(edited.tensors[5]);
  edited.tensors.back().name = "layers.99.mlp.up_proj.weight";
  EXPECT_THAT(replayRefusal(edited), HasSubstr("which the model has not"));
  options.weightFormats = {{"*.down_proj.weight", WeightFormat::F32}};
  EXPECT_THAT(replayRefusal(plan0), HasSubstr("--weight-format"));
  options.weightFormats.clear();
  options.contextGiven = true;
  options.context = 1024;
  EXPECT_THAT(replayRefusal(plan0), HasSubstr("--context says 1024"));
  options.contextGiven = false;
  edited = plan0;
  edited.target = "host";
  EXPECT_THAT(replayRefusal(edited), HasSubstr("for target 'host'"));
  edited = plan0;
  edited.tableCacheRows = 1;
  EXPECT_THAT(replayRefusal(edited), HasSubstr("less than a chunk"));
}

TEST_F(PlanModel, PlanFilesAreCheckedOnReading) {
  load("gemma-4-E2B", "pixel9");
  std::string text = planText(plan());
  auto refusal = [&](const char *from, const char *to) {
    std::string changed = text;
    size_t at = changed.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    changed.replace(at, strlen(from), to);
    llvm::Expected<Plan> plan = parsePlan(changed, "test");
    return plan ? std::string() : llvm::toString(plan.takeError());
  };
  EXPECT_THAT(refusal("version: 1", "version: 2"), HasSubstr("newer than this gcompile"));
  EXPECT_THAT(refusal("version: 1", ""), HasSubstr("states no version"));
  EXPECT_THAT(refusal("objective: \"quality\"", "objective: \"beauty\""), HasSubstr("'beauty'"));
  EXPECT_THAT(refusal("context: 4096", "context: -1"), HasSubstr("context is -1"));
  EXPECT_THAT(refusal("context: 4096", "context: 4096 contxt: 1"), HasSubstr("contxt"));
  EXPECT_THAT(refusal("placement: \"memory\"", "placement: \"attic\""), HasSubstr("'attic'"));
  EXPECT_THAT(refusal("layer_type: \"local\"", "layer_type: \"global\""), HasSubstr("twice"));
}

TEST_F(PlanModel, ArtifactsHoldNoMeasuredSpeed) {
  load("gemma-4-E2B", "host");
  options.budgetBytes = 2000000000;
  Plan unmeasured = plan();
  measureHost(profile);
  Plan measured = plan();
  EXPECT_GT(measured.predicted.decodeTokensPerSecond, 0);
  EXPECT_EQ(planText(measured, PlanTextUse::Artifact), planText(unmeasured, PlanTextUse::Artifact));
}

TEST_F(PlanModel, JsonHasTheKeysOfTheContract) {
  load("gemma-4-E2B", "pixel9");
  options.budgetBytes = 1000000000;
  Plan result = plan();
  llvm::json::Object json = planJson(result);
  for (const char *key :
       {"model", "target", "budget_bytes", "peak_bytes", "feasible", "context", "modalities",
        "memory", "tensors", "kv_cache", "predicted", "optimality", "solver", "seconds"})
    EXPECT_TRUE(json.get(key)) << key;
  int64_t sum = 0;
  for (const char *key :
       {"weights", "tables", "kv_cache", "activations", "encoders", "code", "runtime"})
    sum += json.getObject("memory")->getInteger(key).value_or(-1000000);
  EXPECT_EQ(sum, json.getInteger("peak_bytes"));
  for (const char *key : {"decode_tokens_per_second", "prefill_tokens_per_second",
                          "first_token_seconds", "kl", "kl_low", "kl_high"})
    EXPECT_TRUE(json.getObject("predicted")->get(key)) << key;
  for (const char *key : {"objective", "bound", "gap"})
    EXPECT_TRUE(json.getObject("optimality")->get(key)) << key;
  const llvm::json::Object &tensor = *json.getArray("tensors")->front().getAsObject();
  for (const char *key : {"name", "role", "layer", "format", "bytes", "placement"})
    EXPECT_TRUE(tensor.get(key)) << key;
  const llvm::json::Object &kv = *json.getArray("kv_cache")->front().getAsObject();
  for (const char *key : {"layer_type", "k", "v", "bytes"})
    EXPECT_TRUE(kv.get(key)) << key;
}

TEST_F(PlanModel, TheReportNamesTheCategoriesAndMarksEstimates) {
  load("gemma-4-E2B", "pixel9");
  options.budgetBytes = 1000000000;
  std::string report = planReport(plan());
  for (const char *word : {"weights", "kv_cache", "peak", "1.00 GB", "estimates", "tok/s",
                           "bound by", "gap", "rows cached", "assumed"})
    EXPECT_THAT(report, HasSubstr(word));
}

} // namespace
