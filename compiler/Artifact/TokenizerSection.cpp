#include "compiler/Artifact/TokenizerSection.h"

#include "runtime/abi/gc_tokenizer.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/ConvertUTF.h"
#include "llvm/Support/MathExtras.h"

#include <algorithm>
#include <map>
#include <optional>

namespace gcompile {
namespace {

constexpr llvm::StringLiteral spaceMark = "\xE2\x96\x81"; // U+2581

template <typename... Values>
llvm::Error refuse(const char *format, const Values &...values) {
  return llvm::createStringError(std::errc::invalid_argument, format, values...);
}

// The character that a text consists of; none when it is empty, longer, or not UTF-8.
std::optional<uint32_t> singleCharacter(llvm::StringRef text) {
  if (text.empty() || text.size() > 4)
    return std::nullopt;
  auto *at = reinterpret_cast<const llvm::UTF8 *>(text.data());
  auto *end = at + text.size();
  llvm::UTF32 character = 0;
  if (llvm::convertUTF8Sequence(&at, end, &character, llvm::strictConversion) !=
          llvm::conversionOK ||
      at != end)
    return std::nullopt;
  return character;
}

llvm::StringRef firstCharacter(llvm::StringRef text) {
  return text.take_front(std::max(1u, llvm::getNumBytesForUTF8(llvm::UTF8(text.front()))));
}

llvm::StringRef lastCharacter(llvm::StringRef text) {
  size_t begin = text.size() - 1;
  while (begin && (uint8_t(text[begin]) & 0xC0) == 0x80)
    --begin;
  return text.drop_front(begin);
}

class SectionBuilder {
public:
  explicit SectionBuilder(const TokenizerData &tokenizer) : t(tokenizer) {}

  llvm::Expected<std::vector<uint8_t>> build() {
    if (llvm::Error error = check())
      return std::move(error);
    bytes.resize(sizeof header);
    memcpy(header.magic, GC_TOKENIZER_MAGIC, sizeof header.magic);
    header.version = GC_TOKENIZER_VERSION;
    header.flags = t.replacesSpaces ? uint32_t(GC_TOKENIZER_REPLACES_SPACES) : 0;
    header.piece_count = uint32_t(t.pieces.size());
    header.unknown = t.unknown;
    addPieces();
    addCharacters();
    addMerges();
    addAdded();
    memcpy(bytes.data(), &header, sizeof header);
    return std::move(bytes);
  }

private:
  llvm::Error check() const {
    size_t pieces = t.pieces.size();
    if (pieces == 0 || pieces > GC_TOKENIZER_MAX_PIECES)
      return refuse("tokenizer has %zu pieces, expected 1 to %d", pieces,
                    int(GC_TOKENIZER_MAX_PIECES));
    if (t.merges.size() > GC_TOKENIZER_MAX_MERGES || t.merged.size() != t.merges.size())
      return refuse("tokenizer has %zu merges with %zu results, expected as many, at most %d",
                    t.merges.size(), t.merged.size(), int(GC_TOKENIZER_MAX_MERGES));
    size_t textBytes = 0, addedBytes = 0;
    for (const std::string &piece : t.pieces)
      textBytes += piece.size();
    for (const SpecialToken &token : t.added)
      addedBytes += token.content.size();
    if (textBytes > UINT32_MAX || addedBytes > UINT32_MAX)
      return refuse("tokenizer has %zu bytes of text, at most 2^32 are possible",
                    std::max(textBytes, addedBytes));
    for (size_t i = 0; i < t.merges.size(); ++i)
      if (t.merges[i].first >= pieces || t.merges[i].second >= pieces || t.merged[i] >= pieces)
        return refuse("merge %zu of the tokenizer names a piece that is none of the %zu", i,
                      pieces);
    for (const SpecialToken &token : t.added)
      if (token.id >= pieces || token.content.empty())
        return refuse("added token %u of the tokenizer is empty or none of its %zu pieces",
                      token.id, pieces);
    for (int32_t id : t.byteTokens)
      if (id < -1 || id >= int64_t(pieces))
        return refuse("byte token %d of the tokenizer is none of its %zu pieces", id, pieces);
    if (t.unknown < -1 || t.unknown >= int64_t(pieces))
      return refuse("unknown token %d of the tokenizer is none of its %zu pieces", t.unknown,
                    pieces);
    return llvm::Error::success();
  }

  template <typename T>
  uint64_t add(const std::vector<T> &values) {
    bytes.resize(llvm::alignTo(bytes.size(), 8));
    uint64_t offset = bytes.size();
    auto *begin = reinterpret_cast<const uint8_t *>(values.data());
    bytes.insert(bytes.end(), begin, begin + values.size() * sizeof(T));
    return offset;
  }

