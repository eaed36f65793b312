// grun as a user runs it, over the fake model: every mode, its JSON, its exit codes and messages.
#include "tests/unit/runtime/FakeImage.h"
#include "tests/unit/runtime/TestArtifact.h"

#include "llvm/Support/JSON.h"

#include <gmock/gmock.h>

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

using testing::HasSubstr;

namespace gcompile {
namespace {

using llvm::json::Object;
using test::FakeModelOptions;

struct Finished {
  int code;
  std::string out, err;
};

std::string text(const std::string &path) {
  std::vector<uint8_t> bytes = test::readFile(path);
  return {bytes.begin(), bytes.end()};
}

// Runs a shell command; its output and exit code.
Finished run(const std::string &command, const std::string &input = "") {
  std::string in = test::temporaryPath("in"), out = test::temporaryPath("out"),
              err = test::temporaryPath("err");
  test::writeFile(in, {input.begin(), input.end()});
  int status = system((command + " <" + in + " >" + out + " 2>" + err).c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status), text(out), text(err)};
}

// Checks a value against the part of JSON Schema that docs/*.schema.json use; the first fault, or
// "".
std::string conforms(const llvm::json::Value &value, const Object &schema, const std::string &at) {
  auto hasType = [&](llvm::StringRef type) {
    return (type == "object" && value.getAsObject()) || (type == "array" && value.getAsArray()) ||
           (type == "string" && value.getAsString()) ||
           (type == "integer" && value.getAsInteger()) ||
           (type == "number" && value.getAsNumber()) || (type == "null" && value.getAsNull());
  };
  if (const llvm::json::Value *type = schema.get("type")) {
    bool fits = type->getAsString() && hasType(*type->getAsString());
    if (const llvm::json::Array *types = type->getAsArray())
      for (const llvm::json::Value &one : *types)
        fits |= hasType(*one.getAsString());
    if (!fits)
      return at + " has another type";
  }
  if (const llvm::json::Array *values = schema.getArray("enum"))
    if (llvm::find(*values, value) == values->end())
      return at + " is none of its values";
  if (const Object *object = value.getAsObject()) {
    for (const llvm::json::Value &key : *schema.getArray("required"))
      if (!object->get(*key.getAsString()))
        return at + " lacks " + key.getAsString()->str();
    for (const auto &[key, member] : *object) {
      const Object *part = schema.getObject("properties")->getObject(key);
      if (!part)
        return at + " has " + key.str() + ", which is not described";
      if (std::string fault = conforms(member, *part, at + "." + key.str()); !fault.empty())
        return fault;
    }
  }
  if (const llvm::json::Array *array = value.getAsArray())
    if (const Object *items = schema.getObject("items"))
      for (const llvm::json::Value &item : *array)
        if (std::string fault = conforms(item, *items, at + "[]"); !fault.empty())
          return fault;
  return "";
}

class GrunTest : public testing::Test {
protected:
  std::string model(const FakeModelOptions &options = {}) {
    std::string path = test::temporaryPath("grun.gpk");
    test::writeFile(path, test::fakeModel(options).build());
    return path;
  }
  Finished grun(const std::string &arguments, const std::string &input = "") {
    return run(std::string(GC_GRUN) + " " + file + " " + arguments, input);
  }
  Object json(const std::string &arguments, const std::string &input = "") {
    Finished finished = grun(arguments + " --json", input);
    EXPECT_EQ(finished.code, 0) << finished.err;
    EXPECT_EQ(finished.err, "");
    auto value = llvm::json::parse(finished.out);
    if (!value || !value->getAsObject()) {
      ADD_FAILURE() << "no JSON object: " << finished.out;
      consumeError(value.takeError());
      return Object{};
    }
    return *value->getAsObject();
  }
  static std::vector<int64_t> integers(const Object &object, const char *key) {
    std::vector<int64_t> values;
    if (const llvm::json::Array *array = object.getArray(key))
      for (const llvm::json::Value &value : *array)
        values.push_back(value.getAsInteger().value_or(-1));
    return values;
  }

