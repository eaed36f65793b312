// Answers taken apart, against what the reference library makes of them
// (tests/data/chat/answers.json, made by tests/scripts/make_answer_goldens.py), and what no library
// should be asked.
#include "runtime/host/AnswerReader.h"

#include "tests/unit/runtime/TestArtifact.h"

#include "llvm/Support/JSON.h"

#include <gmock/gmock.h>

namespace gcompile::runtime {
namespace {

using llvm::json::Object;
using llvm::json::Value;
using testing::HasSubstr;

constexpr llvm::StringLiteral marks[] = {"<|channel>",   "<channel|>",      "<|tool_call>",
                                         "<tool_call|>", "<|\"|>",          "<turn|>",
                                         "<eos>",        "<|tool_response>"};

// Cuts where special tokens stand; the text between in pieces of `pieceBytes`.
std::string read(llvm::StringRef text, bool inThought = false, size_t pieceBytes = 3) {
  AnswerReader reader(inThought);
  while (!text.empty()) {
    size_t next = text.size();
    llvm::StringRef found;
    for (size_t at = text.find('<'); at < next; at = text.find('<', at + 1))
      for (llvm::StringRef mark : marks)
        if (text.substr(at).starts_with(mark)) {
          next = at;
          found = mark;
        }
    for (size_t at = 0; at < next; at += pieceBytes)
      reader.add(text.data() + at, std::min(pieceBytes, next - at), AnswerMark::None);
    if (!found.empty())
      reader.add(found.data(), found.size(), answerMark(found.data(), found.size()));
    text = text.drop_front(next + found.size());
  }
  TextBuffer message;
  EXPECT_EQ(reader.finish(message), GC_OK);
  return std::string(message.text, message.bytes);
}

Object parsed(const std::string &message) {
  llvm::Expected<Value> value = llvm::json::parse(message);
  if (!value) {
    ADD_FAILURE() << message << ": " << llvm::toString(value.takeError());
    return {};
  }
  return *value->getAsObject();
}

// The only call of an answer.
Object callOf(llvm::StringRef text) {
  Object message = parsed(read(text));
  const llvm::json::Array *calls = message.getArray("tool_calls");
  EXPECT_TRUE(calls && calls->size() == 1) << text.str();
  return calls ? *calls->front().getAsObject() : Object();
}

TEST(AnswerReader, TakesAnswersApartAsTheReferenceLibrary) {
  std::vector<uint8_t> file = test::readFile(GC_TEST_DATA_DIR "/chat/answers.json");
  Value json = llvm::cantFail(llvm::json::parse({(const char *)file.data(), file.size()}));
  int compared = 0;
  for (const Value &value : *json.getAsObject()->getArray("cases")) {
    const Object &one = *value.getAsObject();
    Object wanted = *one.getObject("message");
    if (Value *thought = wanted.get("reasoning_content")) { // the library's name
      wanted["reasoning"] = *thought;
      wanted.erase("reasoning_content");
    }
    if (!wanted.get("content")) // which leaves out what is empty
      wanted["content"] = "";
    bool inThought = one.getString("prefix")->ends_with("<|channel>thought\n");
    for (size_t pieceBytes : {1, 3, 1000})
      EXPECT_EQ(Value(parsed(read(*one.getString("text"), inThought, pieceBytes))),
                Value(Object(wanted)))
          << one.getString("name")->str();
    ++compared;
  }
  EXPECT_GT(compared, 20);
}

TEST(AnswerReader, CallsThatCannotBeReadSayWhy) {
  for (auto [call, why] : {
           std::pair("", "does not begin with call:"),
           {"call:", "has no name"},
           {"call:{}", "has no name"},
           {"call:f", "do not begin with {"},
           {"call:f[1]", "do not begin with {"},
           {"call:f{", "a value has no name"},
           {"call:f{a", "not followed by :"},
           {"call:f{a:", "end too early"},
           {"call:f{a:}", "a value is missing"},
           {"call:f{a:1", "end too early"},
           {"call:f{a:1]", "neither , nor }"},
           {"call:f{a:[1}", "neither , nor ]"},
           {"call:f{a:1,}", "has no name"},
           {"call:f{:1}", "has no name"},
           {"call:f{a:1}}", "something follows"},
           {"call:f{a:1}{b:2}", "something follows"},
           {"call:f{a:<|\"|>x}", "a string does not end"},
           {"call:f{a:\"x}", "a string does not end"},
           {"call:f{a:1,a:2}", "a"},
           {"call:f{a:yes}", "its arguments"},
           {"call:f{a:01}", "its arguments"},
           {"call:f{a:1e}", "its arguments"},
           {"call:f{a:\"\\q\"}", "its arguments"},
       }) {
    Object found = callOf(std::string("<|tool_call>") + call + "<tool_call|>");
    ASSERT_TRUE(found.getString("error")) << call;
    EXPECT_THAT(found.getString("error")->str(), HasSubstr(why)) << call;
    EXPECT_EQ(found.getString("text").value_or(""), call);
    EXPECT_EQ(*found.getObject("function")->get("arguments"), Value(nullptr));
  }
}

TEST(AnswerReader, AnswersThatEndTooEarlyKeepWhatTheySay) {
  Object call = callOf("Well. <|tool_call>call:f{a:1");
  EXPECT_THAT(call.getString("error")->str(), HasSubstr("the answer ends"));
  EXPECT_EQ(call.getObject("function")->getString("name").value_or(""), "f");
  EXPECT_EQ(parsed(read("Well. <|tool_call>call:f{a:1")).getString("content").value_or(""),
            "Well.");
  EXPECT_EQ(parsed(read("<|channel>tho")).getString("content").value_or(""), "<|channel>tho");
  EXPECT_EQ(parsed(read("<|channel>other\nx<channel|>y")).getString("content").value_or(""),
            "<|channel>other\nx<channel|>y");
  EXPECT_EQ(parsed(read("a<turn|>b<eos>c")).getString("content").value_or(""), "a");
}

TEST(AnswerReader, TextThatSpellsASpecialTokenIsText) {
  AnswerReader reader(false);
  llvm::StringRef text = "<|tool_call>call:f{}<tool_call|>";
  reader.add(text.data(), text.size(), AnswerMark::None);
  TextBuffer message;
  ASSERT_EQ(reader.finish(message), GC_OK);
  Object found = parsed(std::string(message.text, message.bytes));
  EXPECT_EQ(found.getString("content").value_or(""), text);
  EXPECT_FALSE(found.get("tool_calls"));
}

TEST(AnswerReader, HostileAnswersAreLinearAndShallow) {
  std::string deep(1 << 20, '[');
  Object nested = callOf("<|tool_call>call:f{a:" + deep + "<tool_call|>");
  EXPECT_THAT(nested.getString("error")->str(), HasSubstr("nested too deeply"));
  std::string many;
  for (int i = 0; i < 20000; ++i)
    many += "<|tool_call>call:f{a:<|\"|>x<|\"|>}<tool_call|>";
  EXPECT_EQ(parsed(read(many)).getArray("tool_calls")->size(), 20000u);
  std::string quotes = "<|tool_call>call:f{";
  for (int i = 0; i < 100000; ++i)
    quotes += "<|\"|>";
  EXPECT_TRUE(callOf(quotes + "<tool_call|>").get("error"));
  EXPECT_EQ(parsed(read("\xFF\xC0<|tool_call>call:\xFF{\xFF:\xFF}<tool_call|>"))
                .getString("content")
                .value_or(""),
            "\xEF\xBF\xBD\xEF\xBF\xBD");
}

} // namespace
} // namespace gcompile::runtime
