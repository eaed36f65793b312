// The tokenizer against the reference library's tokens (tests/data/tokenizer), its section against
// lies, its decoder against split characters.
#include "runtime/core/Tokenizer.h"

#include "compiler/Artifact/TokenizerSection.h"
#include "tests/unit/runtime/TestArtifact.h"

#include "llvm/Support/Base64.h"
#include "llvm/Support/JSON.h"

#include <gmock/gmock.h>

#include <chrono>
#include <random>

namespace gcompile::runtime {
namespace {

using test::readFile;

class TokenizerTest : public testing::Test {
protected:
  void SetUp() override { open(test::tinyTokenizerSection()); }

  void open(std::vector<uint8_t> bytes) {
    section = std::move(bytes);
    ASSERT_EQ(Tokenizer::open(section.data(), section.size(), tokenizer, message), GC_OK)
        << message.c_str();
  }

  std::vector<int32_t> encode(llvm::StringRef text,
                              std::vector<ByteRange> markup = {{0, UINT64_MAX}}) {
    std::vector<int32_t> tokens(text.size() * 3 + 4);
    TokenSink sink{tokens.data(), tokens.size()};
    Scratch scratch{realloc};
    EXPECT_EQ(tokenizer.encode(text.data(), text.size(), markup.data(), markup.size(), scratch,
                               sink, message),
              GC_OK);
    free(scratch.data);
    tokens.resize(sink.count);
    return tokens;
  }

  std::string decode(const std::vector<int32_t> &tokens,
                     Tokenizer::Specials specials = Tokenizer::Specials::Show) {
    gc_text_state state = {};
    std::string text;
    std::vector<char> piece(tokenizer.longestOutput());
    for (int32_t token : tokens)
      text.append(piece.data(), tokenizer.decode(state, uint32_t(token), specials, piece.data()));
    text.append(piece.data(), Tokenizer::finish(state, piece.data()));
    return text;
  }

