#include "tests/unit/runtime/MadeVocabulary.h"

#include "compiler/Artifact/TokenizerSection.h"

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/ConvertUTF.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>

namespace gcompile::runtime {
namespace {

constexpr uint32_t spaceMark = 0x2581;

uint64_t pairKey(uint32_t left, uint32_t right) { return uint64_t(left) << 32 | right; }

} // namespace

std::string utf8(uint32_t code) {
  char buffer[4], *end = buffer;
  llvm::ConvertCodePointToUTF8(code, end);
  return std::string(buffer, end);
}

MadeVocabulary::MadeVocabulary(size_t pieces, size_t merges, Unknown unknown) {
  data.byteTokens.fill(-1);
  // Those that llama.cpp's converter calls the user's own are among the special ones; the last is
  // not special: it is cut out of a text and shown.
  for (const char *special :
       {"<pad>", "<eos>", "<bos>", "<unk>", "<|tool_call>", "<tool_call|>", "<|tool_response>",
        "<tool_response|>", "<|\"|>", "<|think|>", "<|channel>", "<channel|>", "<|turn>", "<turn|>",
        "<|turn>s", "[user]"}) {
    data.added.push_back({uint32_t(data.pieces.size()), special, special[0] == '<'});
    add(special);
  }
  data.unknown = 3;
  for (uint32_t byte = 0; byte < 256 && unknown == Unknown::Bytes; ++byte) {
    char text[8];
    snprintf(text, sizeof text, "<0x%02X>", byte);
    data.byteTokens[byte] = int32_t(add(text));
  }
  first = uint32_t(data.pieces.size());
  addCharacters();
  // Dense in few letters, so that most pieces can be reached in several ways, as real ones can.
  while (data.pieces.size() < pieces) {
    std::string piece = newPiece();
    if (!ids.contains(piece) && forEachCut(piece, [](uint32_t, uint32_t) {}))
      add(piece);
  }
  addMerges(merges);
}

void MadeVocabulary::addCharacters() {
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
}

void MadeVocabulary::addMerges(size_t count) {
  std::vector<std::array<uint32_t, 3>> all;
  for (uint32_t id = first; id < data.pieces.size(); ++id)
    forEachCut(data.pieces[id],
               [&](uint32_t left, uint32_t right) { all.push_back({left, right, id}); });
  std::shuffle(all.begin(), all.end(), random);
  for (auto [left, right, result] : all) {
    if (data.merges.size() == count)
      break;
    ranks.emplace(pairKey(left, right), data.merges.size());
    data.merges.push_back({left, right});
    data.merged.push_back(result);
  }
}

std::string MadeVocabulary::text(size_t bytes, unsigned foreign) {
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

std::string MadeVocabulary::run(size_t bytes) {
  std::string result;
  while (result.size() < bytes)
    result += text(20, 0).substr(1);
  llvm::erase_if(result, [](char c) { return c == ' ' || c == '\n'; });
  return result;
}

std::string MadeVocabulary::mixture(size_t bytes) {
  std::string result;
  while (result.size() < bytes)
    switch (random() % 8) {
    case 0: // a face, with a skin tone (no piece), joined to others
      for (unsigned i = 0, faces = 1 + random() % 4; i < faces; ++i)
        result += (i ? utf8(0x200D) : "") + utf8(0x1F600 + random() % 0x60) +
                  (random() % 2 ? utf8(0x1F3FB + random() % 5) : "");
      break;
    case 1: // some marks have pieces, some have not
      result += char('a' + random() % 26);
      for (unsigned i = 0, marks = random() % 9; i < marks; ++i)
        result += utf8(0x300 + random() % 0x70);
      break;
    case 2:
      result += std::string(random() % 3 ? 1 + random() % 40 : 1 + random() % 700,
                            "\n \n-"[random() % 4]);
      break;
    case 3:
      result += data.added[random() % data.added.size()].content;
      break;
    case 4: // a character whose end is missing
      result += utf8(0x10000 + random() % 0x10000).substr(0, 1 + random() % 3);
      break;
    case 5: // overlong forms, surrogates, bytes that never occur
      for (auto *bad : {"\xC0\x80", "\xED\xA0\x80", "\xF5\xFF", "\xE0\x82\xA9"})
        result += random() % 2 ? bad : "";
      break;
    default:
      result += text(1 + random() % 60, 2);
    }
  return result;
}

std::vector<int32_t> MadeVocabulary::encode(const std::string &text) const {
  std::vector<int32_t> tokens;
  std::string plain;
  for (size_t at = 0; at < text.size();) {
    const SpecialToken *longest = nullptr;
    for (const SpecialToken &token : data.added)
      if (text.compare(at, token.content.size(), token.content) == 0 &&
          (!longest || longest->content.size() < token.content.size()))
        longest = &token;
    if (!longest) {
      plain += text[at++];
      continue;
    }
    encodePlain(plain, tokens);
    plain.clear();
    tokens.push_back(int32_t(longest->id));
    at += longest->content.size();
  }
  encodePlain(plain, tokens);
  return tokens;
}

void MadeVocabulary::encodePlain(const std::string &text, std::vector<int32_t> &to) const {
  std::vector<int32_t> tokens;
  bool lastUnknown = false;
  for (size_t at = 0; at < text.size();) {
    auto *begin = reinterpret_cast<const llvm::UTF8 *>(text.data()) + at, *source = begin;
    llvm::UTF32 code = 0;
    bool valid = llvm::convertUTF8Sequence(&source, begin + text.size() - at, &code,
                                           llvm::strictConversion) == llvm::conversionOK;
    size_t length = valid ? size_t(source - begin) : 1;
    std::string raw = valid && code == ' ' ? utf8(spaceMark) : text.substr(at, length);
    auto found = valid ? ids.find(raw) : ids.end();
    bool isUnknown = found == ids.end() && data.byteTokens[0] < 0;
    if (found != ids.end())
      tokens.push_back(int32_t(found->second));
    else if (!isUnknown)
      for (char byte : raw)
        tokens.push_back(data.byteTokens[uint8_t(byte)]);
    else if (!lastUnknown)
      tokens.push_back(data.unknown);
    lastUnknown = isUnknown;
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
  to.insert(to.end(), tokens.begin(), tokens.end());
}

uint32_t MadeVocabulary::add(const std::string &piece) {
  ids[piece] = uint32_t(data.pieces.size());
  data.pieces.push_back(piece);
  return uint32_t(data.pieces.size() - 1);
}

std::string MadeVocabulary::newPiece() {
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
bool MadeVocabulary::forEachCut(const std::string &piece, Use use) const {
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
uint32_t MadeVocabulary::pick() {
  uint64_t pieces = data.pieces.size() - first, draw = random() % pieces;
  return first + uint32_t(random() % 2 ? draw : draw * draw / pieces);
}

Encoder::Encoder(const TokenizerData &data) : Encoder(cantFail(serializeTokenizer(data))) {}

Encoder::Encoder(std::vector<uint8_t> section) : section(std::move(section)) {
  EXPECT_EQ(Tokenizer::open(this->section.data(), this->section.size(), tokenizer, message), GC_OK)
      << message.c_str();
}

std::vector<int32_t> Encoder::operator()(const std::string &text) {
  std::vector<int32_t> tokens(text.size() * 3 + 1);
  TokenSink sink{tokens.data(), tokens.size()};
  Scratch scratch{realloc};
  ByteRange all = {0, UINT64_MAX};
  EXPECT_EQ(tokenizer.encode(text.data(), text.size(), &all, 1, scratch, sink, message), GC_OK);
  free(scratch.data);
  tokens.resize(sink.count);
  return tokens;
}

void expectEqual(const std::vector<int32_t> &got, const std::vector<int32_t> &wanted) {
  ASSERT_EQ(got.size(), wanted.size());
  auto [a, b] = std::mismatch(got.begin(), got.end(), wanted.begin());
  EXPECT_EQ(a, got.end()) << "token " << a - got.begin() << " is " << *a << ", expected " << *b;
}

} // namespace gcompile::runtime
