// The program as a user runs it: exit codes, streams, plans in and out.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "llvm/ADT/SmallString.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Program.h"

using testing::HasSubstr;

namespace {

struct Result {
  int code;
  std::string out, err;
};

class Program : public testing::Test {
protected:
  void SetUp() override { ASSERT_FALSE(llvm::sys::fs::createUniqueDirectory("gcompile", folder)); }
  void TearDown() override { llvm::sys::fs::remove_directories(folder); }

  std::string path(const char *name) {
    llvm::SmallString<128> result(folder);
    llvm::sys::path::append(result, name);
    return std::string(result);
  }

  std::string content(const std::string &file) {
    auto buffer = llvm::MemoryBuffer::getFile(file);
    return buffer ? (*buffer)->getBuffer().str() : "";
  }

  Result run(std::vector<std::string> arguments) {
    std::vector<llvm::StringRef> words = {GC_GCOMPILE};
    words.insert(words.end(), arguments.begin(), arguments.end());
    std::string out = path("stdout"), err = path("stderr");
    llvm::sys::fs::remove(out); // redirecting appends
    llvm::sys::fs::remove(err);
    std::optional<llvm::StringRef> redirects[] = {llvm::StringRef(""), llvm::StringRef(out),
                                                  llvm::StringRef(err)};
    int code = llvm::sys::ExecuteAndWait(GC_GCOMPILE, words, std::nullopt, redirects, 120);
    return {code, content(out), content(err)};
  }

  llvm::SmallString<128> folder;
  const std::string tiny = std::string(GC_TEST_DATA_DIR) + "/gemma4-tiny";
};

TEST_F(Program, HelpAndVersionGoToStandardOutput) {
  for (const char *flag : {"--help", "--version"}) {
    Result result = run({flag});
    EXPECT_EQ(result.code, 0);
    EXPECT_GT(result.out.size(), 5u);
    EXPECT_EQ(result.err, "");
  }
}

TEST_F(Program, WrongFlagsExitWithTwoAndOneLine) {
  for (std::vector<std::string> flags : {std::vector<std::string>{"--no-such-flag"},
                                         {"plan", "--target", "no-such-target"},
                                         {"plan", "--target", "host", "--model", "no-such-preset"},
                                         {"plan", "--target", "host", "--budget", "12parsecs"},
                                         {"plan"},
                                         {"pareto"}}) {
    Result result = run(flags);
    EXPECT_EQ(result.code, 2) << flags.front();
    EXPECT_EQ(result.out, "");
    EXPECT_THAT(result.err, testing::StartsWith("gcompile: error: "));
    EXPECT_EQ(llvm::StringRef(result.err).count('\n'), 1u);
  }
}

TEST_F(Program, BadInputExitsWithOne) {
  Result result = run({"plan", "--target", "host", "--model", path("missing/")});
  EXPECT_EQ(result.code, 1);
  EXPECT_EQ(llvm::StringRef(result.err).count('\n'), 1u);
  EXPECT_EQ(run({"inspect", path("missing.gpk")}).code, 1);
  EXPECT_EQ(run({"plan", "--target", "host", "--model", tiny, "--plan", path("missing")}).code, 1);
}

TEST_F(Program, NothingFitsExitsWithThreeAndNamesWhatWould) {
  Result result = run({"plan", "--model", tiny, "--target", "host", "--budget", "1MB", "--json"});
  EXPECT_EQ(result.code, 3);
  llvm::Expected<llvm::json::Value> json = llvm::json::parse(result.out);
  ASSERT_TRUE(bool(json)) << llvm::toString(json.takeError());
  const llvm::json::Object &object = *json->getAsObject();
  EXPECT_EQ(object.getBoolean("feasible"), false);
  int64_t smallest = object.getInteger("smallest_budget_bytes").value_or(0);
  EXPECT_GT(smallest, 1000000);
  EXPECT_TRUE(object.getString("suggestion"));
  EXPECT_EQ(
      run({"plan", "--model", tiny, "--target", "host", "--budget", std::to_string(smallest)}).code,
      0);
  EXPECT_EQ(
      run({"plan", "--model", tiny, "--target", "host", "--budget", std::to_string(smallest - 1)})
          .code,
      3);
}

TEST_F(Program, AWrittenPlanReplaysToItself) {
  std::string first = path("first.textproto"), second = path("second.textproto");
  Result result =
      run({"--model", tiny, "--target", "host", "--budget", "16MB", "--emit", "plan", "-o", first});
  ASSERT_EQ(result.code, 0) << result.err;
  result = run({"--model", tiny, "--target", "host", "--plan", first, "--emit=plan", "-o", second});
  ASSERT_EQ(result.code, 0) << result.err;
  // Speeds of the host are measured anew in each run.
  auto decisions = [&](const std::string &file) {
    std::string text = content(file);
    for (auto [from, to] : {std::pair("predicted {", "kl:"), std::pair("kl_high", "kl_basis")}) {
      size_t begin = text.find(from), end = text.find(to, begin);
      text.erase(begin, end - begin);
    }
    return text;
  };
  EXPECT_EQ(decisions(first), decisions(second));
  EXPECT_EQ(run({"inspect", first, "--json"}).code, 0);
}

TEST_F(Program, WhyNamesPriceRunnerUpAndFlip) {
  std::string plan = path("plan.textproto");
  ASSERT_EQ(run({"--model", "gemma-4-E2B", "--target", "pixel9", "--budget", "1GB", "--emit",
                 "plan", "-o", plan})
                .code,
            0);
  Result result = run({"why", plan, "layers.20.mlp.down_proj.weight", "--json"});
  ASSERT_EQ(result.code, 0) << result.err;
  llvm::Expected<llvm::json::Value> json = llvm::json::parse(result.out);
  ASSERT_TRUE(bool(json));
  const llvm::json::Object &object = *json->getAsObject();
  for (const char *key : {"tensor", "format", "kl_per_mib", "runner_up", "flips_at_budget_bytes"})
    EXPECT_TRUE(object.get(key)) << key;
  EXPECT_GT(object.getInteger("flips_at_budget_bytes").value_or(0), 1000000000);
  result = run({"why", plan, "layers.20.mlp.dwon_proj.weight"});
  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err, HasSubstr("did you mean 'layers.20.mlp.down_proj.weight'?"));
}

TEST_F(Program, TargetsAreListedWithTheirSources) {
  Result result = run({"targets", "pixel9", "--json"});
  ASSERT_EQ(result.code, 0) << result.err;
  llvm::Expected<llvm::json::Value> json = llvm::json::parse(result.out);
  ASSERT_TRUE(bool(json));
  const llvm::json::Array &targets = *json->getAsObject()->getArray("targets");
  ASSERT_EQ(targets.size(), 1u);
  const llvm::json::Object &fact =
      *targets.front().getAsObject()->getArray("facts")->front().getAsObject();
  for (const char *key : {"name", "value", "unit", "source", "confidence"})
    EXPECT_TRUE(fact.get(key)) << key;
  EXPECT_THAT(run({"targets"}).out, HasSubstr("raspberrypi5"));
}

TEST_F(Program, SaysThatTablesChangesNothingWithoutATable) {
  std::vector<std::string> arguments = {"plan",     "--model", "gemma-4-12B", "--target", "rtx4090",
                                        "--budget", "20GB",    "--tables",    "storage"};
  Result result = run(arguments);
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("'gemma-4-12B' has no per-layer table"));
  arguments[2] = "gemma-4-E2B";
  EXPECT_THAT(run(arguments).err, testing::Not(HasSubstr("no per-layer table")));
}

} // namespace