  std::vector<uint8_t> section;
  Tokenizer tokenizer;
  Message message;
};

TEST_F(TokenizerTest, EncodesAsTheReferenceLibrary) {
  std::vector<uint8_t> file = readFile(GC_TEST_DATA_DIR "/tokenizer/vectors.json");
  auto json = llvm::cantFail(
      llvm::json::parse(llvm::StringRef(reinterpret_cast<char *>(file.data()), file.size())));
  int cases = 0;
  for (const llvm::json::Value &value : *json.getAsObject()->getArray("cases")) {
    std::vector<char> text;
    llvm::cantFail(llvm::decodeBase64(*value.getAsObject()->getString("base64"), text));
    std::vector<int32_t> expected;
    for (const llvm::json::Value &token : *value.getAsObject()->getArray("tokens"))
      expected.push_back(int32_t(*token.getAsInteger()));
    EXPECT_EQ(encode({text.data(), text.size()}), expected)
        << "text: " << std::string(text.data(), text.size());
    ++cases;
  }
  EXPECT_GT(cases, 300);
}

TEST_F(TokenizerTest, DecodesAsTheReferenceLibrary) {
  std::vector<uint8_t> file = readFile(GC_TEST_DATA_DIR "/tokenizer/vectors.json");
  auto json = llvm::cantFail(
      llvm::json::parse(llvm::StringRef(reinterpret_cast<char *>(file.data()), file.size())));
  int cases = 0;
  for (const llvm::json::Value &value : *json.getAsObject()->getArray("decodes")) {
    std::vector<int32_t> tokens;
    for (const llvm::json::Value &token : *value.getAsObject()->getArray("tokens"))
      tokens.push_back(int32_t(*token.getAsInteger()));
    EXPECT_EQ(decode(tokens, Tokenizer::Specials::Hide), *value.getAsObject()->getString("hidden"));
    EXPECT_EQ(decode(tokens, Tokenizer::Specials::Show), *value.getAsObject()->getString("shown"));
    ++cases;
  }
  EXPECT_GE(cases, 150);
}

TEST_F(TokenizerTest, CountsTheHeldOutTextAsTheGoldensDo) {
  std::vector<uint8_t> text = readFile(GC_TEST_DATA_DIR "/gemma4-tiny/eval/heldout.txt");
  EXPECT_EQ(encode({reinterpret_cast<char *>(text.data()), text.size()}).size(), 52484u);
}

TEST_F(TokenizerTest, GivesTheGoldenPromptsTheirTokens) {
  std::vector<uint8_t> file = readFile(GC_TEST_DATA_DIR "/gemma4-tiny/eval/goldens.json");
  auto json = llvm::cantFail(
      llvm::json::parse(llvm::StringRef(reinterpret_cast<char *>(file.data()), file.size())));
  int prompts = 0;
  for (const llvm::json::Value &value : *json.getAsObject()->getArray("prompts")) {
    std::vector<int32_t> expected;
    for (const llvm::json::Value &token : *value.getAsObject()->getArray("ids"))
      expected.push_back(int32_t(*token.getAsInteger()));
    EXPECT_EQ(encode(*value.getAsObject()->getString("prompt")), expected);
    ++prompts;
  }
  EXPECT_GE(prompts, 8);
}

TEST_F(TokenizerTest, CutsTheTextOnlyWhereNothingMerges) {
  // Without the joints every text is one segment: the heap alone. The tokens must not change.
  std::vector<uint8_t> text = readFile(GC_TEST_DATA_DIR "/gemma4-tiny/eval/heldout.txt");
  llvm::StringRef part(reinterpret_cast<char *>(text.data()), 20000);
  std::vector<int32_t> cut = encode(part);
  std::vector<uint8_t> whole = section;
  auto *header = reinterpret_cast<gc_tokenizer_header *>(whole.data());
  memset(whole.data() + header->joints, 0xFF, header->joint_bits / 8);
  open(whole);
  EXPECT_EQ(encode(part), cut);
}

TEST_F(TokenizerTest, DecodesWhatItEncoded) {
  for (const char *text : {"Hello, world!", "  two  spaces ", "日本語 😀👍🏽\n\n\ttab",
                           "a\xCC\x81\xCC\x82", "<bos>x<turn|>"})
    EXPECT_EQ(decode(encode(text)), text);
  EXPECT_EQ(decode(encode("<bos>x<turn|>y"), Tokenizer::Specials::Hide), "xy");
}

TEST_F(TokenizerTest, ReplacesInvalidBytesOneByOneWhenDecoding) {
  EXPECT_EQ(decode(encode("a\xE2\x82z\xFF")), "a\xEF\xBF\xBD\xEF\xBF\xBDz\xEF\xBF\xBD");
}

TEST_F(TokenizerTest, HoldsBackBytesUntilTheirRunEnds) {
  // U+1F9FF is not in this vocabulary: four byte tokens.
  std::vector<int32_t> tokens = encode("\xF0\x9F\xA7\xBF!");
  ASSERT_EQ(tokens.size(), 5u);
  gc_text_state state = {};
  std::vector<char> piece(tokenizer.longestOutput());
  auto put = [&](int32_t token) {
    return std::string(piece.data(), tokenizer.decode(state, uint32_t(token),
                                                      Tokenizer::Specials::Hide, piece.data()));
  };
  for (int i = 0; i < 4; ++i)
    EXPECT_EQ(put(tokens[size_t(i)]), "");
  EXPECT_EQ(put(2), ""); // a hidden token ends no run
  EXPECT_EQ(put(tokens[4]), "\xF0\x9F\xA7\xBF!");
}

TEST_F(TokenizerTest, DecidesAboutARunOfBytesAsAWhole) {
  // What tokenizers 0.23.3 gives for these byte tokens: one bad byte, and the whole run is
  // replaced.
  EXPECT_EQ(decode(encode("\xF0\x9F\xA7\xBF\xFF")),
            "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
}

TEST_F(TokenizerTest, ARunLongerThanWhatIsHeldBackLosesNothing) {
  std::string text;
  for (int i = 0; i < 100; ++i)
    text += "\xF0\x9F\xA7\xBF";
  EXPECT_EQ(decode(encode(text)), text);
  std::string cut = decode(encode(text + "\xF0\x9F"));
  EXPECT_EQ(cut.substr(0, 300), text.substr(0, 300));
}

TEST_F(TokenizerTest, RecognisesSpecialsOnlyInsideMarkup) {
  std::string text = "<bos>a<bos>b";
  std::vector<int32_t> first = encode(text, {{0, 5}}), none = encode(text, {});
  EXPECT_EQ(first[0], 2);
  EXPECT_EQ(std::count(first.begin(), first.end(), 2), 1);
  EXPECT_EQ(std::count(none.begin(), none.end(), 2), 0);
  EXPECT_EQ(decode(none), text);
  // A token that begins in markup and ends outside of it is none.
  std::vector<int32_t> across = encode(text, {{0, 4}});
  EXPECT_EQ(std::count(across.begin(), across.end(), 2), 0);
}

TEST_F(TokenizerTest, PrefersTheLongestAddedToken) {
  TokenizerData data;
  data.pieces = {"<x>", "<x>>", "<x", "a", "<", "x", ">", "xx", "xxx"};
  data.merges = {{5, 5}, {7, 5}};
  data.merged = {7, 8};
  data.added = {{0, "<x>", true}, {1, "<x>>", true}, {2, "<x", false}};
  data.byteTokens.fill(-1);
  open(llvm::cantFail(serializeTokenizer(data)));
  EXPECT_EQ(encode("<x>>"), (std::vector<int32_t>{1}));
  EXPECT_EQ(encode("<x>a"), (std::vector<int32_t>{0, 3}));
  EXPECT_EQ(encode("<xa>"), (std::vector<int32_t>{2, 3, 6}));
  EXPECT_EQ(encode("<<x>>>"), (std::vector<int32_t>{4, 1, 6}));
  EXPECT_EQ(encode("xxxx"), (std::vector<int32_t>{7, 7})); // the lower rank everywhere first
  EXPECT_EQ(encode("xxx"), (std::vector<int32_t>{8}));
  // Neither byte tokens nor an unknown token: the character vanishes, as in the reference library.
  EXPECT_EQ(encode("x?x"), (std::vector<int32_t>{7}));
}

TEST_F(TokenizerTest, TheLaterOfTwoEqualMergesCounts) {
  TokenizerData data;
  data.pieces = {"a", "b", "c", "ab", "bc"};
  data.merges = {{0, 1}, {1, 2}, {0, 1}};
  data.merged = {3, 4, 3};
  data.byteTokens.fill(-1);
  open(llvm::cantFail(serializeTokenizer(data)));
  EXPECT_EQ(encode("abc"), (std::vector<int32_t>{0, 4}));
}

// Merges in the plainest way: for every step look at all pairs.
std::vector<int32_t> mergeSlowly(const TokenizerData &data, std::vector<int32_t> tokens) {
  for (;;) {
    size_t bestRank = SIZE_MAX, at = 0;
    for (size_t i = 0; i + 1 < tokens.size(); ++i)
      for (size_t rank = 0; rank < data.merges.size() && rank < bestRank; ++rank)
        if (int32_t(data.merges[rank].first) == tokens[i] &&
            int32_t(data.merges[rank].second) == tokens[i + 1]) {
          bestRank = rank;
          at = i;
        }
    if (bestRank == SIZE_MAX)
      return tokens;
    tokens[at] = int32_t(data.merged[bestRank]);
    tokens.erase(tokens.begin() + long(at) + 1);
  }
}

TEST_F(TokenizerTest, RandomVocabulariesMergeAsThePlainAlgorithmDoes) {
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    TokenizerData data;
    data.byteTokens.fill(-1);
    for (char c = 'a'; c < 'e'; ++c)
      data.pieces.push_back(std::string(1, c));
    for (int i = 0; i < 25; ++i) {
      uint32_t left = random() % data.pieces.size(), right = random() % data.pieces.size();
      std::string joined = data.pieces[left] + data.pieces[right];
      auto known = std::find(data.pieces.begin(), data.pieces.end(), joined);
      bool isNewPair = std::find(data.merges.begin(), data.merges.end(), std::pair(left, right)) ==
                       data.merges.end();
      if (joined.size() > 12 || !isNewPair)
        continue;
      data.merges.push_back({left, right});
      data.merged.push_back(uint32_t(known - data.pieces.begin()));
      if (known == data.pieces.end())
        data.pieces.push_back(joined);
    }
    open(llvm::cantFail(serializeTokenizer(data)));
    std::string text;
    std::vector<int32_t> symbols;
    for (int i = 0, length = int(random() % 120); i < length; ++i) {
      symbols.push_back(int32_t(random() % 4));
      text += char('a' + symbols.back());
    }
    ASSERT_EQ(encode(text), mergeSlowly(data, symbols)) << "round " << round << ": " << text;
  }
}

TEST_F(TokenizerTest, LongRunsTakeNoQuadraticTime) {
  // A quadratic merge of a million characters takes hours; this is about the algorithm, not the
  // clock.
  for (const char *unit : {" ", "\n", "a", "in", "<", "\xF0\x9F\xA7\xBF"}) {
    std::string text;
    while (text.size() < 1'000'000)
      text += unit;
    EXPECT_FALSE(encode(text).empty());
  }
}

TEST_F(TokenizerTest, RefusesEveryCutSection) {
  for (size_t bytes = 0; bytes < section.size(); bytes += bytes < 2048 ? 1 : 997) {
    std::vector<uint8_t> cut(
        section.begin(),
        section.begin() + long(bytes)); // its own memory, so that a sanitizer sees reads past it
    Tokenizer other;
    EXPECT_NE(Tokenizer::open(cut.data(), cut.size(), other, message), GC_OK) << bytes;
  }
}

TEST_F(TokenizerTest, SurvivesChangedSections) {
  std::mt19937 random(11);
  auto *header = reinterpret_cast<gc_tokenizer_header *>(section.data());
  int accepted = 0;
  for (int round = 0; round < 3000; ++round) {
    std::vector<uint8_t> changed = section;
    size_t where = round % 3 == 0 ? random() % sizeof *header : random() % changed.size();
    changed[where] ^= uint8_t(1u << random() % 8);
    if (Tokenizer::open(changed.data(), changed.size(), tokenizer, message) != GC_OK)
      continue;
    ++accepted;
    std::vector<int32_t> tokens = encode("the <bos> in\n\n 日本 \xFF <|turn>x 😀");
    for (int32_t token : tokens)
      ASSERT_LT(uint32_t(token), tokenizer.pieceCount());
    decode(tokens);
  }
  EXPECT_GT(accepted, 100); // changes of texts cannot be told here; the artifact's checksum does
}

TEST_F(TokenizerTest, NamesANewerVersion) {
  reinterpret_cast<gc_tokenizer_header *>(section.data())->version = 2;
  EXPECT_EQ(Tokenizer::open(section.data(), section.size(), tokenizer, message), GC_NEWER_VERSION);
  EXPECT_THAT(message.c_str(), testing::HasSubstr("version 2"));
}

TEST_F(TokenizerTest, SerializingRefusesIdsThatAreNoPieces) {
  TokenizerData data;
  data.pieces = {"a"};
  data.byteTokens.fill(-1);
  data.merges = {{0, 1}};
  data.merged = {0};
  auto section = serializeTokenizer(data);
  ASSERT_FALSE(bool(section));
  EXPECT_THAT(toString(section.takeError()), testing::HasSubstr("merge 0"));
}

} // namespace
} // namespace gcompile::runtime
