// A vocabulary made from a fixed seed, as large and as dense as the published one, and the plainest
// BPE there is to hold the tokenizer against: no segments, no tables, one merge at a time over the
// whole text.
#pragma once

#include "runtime/core/Tokenizer.h"

#include "compiler/Import/TokenizerData.h"

#include <cstdint>
#include <random>
#include <string>
#include <unordered_map>
#include <vector>

namespace gcompile::runtime {

inline constexpr size_t publishedPieces = 262'144, publishedMerges = 514'906;

std::string utf8(uint32_t code);

class MadeVocabulary {
public:
  enum class Unknown { Bytes, OneToken }; // what stands for a character without a piece

  MadeVocabulary(size_t pieces, size_t merges, Unknown unknown = Unknown::Bytes);

  // A text of its characters and pieces and, `foreign` times in a hundred, of other characters and
  // bytes that are no UTF-8.
  std::string text(size_t bytes, unsigned foreign);
  // Of the pieces alone, without a space or newline.
  std::string run(size_t bytes);
  // Whole words of text(), emoji with modifiers and joiners, letters with stacks of combining
  // marks, special tokens, runs of one character, cut and overlong UTF-8.
  std::string mixture(size_t bytes);

  // Special tokens are cut out first, leftmost and longest.
  std::vector<int32_t> encode(const std::string &text) const;

  TokenizerData data;

private:
  uint32_t add(const std::string &piece);
  void addCharacters();
  void addMerges(size_t count);
  std::string newPiece();
  uint32_t pick();
  void encodePlain(const std::string &text, std::vector<int32_t> &to) const;
  template <typename Use>
  bool forEachCut(const std::string &piece, Use use) const;

  std::mt19937 random{20261121};
  uint32_t first = 0, characters = 0; // of the pieces that text consists of; how many at first
  std::unordered_map<std::string, uint32_t> ids;
  std::unordered_map<uint64_t, size_t> ranks;
};

// The tokens of a text as the runtime makes them, from a section.
class Encoder {
public:
  explicit Encoder(const TokenizerData &data);
  explicit Encoder(std::vector<uint8_t> section);
  std::vector<int32_t> operator()(const std::string &text);

private:
  std::vector<uint8_t> section;
  Tokenizer tokenizer;
  Message message;
};

void expectEqual(const std::vector<int32_t> &got, const std::vector<int32_t> &wanted);

} // namespace gcompile::runtime