  void addPieces() {
    size_t pieces = t.pieces.size();
    std::vector<uint16_t> kinds(pieces, GC_PIECE_TEXT);
    for (unsigned value = 0; value < 256; ++value)
      if (t.byteTokens[value] >= 0)
        kinds[t.byteTokens[value]] = uint16_t(GC_PIECE_BYTE | value << 8);
    for (const SpecialToken &token : t.added)
      if (token.special)
        kinds[token.id] = GC_PIECE_CONTROL;
    std::vector<uint32_t> offsets;
    std::vector<char> text;
    for (size_t i = 0; i < pieces; ++i) {
      offsets.push_back(uint32_t(text.size()));
      if ((kinds[i] & 0xFF) == GC_PIECE_BYTE)
        continue;
      llvm::StringRef piece = t.pieces[i];
      while (!piece.empty()) {
        bool isSpace = t.replacesSpaces && piece.consume_front(spaceMark);
        text.push_back(isSpace ? ' ' : piece.front());
        if (!isSpace)
          piece = piece.drop_front();
      }
      header.longest_piece = std::max(header.longest_piece, uint32_t(text.size() - offsets.back()));
    }
    offsets.push_back(uint32_t(text.size()));
    header.text_bytes = text.size();
    header.text_offsets = add(offsets);
    header.text = add(text);
    header.kinds = add(kinds);
    header.byte_tokens = add(std::vector<int32_t>(t.byteTokens.begin(), t.byteTokens.end()));
  }

  void addCharacters() {
    for (size_t i = 0; i < t.pieces.size(); ++i)
      if (std::optional<uint32_t> character = singleCharacter(t.pieces[i]))
        characters.try_emplace(*character, uint32_t(i));
    header.character_slots = uint32_t(llvm::PowerOf2Ceil(2 * characters.size() + 1));
    std::vector<gc_tokenizer_character> slots(header.character_slots);
    for (auto [character, piece] : characters) {
      uint32_t slot = gc_tokenizer_hash(character, 0) & (header.character_slots - 1);
      while (slots[slot].code_point_plus_one)
        slot = (slot + 1) & (header.character_slots - 1);
      slots[slot] = {character + 1, piece};
    }
    header.characters = add(slots);
  }

  // The symbol that a piece's text begins or ends with before anything is merged; none when BPE can
  // never arrive at such a text.
  std::optional<uint32_t> symbolOf(uint32_t piece, llvm::StringRef (*end)(llvm::StringRef)) const {
    if (t.pieces[piece].empty())
      return std::nullopt;
    std::optional<uint32_t> character = singleCharacter(end(t.pieces[piece]));
    auto found = character ? characters.find(*character) : characters.end();
    return found == characters.end() ? std::nullopt : std::optional(found->second);
  }

  void addMerges() {
    std::map<std::pair<uint32_t, uint32_t>, std::pair<uint32_t, uint32_t>>
        byPair; // rank and result
    for (size_t rank = 0; rank < t.merges.size(); ++rank)
      byPair[t.merges[rank]] = {uint32_t(rank), t.merged[rank]};
    std::vector<uint32_t> starts(t.pieces.size() + 1);
    std::vector<gc_tokenizer_merge> merges;
    // Eight bits a merge: a boundary that no merge crosses is missed once in eight, which costs
    // speed only.
    header.joint_bits = uint32_t(std::max<uint64_t>(64, llvm::PowerOf2Ceil(8 * byPair.size())));
    std::vector<uint64_t> joints(header.joint_bits / 64);
    auto join = [&](uint32_t left, uint32_t right) {
      uint32_t bit = gc_tokenizer_hash(left, right) & (header.joint_bits - 1);
      joints[bit / 64] |= uint64_t(1) << bit % 64;
    };
    std::vector<bool> standsForOther(t.pieces.size());
    for (int32_t id : t.byteTokens)
      if (id >= 0)
        standsForOther[id] = true;
    if (t.unknown >= 0)
      standsForOther[t.unknown] = true;
    for (const auto &[pair, merge] : byPair) {
      auto [left, right] = pair;
      ++starts[left + 1];
      merges.push_back({right, merge.first, merge.second});
      std::optional<uint32_t> last = symbolOf(left, lastCharacter),
                              first = symbolOf(right, firstCharacter);
      if (last && first)
        join(*last, *first);
      // Byte tokens and the unknown token stand for other text than their own. No tokenizer of
      // the family merges them; one that does is never encoded in parts.
      if (standsForOther[left] || standsForOther[right])
        std::fill(joints.begin(), joints.end(), ~uint64_t(0));
    }
    for (size_t i = 1; i < starts.size(); ++i)
      starts[i] += starts[i - 1];
    header.merge_count = uint32_t(merges.size());
    header.merge_starts = add(starts);
    header.merges = add(merges);
    header.joints = add(joints);
  }

  void addAdded() {
    std::map<std::string, uint32_t> byText; // std::string compares as bytes, as the reader does
    for (const SpecialToken &token : t.added)
      byText[token.content] = token.id;
    std::vector<gc_tokenizer_added> added;
    std::vector<char> text;
    for (const auto &[content, id] : byText) {
      added.push_back({id, uint32_t(text.size()), uint32_t(content.size())});
      text.insert(text.end(), content.begin(), content.end());
    }
    header.added_count = uint32_t(added.size());
    header.added_text_bytes = text.size();
    header.added = add(added);
    header.added_text = add(text);
  }

  const TokenizerData &t;
  gc_tokenizer_header header = {};
  std::vector<uint8_t> bytes;
  std::map<uint32_t, uint32_t> characters;
};

} // namespace

llvm::Expected<std::vector<uint8_t>> serializeTokenizer(const TokenizerData &tokenizer) {
  return SectionBuilder(tokenizer).build();
}

} // namespace gcompile
