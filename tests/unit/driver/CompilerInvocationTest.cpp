#include "compiler/Driver/CompilerInvocation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace gcompile;
using testing::HasSubstr;

namespace {

CompilerInvocation parse(std::vector<std::string> arguments) {
  llvm::Expected<CompilerInvocation> invocation = parseCommandLine(arguments);
  if (!invocation) {
    ADD_FAILURE() << llvm::toString(invocation.takeError());
    return {};
  }
  return *invocation;
}

std::string refusal(std::vector<std::string> arguments) {
  llvm::Expected<CompilerInvocation> invocation = parseCommandLine(arguments);
  if (invocation)
    return "";
  return llvm::toString(invocation.takeError());
}

TEST(CompilerInvocation, CompilesByDefault) {
  CompilerInvocation invocation = parse({"--target", "host"});
  EXPECT_EQ(invocation.command, Command::Compile);
  EXPECT_EQ(invocation.context, 4096);
  EXPECT_FALSE(invocation.contextGiven);
  EXPECT_EQ(invocation.objective, Objective::Quality);
  EXPECT_FALSE(invocation.budgetBytes);
}

TEST(CompilerInvocation, TakesValuesAfterASpaceOrAnEqualsSign) {
  for (std::vector<std::string> words :
       {std::vector<std::string>{"--emit", "plan", "--budget", "1GB"},
        {"--emit=plan", "--budget=1GB"}}) {
    CompilerInvocation invocation = parse(words);
    EXPECT_EQ(invocation.emit, EmitKind::Plan);
    EXPECT_EQ(invocation.budgetBytes, 1000000000);
  }
}

TEST(CompilerInvocation, ReadsEveryOption) {
  CompilerInvocation i = parse({"plan",
                                "--target",
                                "pixel9",
                                "--model",
                                "gemma-4-E2B",
                                "-o",
                                "x.textproto",
                                "--context",
                                "auto",
                                "--modalities",
                                "text",
                                "--tables",
                                "storage",
                                "--objective",
                                "balanced",
                                "--min-decode",
                                "12.5",
                                "--weight-format",
                                "w8,*.mlp.*=w4",
                                "--kv-format",
                                "local=kv8,global=f16",
                                "--weights",
                                "synthetic:7",
                                "--jobs",
                                "2",
                                "--json",
                                "--quiet"});
  EXPECT_EQ(i.command, Command::Plan);
  EXPECT_EQ(i.target, "pixel9");
  EXPECT_EQ(i.model, "gemma-4-E2B");
  EXPECT_EQ(i.output, "x.textproto");
  EXPECT_EQ(i.context, 0);
  EXPECT_EQ(i.tables, TableChoice::Storage);
  EXPECT_EQ(i.objective, Objective::Balanced);
  EXPECT_EQ(i.minDecode, 12.5);
  ASSERT_EQ(i.weightFormats.size(), 2u);
  EXPECT_EQ(i.weightFormats[0].pattern, "*");
  EXPECT_EQ(i.weightFormats[0].format, WeightFormat::W8);
  EXPECT_EQ(i.weightFormats[1].pattern, "*.mlp.*");
  EXPECT_EQ(i.weightFormats[1].format, WeightFormat::W4);
  EXPECT_EQ(i.localKv, KvFormat::Kv8);
  EXPECT_EQ(i.globalKv, KvFormat::F16);
  EXPECT_EQ(i.syntheticSeed, 7u);
  EXPECT_EQ(i.jobs, 2);
  EXPECT_TRUE(i.json);
  EXPECT_TRUE(i.quiet);
}

TEST(CompilerInvocation, OneKvFormatIsForBothLayerTypes) {
  CompilerInvocation invocation = parse({"--kv-format", "kv4"});
  EXPECT_EQ(invocation.localKv, KvFormat::Kv4);
  EXPECT_EQ(invocation.globalKv, KvFormat::Kv4);
}

TEST(CompilerInvocation, NamesTheNearestOption) {
  EXPECT_THAT(refusal({"--buget", "1GB"}), HasSubstr("did you mean '--budget'?"));
  EXPECT_THAT(refusal({"tragets"}), HasSubstr("did you mean 'targets'?"));
  EXPECT_THAT(refusal({"--weight-format", "w4g31"}), HasSubstr("did you mean 'w4g32'?"));
}

TEST(CompilerInvocation, RefusesInOneLineThatNamesTheOption) {
  const std::pair<std::vector<std::string>, const char *> cases[] = {
      {{"--budget"}, "needs a value"},
      {{"--budget", "-5MB"}, "not negative"},
      {{"--json=yes"}, "takes no value"},
      {{"--context", "-1"}, "--context -1"},
      {{"--context", "many"}, "--context many"},
      {{"--context", "0"}, "--context 0"},
      {{"--jobs", "0x"}, "--jobs 0x"},
      {{"--kv-format", "kv5"}, "f32 f16 kv8 kv4"},
      {{"--kv-format", "sideways=f32"}, "local=FORMAT"},
      {{"--modalities", "smell"}, "--modalities smell"},
      {{"--modalities", "vision"}, "text among them"},
      {{"--modalities", "text,smell"}, "text, or text with vision"},
      {{"--tables", "attic"}, "storage, memory or auto"},
      {{"--weights", "random"}, "synthetic:SEED"},
      {{"--min-decode", "nan"}, "positive number"},
      {{"--model", ""}, "not empty"},
      {{"why", "plan.textproto"}, "needs 2 arguments"},
      {{"inspect", "a", "b"}, "unexpected argument 'b'"},
      {{"--weight-format", "[=w8"}, "--weight-format"},
  };
  for (const auto &[words, expected] : cases) {
    std::string message = refusal(words);
    EXPECT_THAT(message, HasSubstr(expected)) << words.front();
    EXPECT_EQ(message.find('\n'), std::string::npos) << words.front();
  }
}

TEST(CompilerInvocation, HelpListsEveryOptionAndHasExamples) {
  std::string help = helpText(std::nullopt);
  for (const char *word :
       {"--target",      "--budget",    "--model",      "--context",       "--modalities",
        "--tables",      "--objective", "--min-decode", "--weight-format", "--kv-format",
        "--calibration", "--plan",      "--emit",       "--weights",       "--jobs",
        "--json",        "--report",    "--quiet",      "examples:",       "exit codes:"})
    EXPECT_THAT(help, HasSubstr(word));
}

TEST(CompilerInvocation, RefusesFlagsThatContradictOrDoNothing) {
  EXPECT_THAT(refusal({"plan", "--budget", "1GB", "--budget=2GB"}), HasSubstr("given twice"));
  EXPECT_EQ(refusal({"plan", "--budget", "1GB", "--budget", "1GB"}), "");
  EXPECT_EQ(refusal({"plan", "--weight-format", "w4", "--weight-format", "q*=w8"}), "");
  EXPECT_THAT(refusal({"verify", "a.gpk", "--model", "m"}), HasSubstr("both --model"));
  EXPECT_THAT(refusal({"verify", "a.gpk", "--calibration", "t"}), HasSubstr("--calibration"));
  EXPECT_EQ(refusal({"verify", "a.gpk", "--model", "m", "--text", "t"}), "");
  EXPECT_THAT(refusal({"plan", "--text", "t"}), HasSubstr("'verify'"));
  EXPECT_THAT(refusal({"plan", "--model", "m", "--sensitivity", "measure"}),
              HasSubstr("--calibration FILE"));
  EXPECT_THAT(refusal({"plan", "--model", "m", "--sensitivity", "guess"}), HasSubstr("prior"));
  EXPECT_THAT(refusal({"plan", "--calibration", "t"}), HasSubstr("needs --model"));
  EXPECT_THAT(refusal({"plan", "--model", "m", "--calibration", "t", "--weights", "synthetic:1"}),
              HasSubstr("no quality"));
  EXPECT_THAT(refusal({"plan", "--model", "m", "--calibration", "t", "--sensitivity", "prior"}),
              HasSubstr("uses no text"));
  EXPECT_EQ(refusal({"plan", "--model", "m", "--calibration", "t"}), "");
  EXPECT_EQ(refusal({"plan", "--model", "m", "--imatrix", "i"}), "");
  EXPECT_THAT(refusal({"plan", "--imatrix", "i"}), HasSubstr("--model PATH"));
  EXPECT_THAT(refusal({"plan", "--model", "m", "--imatrix", "i", "--calibration", "t"}),
              HasSubstr("give one"));
  EXPECT_THAT(refusal({"plan", "--model", "m", "--imatrix", "i", "--sensitivity", "weights"}),
              HasSubstr("does not go with --imatrix"));
  EXPECT_THAT(refusal({"inspect", "x", "--imatrix", "i"}), HasSubstr("takes no --imatrix"));
  EXPECT_THAT(refusal({"plan", "--kv-format", "kv8", "--kv-format", "local=f16"}),
              HasSubstr("the local caches twice, to kv8 and f16"));
  EXPECT_EQ(refusal({"plan", "--kv-format", "local=kv8", "--kv-format", "global=f16"}), "");
  EXPECT_THAT(refusal({"inspect", "x", "--budget", "1GB"}), HasSubstr("takes no --budget"));
  EXPECT_THAT(refusal({"plan", "--emit", "asm"}), HasSubstr("stops before code"));
  EXPECT_THAT(refusal({"--emit", "asm", "--report", "x.html"}), HasSubstr("--report goes with"));
  EXPECT_THAT(refusal({"plan", "-o", "x", "--report", "x"}), HasSubstr("same file"));
  EXPECT_THAT(refusal({"why", "x", "y", "--report", "z"}), HasSubstr("takes no --report"));
  EXPECT_THAT(refusal({"plan", "--points", "9"}), HasSubstr("--points is for 'pareto'"));
  EXPECT_EQ(refusal({"pareto", "--points", "9"}), "");
}

} // namespace