  std::string file = model();
};

TEST_F(GrunTest, ContinuesTokens) {
  Object result = json("--tokens 100,200,300 -n 4 --temperature 0");
  EXPECT_EQ(integers(result, "prompt_tokens"), (std::vector<int64_t>{100, 200, 300}));
  EXPECT_EQ(integers(result, "tokens"), (std::vector<int64_t>{301, 302, 303, 304}));
  EXPECT_EQ(result.getString("stop_reason"), "length");
  const Object *timings = result.getObject("timings");
  ASSERT_NE(timings, nullptr);
  for (const char *key :
       {"load_seconds", "prefill_seconds", "decode_seconds", "decode_tokens_per_second"})
    EXPECT_TRUE(timings->getNumber(key)) << key;
}

TEST_F(GrunTest, LeavesOutTheStopToken) {
  Object result = json("--tokens 3 -n 100 --temperature 0"); // 4, 5, then 6, which stops
  EXPECT_EQ(integers(result, "tokens"), (std::vector<int64_t>{4, 5}));
  EXPECT_EQ(result.getString("stop_reason"), "stop_token");
  result = json("--tokens 3 -n 5 --temperature 0 --ignore-stop");
  EXPECT_EQ(integers(result, "tokens"), (std::vector<int64_t>{4, 5, 6, 7, 8}));
  EXPECT_EQ(result.getString("stop_reason"), "length");
}

TEST_F(GrunTest, StopsAtTheEndOfTheContext) {
  std::string prompt = "300";
  for (int i = 1; i < 60; ++i)
    prompt += ",300";
  Object result = json("--tokens " + prompt + " -n 1000 --temperature 0");
  EXPECT_EQ(integers(result, "tokens"), (std::vector<int64_t>{301, 302, 303, 304, 305}));
  EXPECT_EQ(result.getString("stop_reason"), "context");
  Finished full = grun("--tokens " + prompt + ",1,2,3,4,5 -n 1");
  EXPECT_EQ(full.code, 1);
  EXPECT_THAT(full.err, HasSubstr("the prompt has 65 tokens, the context of this model is 64"));
}

TEST_F(GrunTest, NoTokensAreNoTokens) {
  Object result = json("--tokens 7 -n 0");
  EXPECT_EQ(integers(result, "tokens"), (std::vector<int64_t>{}));
  EXPECT_EQ(result.getString("text"), "");
}

TEST_F(GrunTest, WritesWholeCharactersAsTheyCome) {
  // <0xE2> to <0xE5> follow each other: bytes that never make a character, each replaced.
  Object result = json("--tokens 249 -n 3 --temperature 0"); // 24 + 0xE1 = 249
  EXPECT_EQ(integers(result, "tokens"), (std::vector<int64_t>{250, 251, 252}));
  EXPECT_EQ(result.getString("text"), "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
  Finished plain = grun("--tokens 249 -n 3 --temperature 0");
  EXPECT_EQ(plain.out, "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\n");
}

TEST_F(GrunTest, TakesTextFromAllItsSources) {
  std::string path = test::temporaryPath("prompt.txt");
  test::writeFile(path, {'H', 'e', 'l', 'l', 'o'});
  Object first = json("-p Hello -n 2"), second = json("-p - -n 2", "Hello"),
         third = json("-f " + path + " -n 2"), fourth = json("--prompt='<bos>Hello' -n 2");
  std::vector<int64_t> prompt = integers(first, "prompt_tokens");
  EXPECT_EQ(prompt[0], 2);
  EXPECT_EQ(integers(second, "prompt_tokens"), prompt);
  EXPECT_EQ(integers(third, "prompt_tokens"), prompt);
  EXPECT_EQ(integers(fourth, "prompt_tokens"), prompt);
  EXPECT_EQ(integers(first, "tokens"), integers(second, "tokens"));
}

TEST_F(GrunTest, ChatAppliesTheTurnForm) {
  Object result = json("--chat -p Hello -n 1");
  // tests/data/gemma4-tiny/eval/goldens.json, first prompt.
  EXPECT_EQ(integers(result, "prompt_tokens"),
            (std::vector<int64_t>{2, 5, 1351, 3936, 3976, 433, 346, 6, 3936, 5, 700, 3936}));
  EXPECT_GT(integers(json("--chat --system 'Be kind' -p Hello -n 1"), "prompt_tokens").size(), 12u);
}

TEST_F(GrunTest, HoldsAConversation) {
  Finished finished =
      grun("--chat -n 3 --temperature 0", "Hello\n\n/clear\nHello\nmore\n/exit\nnever\n");
  EXPECT_EQ(finished.code, 0) << finished.err;
  EXPECT_EQ(std::count(finished.out.begin(), finished.out.end(), '\n'), 3);
  std::string first = finished.out.substr(0, finished.out.find('\n'));
  EXPECT_EQ(finished.out.substr(first.size() + 1, first.size()),
            first); // after /clear all is as before
}

TEST_F(GrunTest, AFullConversationStartsOver) {
  std::string input;
  for (int i = 0; i < 12; ++i)
    input += "Hello\n";
  Finished finished = grun("--chat -n 3 --temperature 0", input);
  EXPECT_EQ(finished.code, 0);
  EXPECT_THAT(finished.err, HasSubstr("starts over"));
  EXPECT_EQ(std::count(finished.out.begin(), finished.out.end(), '\n'), 12);
}

TEST_F(GrunTest, SeedsRepeat) {
  std::string warm = "--tokens 16 -n 20 --temperature 1.5 --ignore-stop --seed ";
  EXPECT_EQ(integers(json(warm + "1"), "tokens"), integers(json(warm + "1 --threads 1"), "tokens"));
  EXPECT_NE(integers(json(warm + "1"), "tokens"), integers(json(warm + "2"), "tokens"));
  for (int64_t token : integers(json(warm + "3"), "tokens"))
    EXPECT_TRUE(token != 17 && token != 18) << "suppressed";
}

TEST_F(GrunTest, TablesGiveTheSameTokens) {
  std::vector<int64_t> expected =
      integers(json("-p 'The quick brown fox' -n 20 --temperature 1"), "tokens");
  for (uint32_t placement : {GC_TABLE_MEMORY, GC_TABLE_STORAGE}) {
    file = model({.tablePlacement = placement});
    EXPECT_EQ(integers(json("-p 'The quick brown fox' -n 20 --temperature 1"), "tokens"), expected);
  }
}

TEST_F(GrunTest, PrintsLogitsOfEveryPosition) {
  Object result = json("--logits --tokens 2,5,7");
  const llvm::json::Array *rows = result.getArray("logits");
  ASSERT_TRUE(rows && rows->size() == 3);
  int64_t tokens[] = {2, 5, 7};
  for (size_t i = 0; i < 3; ++i) {
    const llvm::json::Array *row = (*rows)[i].getAsArray();
    ASSERT_TRUE(row && row->size() == FAKE_VOCABULARY);
    EXPECT_EQ((*row)[size_t(tokens[i]) + 1].getAsNumber(), 8);
  }
}

TEST_F(GrunTest, MeasuresPerplexityInWindows) {
  std::string path = test::temporaryPath("book.txt"), book;
  for (int i = 0; i < 200; ++i)
    book += "in the beginning " + std::to_string(i) + "\n";
  test::writeFile(path, {book.begin(), book.end()});
  size_t textTokens = integers(json("--tokenize " + path), "tokens").size();
  Object result = json("--perplexity " + path + " --window 32");
  size_t windows = (textTokens + 1) / 32;
  EXPECT_EQ(result.getInteger("windows"), int64_t(windows));
  EXPECT_EQ(result.getInteger("text_tokens"), int64_t(textTokens));
  EXPECT_EQ(result.getInteger("tokens"), int64_t(windows * 15)); // 32/2 - 1
  double nll = *result.getNumber("nll");
  EXPECT_NEAR(*result.getNumber("perplexity"), std::exp(nll), 1e-6 * std::exp(nll));
  EXPECT_GT(nll, 7); // nothing follows its predecessor here: about ln(4096 · 1.7)
  EXPECT_LT(nll, 11);
  Object all = json("--perplexity " + path + " --window 32 --score all");
  EXPECT_EQ(all.getInteger("tokens"), int64_t(windows * 31));
  Finished tooLong = grun("--perplexity " + path);
  EXPECT_EQ(tooLong.code, 1); // a window of 512 in a context of 64
  EXPECT_THAT(tooLong.err, HasSubstr("--window 64"));
  test::writeFile(path, {'x'});
  EXPECT_EQ(grun("--perplexity " + path + " --window 32").code, 1);
}

TEST_F(GrunTest, TokenizesFiles) {
  std::string path = test::temporaryPath("text.txt");
  test::writeFile(path, {'a', '<', 'b', 'o', 's', '>', 0xFF, '\n'});
  std::vector<int64_t> tokens = integers(json("--tokenize " + path), "tokens");
  ASSERT_EQ(tokens.size(), 4u);
  EXPECT_EQ(tokens[1], 2);
  EXPECT_EQ(tokens[2], 24 + 0xFF);
  EXPECT_EQ(grun("--tokenize " + path).out,
            std::to_string(tokens[0]) + ",2,279," + std::to_string(tokens[3]) + "\n");
  test::writeFile(path, {});
  EXPECT_EQ(integers(json("--tokenize " + path), "tokens").size(), 0u);
}

TEST_F(GrunTest, BenchReportsSpeedAndMemory) {
  file = model({.tablePlacement = GC_TABLE_STORAGE});
  Object result = json("--bench --prompt-tokens 20 --decode-tokens 10 --threads 2");
  const Object *memory = result.getObject("memory");
  ASSERT_NE(memory, nullptr);
  for (const char *key :
       {"weights", "tables", "kv_cache", "activations", "encoders", "code", "runtime"})
    EXPECT_TRUE(memory->getInteger(key)) << key;
  EXPECT_GE(*memory->getInteger("activations"), FAKE_ARENA_BYTES);
  EXPECT_EQ(result.getInteger("threads"), 2);
  EXPECT_EQ(result.getInteger("prompt_tokens"), 20);
  EXPECT_EQ(result.getInteger("decode_tokens"), 10);
  for (const char *key :
       {"prefill_tokens_per_second", "decode_tokens_per_second", "first_token_seconds",
        "load_seconds", "peak_rss_bytes", "read_bandwidth_bytes_per_second"})
    EXPECT_GT(result.getNumber(key).value_or(0), 0) << key;
  EXPECT_EQ(result.getObject("predicted")->getNumber("decode_tokens_per_second"), 12.5);
  EXPECT_EQ(grun("--bench --prompt-tokens 60 --decode-tokens 10").code, 1);
  EXPECT_EQ(grun("--bench").code, 0); // defaults are cut to the context
}

TEST_F(GrunTest, JsonIsWhatTheSchemasDescribe) {
  std::string path = test::temporaryPath("schema.txt");
  std::vector<uint8_t> book;
  for (int i = 0; i < 400; ++i)
    book.push_back(uint8_t('a' + i % 23));
  test::writeFile(path, book);
  const std::pair<const char *, std::string> cases[] = {
      {"generation", "-p Hello -n 3"},
      {"generation", "--chat -p Hello -n 0"},
      {"bench", "--bench"},
      {"perplexity", "--perplexity " + path + " --window 16"},
      {"tokenize", "--tokenize " + path},
      {"logits", "--logits --tokens 2,3"}};
  for (const auto &[name, arguments] : cases) {
    std::string schemaPath = std::string(GC_TEST_DATA_DIR) + "/../../docs/" + name + ".schema.json";
    llvm::json::Value schema = llvm::cantFail(llvm::json::parse(text(schemaPath)));
    EXPECT_EQ(conforms(json(arguments), *schema.getAsObject(), name), "");
  }
}

TEST_F(GrunTest, VerifiesFiles) {
  EXPECT_EQ(grun("--verify").code, 0);
  std::vector<uint8_t> bytes = test::readFile(file);
  bytes[bytes.size() - 10] ^= 4;
  test::writeFile(file, bytes);
  Finished damaged = grun("--verify");
  EXPECT_EQ(damaged.code, 1);
  EXPECT_THAT(damaged.err, HasSubstr("damaged"));
}

TEST_F(GrunTest, BadFlagsExitWithTwo) {
  for (const char *arguments : {"",
                                "--wrong",
                                "-p",
                                "-p a -f b",
                                "-p a --tokens 1",
                                "--tokens 1,x",
                                "--tokens ''",
                                "--tokens 1,,2",
                                "--tokens -1",
                                "-p a -n -1",
                                "-p a -n 1e3",
                                "-p a --temperature -1",
                                "-p a --temperature nan",
                                "-p a --top-p 1.5",
                                "-p a --top-k -1",
                                "-p a --seed x",
                                "-p a --threads 0",
                                "-p a --threads 999999",
                                "--system x -p a",
                                "--chat --tokens 1",
                                "--chat --json",
                                "--bench -p a",
                                "--bench --verify",
                                "--window 5 -p a",
                                "--perplexity x --window 1",
                                "--perplexity x --score none",
                                "--logits",
                                "-p a --prompt-tokens 3",
                                "--verify=1",
                                "second.gpk -p a"}) {
    Finished finished = grun(arguments);
    EXPECT_EQ(finished.code, 2) << arguments;
    EXPECT_THAT(finished.err, HasSubstr("grun: error: ")) << arguments;
    EXPECT_EQ(std::count(finished.err.begin(), finished.err.end(), '\n'), 1) << finished.err;
    EXPECT_EQ(finished.out, "");
  }
  EXPECT_EQ(run(std::string(GC_GRUN) + " -p a").code, 2); // no file
}

TEST_F(GrunTest, BadInputExitsWithOne) {
  EXPECT_EQ(grun("--tokens 4096 -n 1").code, 1);
  EXPECT_EQ(grun("-f no/such/file").code, 1);
  EXPECT_EQ(grun("--tokenize no/such/file").code, 1);
  EXPECT_EQ(run(std::string(GC_GRUN) + " no/such.gpk -p a").code, 1);
  test::writeFile(file, std::vector<uint8_t>(100000, 0));
  Finished garbage = grun("-p a");
  EXPECT_EQ(garbage.code, 1);
  EXPECT_EQ(std::count(garbage.err.begin(), garbage.err.end(), '\n'), 1);
  file = model({.tokenizer = false});
  EXPECT_THAT(grun("-p a").err, HasSubstr("without a tokenizer"));
  EXPECT_EQ(grun("--chat").code, 1);
  EXPECT_EQ(grun("--tokens 100 -n 3 --temperature 0").out, "101,102,103\n");
}

TEST_F(GrunTest, HelpAndVersionNeedNothing) {
  Finished help = run(std::string(GC_GRUN) + " --help");
  EXPECT_EQ(help.code, 0);
  EXPECT_THAT(help.out, HasSubstr("examples"));
  EXPECT_EQ(run(std::string(GC_GRUN) + " --version").code, 0);
}

TEST_F(GrunTest, AFullDiskIsAnError) {
  Finished finished = run("sh -c '" GC_GRUN " " + file + " --tokens 100 -n 3 --json >/dev/full'");
  EXPECT_EQ(finished.code, 1);
  EXPECT_THAT(finished.err, HasSubstr("cannot write"));
}

TEST_F(GrunTest, AnInterruptEndsGenerationCleanly) {
  file = model({.context = 200000});
  std::string out = test::temporaryPath("interrupted.json");
  pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    if (!freopen(out.c_str(), "w", stdout))
      _exit(99);
    execl(GC_GRUN, GC_GRUN, file.c_str(), "--tokens", "300", "-n", "190000", "--ignore-stop",
          "--json", "--threads", "1", nullptr);
    _exit(98);
  }
  usleep(400'000); // the fake model's work per token grows with its position: 190,000 tokens take
                   // minutes
  kill(child, SIGINT);
  int status = 0;
  waitpid(child, &status, 0);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
  auto value = llvm::json::parse(text(out));
  ASSERT_TRUE(bool(value)) << text(out);
  EXPECT_EQ(value->getAsObject()->getString("stop_reason"), "interrupted");
}

#ifdef GC_GRUN_AARCH64
TEST_F(GrunTest, TheStaticAarch64ProgramGivesTheSameTokens) {
  std::string arguments =
      " " + file + " -p 'The quick brown fox' -n 20 --temperature 1 --seed 5 --ignore-stop --json";
  if (access(GC_GRUN_AARCH64, X_OK) != 0)
    GTEST_SKIP() << "the AArch64 program is not built (target runtime-aarch64)";
  Finished foreign = run(std::string(GC_QEMU_AARCH64) + " " GC_GRUN_AARCH64 + arguments),
           native = run(std::string(GC_GRUN) + arguments);
  ASSERT_EQ(foreign.code, 0) << foreign.err;
  auto a = llvm::cantFail(llvm::json::parse(foreign.out)),
       b = llvm::cantFail(llvm::json::parse(native.out));
  EXPECT_EQ(integers(*a.getAsObject(), "tokens"), integers(*b.getAsObject(), "tokens"));
  EXPECT_EQ(a.getAsObject()->getString("text"), b.getAsObject()->getString("text"));
  EXPECT_EQ(a.getAsObject()->getString("isa"), "neon");
}
#endif

} // namespace
} // namespace gcompile
