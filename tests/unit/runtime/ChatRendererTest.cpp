// What a program can hand to gc_chat that no file of grun's can say; numbers as Python prints them.
#include "runtime/host/ChatRenderer.h"

#include <gmock/gmock.h>

namespace gcompile::runtime {
namespace {

using testing::HasSubstr;

struct Outcome {
  Status status;
  std::string text, why;
};

Outcome render(const std::vector<gc_message> &messages) {
  gc_turn_form form = {};
  form.present = 1;
  form.flags = GC_TURN_TOOLS | GC_TURN_THOUGHTS;
  gc_chat chat = {};
  chat.messages = messages.data();
  chat.message_count = messages.size();
  Rendering out;
  Message message;
  Status status = renderChat(form, chat, out, message);
  return {status, std::string(out.text.text ? out.text.text : "", out.text.bytes), message.c_str()};
}

gc_message say(gc_role role, const char *text) {
  gc_message message = {};
  message.role = role;
  message.text = text;
  message.bytes = strlen(text);
  return message;
}

gc_message callOf(const char *calls) {
  gc_message message = say(GC_ROLE_MODEL, "");
  message.calls = calls;
  message.calls_bytes = strlen(calls);
  return message;
}

std::string printed(const std::string &number) {
  gc_message result = say(GC_ROLE_TOOL, number.c_str());
  result.text_is_json = 1;
  Outcome outcome = render({callOf(R"([{"name":"f"}])"), result});
  EXPECT_EQ(outcome.status, GC_OK) << outcome.why;
  size_t begin = outcome.text.find("{value:");
  return begin == std::string::npos
             ? outcome.text
             : outcome.text.substr(begin + 7, outcome.text.find('}', begin) - begin - 7);
}

TEST(ChatRenderer, BytesWithoutAPointerAreRefused) {
  gc_message user = say(GC_ROLE_USER, "hello"), call = callOf(R"([{"name":"f"}])");
  auto expectRefused = [](const std::vector<gc_message> &messages, const char *words) {
    Outcome outcome = render(messages);
    EXPECT_EQ(outcome.status, GC_BAD_ARGUMENT);
    EXPECT_THAT(outcome.why, HasSubstr(words));
  };
  gc_message none = say(GC_ROLE_USER, "");
  none.text = nullptr;
  EXPECT_EQ(render({none}).status, GC_OK); // an empty text needs no pointer
  none.bytes = 3;
  expectRefused({user, none}, "message 1 of the conversation has no text");
  none.role = GC_ROLE_TOOL; // printed with the call before it
  expectRefused({user, call, none}, "message 2 of the conversation has no text");
  none.role = GC_ROLE_SYSTEM;
  expectRefused({none}, "message 0 of the conversation has no text");

  gc_message result = say(GC_ROLE_TOOL, "1");
  result.name_bytes = 4;
  expectRefused({user, call, result}, "message 2 of the conversation counts bytes of a name");
  gc_message thinking = say(GC_ROLE_MODEL, "yes");
  thinking.thought_bytes = 9;
  expectRefused({thinking}, "message 0 of the conversation counts bytes");
  gc_message calling = say(GC_ROLE_MODEL, "");
  calling.calls_bytes = 2;
  expectRefused({calling}, "message 0 of the conversation counts bytes");
}

// Expected values: repr(json.loads(number)) of Python 3.11.
TEST(ChatRenderer, NumbersArePrintedAsPythonDoes) {
  for (auto [number, wanted] :
       {std::pair("0.1", "0.1"), std::pair("1e5", "100000.0"), std::pair("1E16", "1e+16"),
        std::pair("1.5e-5", "1.5e-05"), std::pair("-0", "0"), std::pair("-0.0", "-0.0"),
        std::pair("1e400", "inf"), std::pair("-1e400", "-inf")})
    EXPECT_EQ(printed(number), wanted) << number;
}

TEST(ChatRenderer, LongNumbersKeepTheirSize) {
  EXPECT_EQ(printed("1" + std::string(80, '0') + ".5"), "1e+80");
  EXPECT_EQ(printed("0." + std::string(80, '0') + "25"), "2.5e-81");
  EXPECT_EQ(printed("1." + std::string(80, '0') + "e-7"), "1e-07");
  EXPECT_EQ(printed("1" + std::string(80, '0')), "1" + std::string(80, '0'));
}

} // namespace
} // namespace gcompile::runtime
