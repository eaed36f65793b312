// Conversations as grun renders them, against what the released templates print (tests/data/chat,
// made by tests/scripts/make_chat_goldens.py), for the forms that those templates are reduced to.
#include "tests/unit/runtime/TestArtifact.h"

#include "llvm/Support/JSON.h"

#include <gmock/gmock.h>

#include <sys/wait.h>

namespace gcompile {
namespace {

using llvm::json::Object;
using testing::HasSubstr;

// What compiler/Import/ChatTemplate finds in the templates that the goldens come from.
constexpr uint32_t earlierForm = GC_TURN_TRIMS | GC_TURN_THINKING | GC_TURN_STRIPS_THOUGHTS |
                                 GC_TURN_TOOLS | GC_TURN_JOINS | GC_TURN_SKIPS_KEYS |
                                 GC_TURN_THOUGHTS_OF_CALLS;
constexpr uint32_t currentForm =
    GC_TURN_TRIMS | GC_TURN_THINKING | GC_TURN_STRIPS_THOUGHTS | GC_TURN_TOOLS | GC_TURN_JOINS |
    GC_TURN_JOINS_LINES | GC_TURN_PRINTS_NULL | GC_TURN_THOUGHTS | GC_TURN_RESULT_OPENS_THOUGHT;
constexpr const char *header = "<|turn>model\n";
constexpr const char *emptyThought = "<|turn>model\n<|channel>thought\n<channel|>";

struct Rendered {
  int code;
  std::string out, err;
};

std::string content(const std::string &path) {
  std::vector<uint8_t> bytes = test::readFile(path);
  return {bytes.begin(), bytes.end()};
}

class GrunChatTest : public testing::Test {
protected:
  void form(uint32_t flags, const char *prompt) {
    test::TestArtifact artifact = test::fakeModel();
    artifact.manifest.turns.flags = flags;
    strcpy(artifact.manifest.turns.generation_prompt, prompt);
    file = test::temporaryPath("chat.gpk");
    test::writeFile(file, artifact.build());
  }

  Rendered render(const std::string &messages, const std::string &options = "") {
    std::string in = test::temporaryPath("messages"), out = test::temporaryPath("out"),
                err = test::temporaryPath("err");
    test::writeFile(in, {messages.begin(), messages.end()});
    int status = system((std::string(GC_GRUN) + " " + file + " --messages " + in + " --render " +
                         options + " >" + out + " 2>" + err)
                            .c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, content(out), content(err)};
  }

  void expectGoldens(const char *family) {
    auto json = llvm::cantFail(llvm::json::parse(content(GC_TEST_DATA_DIR "/chat/goldens.json")));
    int compared = 0;
    for (const llvm::json::Value &value : *json.getAsObject()->getArray("cases")) {
      const Object &one = *value.getAsObject();
      auto expected = one.getObject("expected")->getString(family);
      if (!expected) // the template raises
        continue;
      std::string conversation;
      llvm::raw_string_ostream(conversation) << llvm::json::Value(
          Object{{"messages", *one.get("messages")}, {"tools", *one.get("tools")}});
      Rendered got = render(conversation, *one.getBoolean("thinking") ? "--think" : "");
      EXPECT_EQ(got.out, *expected) << one.getString("name")->str() << "\n" << got.err;
      EXPECT_EQ(got.code, 0);
      ++compared;
    }
    EXPECT_GT(compared, 50);
  }

  std::string file;
};

TEST_F(GrunChatTest, RendersAsTheTemplateOfE2BAndE4B) {
  form(currentForm, header);
  expectGoldens("edge");
}

TEST_F(GrunChatTest, RendersAsTheTemplateOfTheLargerSizes) {
  form(currentForm, emptyThought);
  expectGoldens("large");
}

TEST_F(GrunChatTest, RendersAsAnEarlierTemplate) {
  form(earlierForm, emptyThought);
  expectGoldens("earlier");
}

TEST_F(GrunChatTest, ArgumentsMayBeAStringOfJson) {
  form(currentForm, header);
  EXPECT_THAT(
      render(
          R"([{"role":"user","content":"x"},{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":"{\"a\":[1]}"}}]}])")
          .out,
      HasSubstr("<|tool_call>call:f{a:[1]}<tool_call|>"));
}

TEST_F(GrunChatTest, RefusesWhatHasNoForm) {
  form(currentForm, header);
  auto refused = [&](const std::string &messages, const char *why, const char *options = "") {
    Rendered got = render(messages, options);
    EXPECT_EQ(got.code, 1) << messages;
    EXPECT_EQ(got.out, "");
    EXPECT_THAT(got.err, HasSubstr(why));
  };
  refused("", "is no JSON");
  refused("[", "is no JSON");
  refused("{}", "neither an array");
  refused("[1]", "has no role");
  refused(R"([{"role":"robot"}])", "none of system");
  refused(R"([{"role":"user","content":7}])", "neither a string");
  refused(R"([{"role":"user","content":[{"type":"image"}]}])", "no text");
  refused(R"([{"role":"tool","content":"x"}])", "without a call");
  refused(R"([{"role":"user","content":"a","content":"b"}])", "stands twice");
  refused(R"([{"role":"assistant","tool_calls":7}])", "no JSON array");
  refused(R"([{"role":"assistant","tool_calls":[{}]}])", "without a name");
  refused(R"([{"role":"assistant","tool_calls":[{"name":"f","arguments":"x"}]}])", "is no JSON");
  refused(R"([{"role":"assistant","tool_calls":[{"name":"f","arguments":[]}]}])", "no JSON object");
  refused(R"({"messages":[],"tools":[{}]})", "a tool has no name");
  refused(std::string(100000, '['), "nested too deep");
  form(GC_TURN_TRIMS, header);
  refused(R"([{"role":"user","content":"x"}])", "no thinking", "--think");
  refused(R"({"messages":[],"tools":[{"name":"f"}]})", "no tools");
}

} // namespace
} // namespace gcompile
