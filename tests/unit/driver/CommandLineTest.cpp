// A command line that was written back is read as the same invocation.
#include "compiler/Driver/CommandLine.h"

#include <gtest/gtest.h>

using namespace gcompile;

TEST(CommandLine, QuotesForAShell) {
  EXPECT_EQ(shellQuoted("gemma-4-E2B"), "gemma-4-E2B");
  EXPECT_EQ(shellQuoted(""), "''");
  EXPECT_EQ(shellQuoted("a b"), "'a b'");
  EXPECT_EQ(shellQuoted("it's $HOME"), "'it'\\''s $HOME'");
}

TEST(CommandLine, WritesWhatWasAsked) {
  std::vector<std::string> words = {"plan",
                                    "--model",
                                    "m",
                                    "--target",
                                    "pixel9",
                                    "--budget",
                                    "123",
                                    "--context",
                                    "auto",
                                    "--tables",
                                    "storage",
                                    "--objective",
                                    "speed",
                                    "--min-decode",
                                    "2.5",
                                    "--weight-format",
                                    "w4g32,q.weight=w8",
                                    "--kv-format",
                                    "local=kv8,global=f16",
                                    "--plan",
                                    "p.textproto",
                                    "--weights",
                                    "synthetic:7"};
  CompilerInvocation invocation = llvm::cantFail(parseCommandLine(words));
  std::string expected = "gcompile";
  for (const std::string &word : words)
    expected += " " + word;
  EXPECT_EQ(commandLine(invocation, "m", 123), expected);
}

TEST(CommandLine, ResolvesModelAndBudget) {
  CompilerInvocation invocation = llvm::cantFail(parseCommandLine({"--target", "pixel9"}));
  EXPECT_EQ(commandLine(invocation, "my models/E2B", 4050000000),
            "gcompile --model 'my models/E2B' --target pixel9 --budget 4050000000");
}
