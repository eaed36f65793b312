#include "compiler/Import/TokenizerData.h"

#include "compiler/Import/HostileJson.h"
#include "tests/unit/import/TestFiles.h"

#include <gmock/gmock.h>

#include <map>

using testing::HasSubstr;

namespace gcompile {
namespace {

// Straightforward BPE over the parsed data: specials cut out, best rank first. For checking the
// data, not for speed.
std::vector<int64_t> encode(const TokenizerData &data, std::string text) {
  std::map<std::string, uint32_t> ids;
  for (size_t id = 0; id < data.pieces.size(); ++id)
    ids[data.pieces[id]] = id;
  std::map<std::pair<uint32_t, uint32_t>, size_t> ranks;
  for (size_t rank = 0; rank < data.merges.size(); ++rank)
    ranks[data.merges[rank]] = rank;
  std::vector<int64_t> result;
  auto flush = [&](std::string part) {
    for (size_t at; (at = part.find(' ')) != std::string::npos;)
      part.replace(at, 1, "\xe2\x96\x81");
    std::vector<uint32_t> tokens;
    for (size_t i = 0; i < part.size();) {
      size_t length = 1;
      while (i + length < part.size() && (part[i + length] & 0xC0) == 0x80)
        ++length;
      auto found = ids.find(part.substr(i, length));
      if (found != ids.end())
        tokens.push_back(found->second);
      else
        for (size_t b = i; b < i + length; ++b)
          tokens.push_back(data.byteTokens[static_cast<unsigned char>(part[b])]);
      i += length;
    }
    while (true) {
      size_t best = SIZE_MAX, where = 0;
      for (size_t i = 0; i + 1 < tokens.size(); ++i)
        if (auto rank = ranks.find({tokens[i], tokens[i + 1]});
            rank != ranks.end() && rank->second < best) {
          best = rank->second;
          where = i;
        }
      if (best == SIZE_MAX)
        break;
      tokens[where] = data.merged[best];
      tokens.erase(tokens.begin() + where + 1);
    }
    result.insert(result.end(), tokens.begin(), tokens.end());
  };
  std::string pending;
  for (size_t i = 0; i < text.size();) {
    const SpecialToken *hit = nullptr;
    for (const SpecialToken &token : data.added)
      if (text.compare(i, token.content.size(), token.content) == 0 &&
          (!hit || token.content.size() > hit->content.size()))
        hit = &token;
    if (!hit) {
      pending += text[i++];
      continue;
    }
    flush(std::exchange(pending, ""));
    result.push_back(hit->id);
    i += hit->content.size();
  }
  flush(pending);
  return result;
}

std::string tinyText() { return readBytes(dataPath("gemma4-tiny/tokenizer.json")); }

TEST(TokenizerJson, ReadsTheTinyTokenizer) {
  TokenizerData data = valueOf(parseTokenizerJson(tinyText(), 4096));
  EXPECT_EQ(data.pieces.size(), 4096u);
  EXPECT_EQ(data.merges.size(), 3782u);
  EXPECT_EQ(data.merged.size(), 3782u);
  EXPECT_EQ(data.added.size(), 24u);
  EXPECT_EQ(data.pieces[2], "<bos>");
  EXPECT_EQ(data.unknown, 3);
  EXPECT_EQ(data.pieces[data.byteTokens[0x0A]], "<0x0A>");
  EXPECT_TRUE(data.added[5].special);
  EXPECT_EQ(data.added[5].content, "<|turn>");
  EXPECT_THAT(errorOf(parseTokenizerJson(tinyText(), 4095)), HasSubstr("from 0 to 4094"));
}

// Token ids of the reference implementation.
TEST(TokenizerJson, ReproducesTheReferenceIds) {
  TokenizerData data = valueOf(parseTokenizerJson(tinyText(), 4096));
  llvm::Expected<llvm::json::Value> goldens =
      parseHostileJson(readBytes(dataPath("gemma4-tiny/eval/goldens.json")), "goldens.json");
  ASSERT_TRUE(static_cast<bool>(goldens));
  const llvm::json::Array *prompts = goldens->getAsObject()->getArray("prompts");
  ASSERT_TRUE(prompts && !prompts->empty());
  for (const llvm::json::Value &prompt : *prompts) {
    const llvm::json::Object &object = *prompt.getAsObject();
    std::string text = object.getString("prompt")->str();
    std::vector<int64_t> expected;
    for (const llvm::json::Value &id : *object.getArray("ids"))
      expected.push_back(*id.getAsInteger());
    std::vector<int64_t> ids = encode(data, text);
    if (ids.empty() || ids.front() != 2)
      ids.insert(ids.begin(), 2);
    EXPECT_EQ(ids, expected) << text;
  }
}

// The smallest tokenizer that is accepted; `change` spoils it.
std::string small(const std::string &from = "", const std::string &to = "") {
  std::string vocabulary = R"("<unk>":0,"a":1,"b":2,"ab":3,"\u2581":4)";
  for (int byte = 0; byte < 256; ++byte) {
    char piece[16];
    std::snprintf(piece, sizeof piece, ",\"<0x%02X>\":%d", byte, byte + 5);
    vocabulary += piece;
  }
  std::string text =
      R"({"normalizer":{"type":"Replace","pattern":{"String":" "},"content":"\u2581"},)"
      R"("pre_tokenizer":{"type":"Split","pattern":{"String":" "},"behavior":"MergedWithPrevious","invert":false},)"
      R"("decoder":{"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"\u2581"},"content":" "},)"
      R"({"type":"ByteFallback"},{"type":"Fuse"}]},)"
      R"("added_tokens":[{"id":0,"content":"<unk>","special":true},{"id":261,"content":"<x>","special":false}],)"
      R"("model":{"type":"BPE","byte_fallback":true,"unk_token":"<unk>","vocab":{)" +
      vocabulary + R"(},"merges":["a b"]}})";
  return from.empty() ? text : replaced(text, from, to);
}

