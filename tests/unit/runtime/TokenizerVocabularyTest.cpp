// The tokenizer with a vocabulary of the real size (262,144 pieces, half a million merges), made
// here from a fixed seed, against the plainest BPE there is: no segments, no tables, one merge at a
// time over the whole text. Texts are long enough for everything that is remembered while encoding.
#include "runtime/core/Tokenizer.h"

#include "compiler/Artifact/TokenizerSection.h"
#include "tests/unit/runtime/TestArtifact.h"

#include "llvm/Support/ConvertUTF.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <random>
#include <unordered_map>

namespace gcompile::runtime {
namespace {

constexpr uint32_t spaceMark = 0x2581;

std::string utf8(uint32_t code) {
  char buffer[4], *end = buffer;
  llvm::ConvertCodePointToUTF8(code, end);
  return std::string(buffer, end);
}

uint64_t pairKey(uint32_t left, uint32_t right) { return uint64_t(left) << 32 | right; }

class Vocabulary {
public:
  // `unknown`: bytes have no tokens, one token stands for every unknown character.
  explicit Vocabulary(size_t pieces, size_t merges, bool unknown = false) {
    data.byteTokens.fill(-1);
    for (const char *special : {"<pad>", "<eos>", "<bos>", "<unk>"}) {
      data.added.push_back({uint32_t(data.pieces.size()), special, true});
      add(special);
    }
    if (unknown)
      data.unknown = 3;
    for (uint32_t byte = 0; byte < 256 && !unknown; ++byte) {
      char text[8];
      snprintf(text, sizeof text, "<0x%02X>", byte);
      data.byteTokens[byte] = int32_t(add(text));
    }
    first = uint32_t(data.pieces.size());
    add(utf8(spaceMark));
    add("\n");
    for (uint32_t code = 0x21; code < 0x7F; ++code)
      add(utf8(code));
    for (auto [from, to] : {std::pair(0xC0u, 0x180u),
                            {0x300u, 0x340u},
                            {0x4E00u, 0x5200u},
                            {0x1F600u, 0x1F640u},
                            {0x200Du, 0x200Eu}})
      for (uint32_t code = from; code < to; ++code)
        add(utf8(code));
    characters = uint32_t(data.pieces.size()) - first;
    // Dense in few letters, so that most pieces can be reached in several ways, as real ones can.
    while (data.pieces.size() < pieces) {
      std::string piece = newPiece();
      if (!ids.contains(piece) && forEachCut(piece, [](uint32_t, uint32_t) {}))
        add(piece);
    }
    std::vector<std::array<uint32_t, 3>> all;
    for (uint32_t id = first; id < data.pieces.size(); ++id)
      forEachCut(data.pieces[id],
                 [&](uint32_t left, uint32_t right) { all.push_back({left, right, id}); });
    std::shuffle(all.begin(), all.end(), random);
    for (auto [left, right, result] : all) {
      if (data.merges.size() == merges)
        break;
      ranks.emplace(pairKey(left, right), data.merges.size());
      data.merges.push_back({left, right});
      data.merged.push_back(result);
    }
  }

  // A text of its characters and pieces, of others, and of bytes that are no UTF-8.
  std::string text(size_t bytes, unsigned foreign) {
    std::string result;
    std::vector<std::string> words;
    while (result.size() < bytes) {
      unsigned kind = random() % 100;
      if (kind < foreign) {
        uint32_t code = random() % 0x110000;
        result +=
            code >= 0xD800 && code < 0xE000 ? std::string(1, char(0x80 + code % 0x80)) : utf8(code);
      } else if (kind < 60 && !words.empty()) {
        result += words[random() % words.size()];
      } else {
        std::string word = random() % 4 ? " " : "";
        for (unsigned i = 0, parts = 1 + random() % 4; i < parts; ++i)
          word += data.pieces[pick()];
        words.push_back(word);
        result += word;
      }
      if (random() % 40 == 0)
        result += std::string(1 + random() % 9, random() % 2 ? '\n' : ' ');
    }
    return result;
  }

  std::vector<int32_t> encode(llvm::StringRef text) const {
    std::vector<int32_t> tokens;
    bool lastUnknown = false;
    for (size_t at = 0; at < text.size();) {
      auto *begin = reinterpret_cast<const llvm::UTF8 *>(text.data()) + at, *source = begin;
      llvm::UTF32 code = 0;
      bool valid = llvm::convertUTF8Sequence(&source, begin + text.size() - at, &code,
                                             llvm::strictConversion) == llvm::conversionOK;
      size_t length = valid ? size_t(source - begin) : 1;
      std::string raw = valid && code == ' ' ? utf8(spaceMark) : text.substr(at, length).str();
      auto found = valid ? ids.find(raw) : ids.end();
      if (found != ids.end())
        tokens.push_back(int32_t(found->second));
      else if (data.unknown < 0)
        for (char byte : raw)
          tokens.push_back(data.byteTokens[uint8_t(byte)]);
      else if (!lastUnknown)
        tokens.push_back(data.unknown);
      lastUnknown = found == ids.end() && data.unknown >= 0;
      at += length;
    }
    auto rankAt = [&](size_t i) {
      auto found = i + 1 < tokens.size()
                       ? ranks.find(pairKey(uint32_t(tokens[i]), uint32_t(tokens[i + 1])))
                       : ranks.end();
      return found == ranks.end() ? SIZE_MAX : found->second;
    };
    std::vector<size_t> rank;
    for (size_t i = 0; i < tokens.size(); ++i)
      rank.push_back(rankAt(i));
    while (!tokens.empty()) {
      auto best = std::min_element(rank.begin(), rank.end());
      if (*best == SIZE_MAX)
        break;
      size_t at = size_t(best - rank.begin());
      tokens[at] = int32_t(data.merged[*best]);
      tokens.erase(tokens.begin() + long(at) + 1);
      rank.erase(rank.begin() + long(at) + 1);
      rank[at] = rankAt(at);
      if (at)
        rank[at - 1] = rankAt(at - 1);
    }
    return tokens;
  }