TEST(TokenizerJson, AcceptsBothFormsOfMergesAndAddedTokensOutsideTheVocabulary) {
  for (const std::string &text : {small(), small(R"(["a b"])", R"([["a","b"]])")}) {
    TokenizerData data = valueOf(parseTokenizerJson(text));
    ASSERT_EQ(data.merges.size(), 1u);
    EXPECT_EQ(data.merges[0], (std::pair<uint32_t, uint32_t>{1, 2}));
    EXPECT_EQ(data.merged[0], 3u);
    EXPECT_EQ(data.pieces.size(), 262u);
    EXPECT_EQ(data.pieces[261], "<x>");
    EXPECT_FALSE(data.added[1].special);
  }
  EXPECT_EQ(errorOf(parseTokenizerJson(small(R"("pre_tokenizer":{)", R"("unused":{)"))), "");
  EXPECT_EQ(
      errorOf(parseTokenizerJson(small(
          R"("normalizer":{"type":"Replace","pattern":{"String":" "},"content":"\u2581"})",
          R"("normalizer":{"type":"Sequence","normalizers":[{"type":"Replace","pattern":{"String":" "},"content":"\u2581"}]})"))),
      "");
}

struct Change {
  const char *from, *to, *message;
};

class BadTokenizers : public testing::TestWithParam<Change> {};

TEST_P(BadTokenizers, AreRefusedByName) {
  EXPECT_THAT(errorOf(parseTokenizerJson(small(GetParam().from, GetParam().to))),
              HasSubstr(GetParam().message))
      << GetParam().to;
}