  TokenizerData data;

private:
  uint32_t add(const std::string &piece) {
    ids[piece] = uint32_t(data.pieces.size());
    data.pieces.push_back(piece);
    return uint32_t(data.pieces.size() - 1);
  }
  std::string newPiece() {
    unsigned kind = random() % 100;
    std::string result;
    if (kind < 3) { // a run
      const std::string &unit = data.pieces[first + random() % 2];
      for (unsigned i = 0, length = 2 + random() % 30; i < length; ++i)
        result += unit;
      return result;
    }
    if (kind < 10) { // characters of any kind
      for (unsigned i = 0, length = 2 + random() % 2; i < length; ++i)
        result += data.pieces[first + random() % characters];
      return result;
    }
    if (kind < 50) // as in real vocabularies a space begins a word
      result = utf8(spaceMark);
    for (unsigned i = 0, length = 2 + random() % 4; i < length; ++i)
      result += "etaoinshrdlucm"[random() % 14];
    return result;
  }
  // Every way to cut a piece into two; whether there is one.
  template <typename Use>
  bool forEachCut(const std::string &piece, Use use) const {
    bool found = false;
    for (size_t cut = 1; cut < piece.size(); ++cut) {
      auto left = ids.find(piece.substr(0, cut)), right = ids.find(piece.substr(cut));
      if (left == ids.end() || right == ids.end() || left->second < first || right->second < first)
        continue;
      found = true;
      use(left->second, right->second);
    }
    return found;
  }
  // Early pieces come more often.
  uint32_t pick() {
    uint64_t pieces = data.pieces.size() - first, draw = random() % pieces;
    return first + uint32_t(random() % 2 ? draw : draw * draw / pieces);
  }

  std::mt19937 random{20261121};
  uint32_t first = 0, characters = 0; // of the pieces that text consists of; how many at first
  std::unordered_map<std::string, uint32_t> ids;
  std::unordered_map<uint64_t, size_t> ranks;
};

class Encoder {
public:
  explicit Encoder(const TokenizerData &data) : section(cantFail(serializeTokenizer(data))) {
    EXPECT_EQ(Tokenizer::open(section.data(), section.size(), tokenizer, message), GC_OK)
        << message.c_str();
  }
  std::vector<int32_t> operator()(llvm::StringRef text) {
    std::vector<int32_t> tokens(text.size() * 3 + 1);
    TokenSink sink{tokens.data(), tokens.size()};
    Scratch scratch{realloc};
    ByteRange all = {0, UINT64_MAX};
    EXPECT_EQ(tokenizer.encode(text.data(), text.size(), &all, 1, scratch, sink, message), GC_OK);
    free(scratch.data);
    tokens.resize(sink.count);
    return tokens;
  }

private:
  std::vector<uint8_t> section;
  Tokenizer tokenizer;
  Message message;
};

void expectEqual(const std::vector<int32_t> &got, const std::vector<int32_t> &wanted) {
  ASSERT_EQ(got.size(), wanted.size());
  auto [a, b] = std::mismatch(got.begin(), got.end(), wanted.begin());
  EXPECT_EQ(a, got.end()) << "token " << a - got.begin() << " is " << *a << ", expected " << *b;
}

TEST(TokenizerVocabulary, OfRealSizeMergesAsThePlainAlgorithmDoes) {
  Vocabulary vocabulary(262'144, 514'906);
  ASSERT_EQ(vocabulary.data.pieces.size(), 262'144u);
  ASSERT_GT(vocabulary.data.merges.size(), 450'000u);
  Encoder encode(vocabulary.data);
  for (unsigned foreign : {0, 1, 5, 50, 100})
    for (size_t bytes : {0, 1, 50, 2047, 2048, 6'000}) {
      std::string text = vocabulary.text(bytes, foreign);
      expectEqual(encode(text), vocabulary.encode(text));
    }
  // One run without a boundary.
  std::string run;
  while (run.size() < 6'000)
    run += vocabulary.text(20, 0).substr(1);
  llvm::erase_if(run, [](char c) { return c == ' ' || c == '\n'; });
  expectEqual(encode(run), vocabulary.encode(run));
}

TEST(TokenizerVocabulary, UnknownCharactersAreOneTokenWhateverIsRemembered) {
  Vocabulary vocabulary(4000, 8000, true);
  Encoder encode(vocabulary.data);
  for (unsigned foreign : {5, 50, 95}) {
    std::string text = vocabulary.text(6'000, foreign);
    expectEqual(encode(text), vocabulary.encode(text));
  }
}

// Where the vocabulary lacks U+2581, a space is three byte tokens, which segments may end between.
TEST(TokenizerVocabulary, SpacesBecomeBytesWithoutTheirPiece) {
  TokenizerData data;
  for (int byte = 0; byte < 256; ++byte) {
    data.byteTokens[size_t(byte)] = byte;
    data.pieces.push_back("<" + std::to_string(byte) + ">");
  }
  data.pieces.insert(data.pieces.end(), {"a", "b", "ab"});
  data.merges = {{256, 257}};
  data.merged = {258};
  Encoder encode(data);
  std::string text;
  std::vector<int32_t> expected;
  for (int i = 0; i < 1000; ++i) {
    text += "ab ";
    expected.insert(expected.end(), {258, 0xE2, 0x96, 0x81});
  }
  expectEqual(encode(text), expected);
}

} // namespace
} // namespace gcompile::runtime