INSTANTIATE_TEST_SUITE_P(
    TokenizerJson, BadTokenizers,
    testing::Values(
        Change{R"("type":"BPE")", R"("type":"Unigram")", "model 'Unigram'"},
        Change{R"("byte_fallback":true,)", "", "byte_fallback is off"},
        Change{R"("byte_fallback":true,)", R"("byte_fallback":true,"ignore_merges":true,)",
               "ignore_merges"},
        Change{R"("byte_fallback":true,)", R"("byte_fallback":true,"end_of_word_suffix":"</w>",)",
               "end_of_word"},
        Change{R"("byte_fallback":true,)", R"("byte_fallback":true,"dropout":0.1,)", "dropout"},
        Change{R"({"normalizer":{"type":"Replace")", R"({"normalizer":{"type":"NFKC")",
               "normalizer 'NFKC'"},
        Change{R"("normalizer":{)", R"("none":{)", "normalizer 'null'"},
        Change{R"("type":"Split")", R"("type":"Metaspace")", "pre_tokenizer 'Metaspace'"},
        Change{R"("invert":false)", R"("invert":true)", "pre_tokenizer 'Split'"},
        Change{R"({"type":"ByteFallback"},)", "", "decoder 'Replace, Fuse'"},
        Change{R"("a b")", R"("a c")", "needs the piece 'c'"},
        Change{R"("a b")", R"("b a")", "needs the piece 'ba'"},
        Change{R"("a b")", R"("ab")", "not a pair"}, Change{R"("a b")", R"(" b")", "not a pair"},
        Change{R"("a b")", R"("a ")", "not a pair"}, Change{R"("a b")", R"(7)", "not a pair"},
        Change{R"("a b")", R"(["a"])", "not a pair"},
        Change{R"("a b")", R"(["a","b","c"])", "not a pair"},
        Change{R"("a b")", R"("a b","a b")", "repeats merge 0"},
        Change{R"("b":2)", R"("b":1)", "id 1 belongs to both"},
        Change{R"("b":2)", R"("b":-2)", "has id -2"},
        Change{R"("b":2)", R"("b":2.5)", "no integer id"},
        Change{R"("b":2)", R"("b":"2")", "no integer id"},
        Change{R"("b":2)", R"("b":16777215)", "in a vocabulary of 261"},
        Change{R"("b":2)", R"("b":4294967298)", "expected ids"},
        Change{R"("b":2)", R"("b":300)", "has no piece"},
        Change{R"("b":2)", R"("":2)", "empty piece"},
        Change{R"("b":2)", R"("a":2)", "occurs twice"},
        Change{R"("<0x41>")", R"("<0x4x>")", "needs the piece '<0x41>'"},
        Change{R"("unk_token":"<unk>")", R"("unk_token":"?")", "unk_token '?'"},
        Change{R"("id":0,"content":"<unk>")", R"("id":1,"content":"<unk>")",
               "in the vocabulary it has 0"},
        Change{R"("id":261)", R"("id":1)", "id 1 belongs to both"},
        Change{R"("id":261)", R"("id":900000)", "after a vocabulary of 261"},
        Change{R"("id":261,"content":"<x>")", R"("id":261,"content":"")", "without content"},
        Change{R"("id":261,"content":"<x>")", R"("id":0,"content":"<unk>")", "listed twice"},
        Change{R"("content":"<x>")", R"("content":"<x>","lstrip":true)", "lstrip"},
        Change{R"("merges":["a b"])", R"("other":1)", "no merges"},
        Change{R"("vocab":{)", R"("words":{)", "no vocab"},
        Change{R"("model":{)", R"("m":{)", "no model"},
        Change{R"("added_tokens":[)", R"("added_tokens":[3,)", "without content"}));

TEST(TokenizerJson, SurvivesTruncationAndDamage) {
  std::string text = small();
  for (size_t length = 0; length < text.size(); ++length)
    EXPECT_NE(errorOf(parseTokenizerJson(llvm::StringRef(text).take_front(length))), "") << length;
  for (size_t position = 0; position < text.size(); ++position) {
    std::string damaged = text;
    damaged[position] ^= 0x02;
    llvm::consumeError(parseTokenizerJson(damaged).takeError());
  }
}

} // namespace
} // namespace gcompile
