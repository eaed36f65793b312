// The tokenizer of a checkpoint as plain data (tokenizer.json, BPE with byte fallback), checked:
// ids are dense, merges name known pieces, normaliser, pre-tokeniser and decoder are Gemma's (' '
// <-> U+2581, bytes fused). Text is UTF-8.
#pragma once

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace gcompile {

struct SpecialToken {
  uint32_t id = 0;
  std::string content;
  bool special =
      false; // hidden when text is decoded; both kinds are cut out of the text before BPE
};

struct TokenizerData {
  std::vector<std::string> pieces;                   // index = id; added tokens included
  std::vector<std::pair<uint32_t, uint32_t>> merges; // ids of left and right; rank = order
  std::vector<uint32_t> merged;                      // id of the joined piece of each merge
  std::vector<SpecialToken> added;                   // by growing id
  std::array<int32_t, 256> byteTokens{};             // id of <0xNN>; -1: none
  int32_t unknown = -1;
  bool replacesSpaces = true; // ' ' -> U+2581 before BPE and back after decoding
};

// `vocabulary` is the model's number of rows: ids at or above it are refused; 0: not checked.
llvm::Expected<TokenizerData> parseTokenizerJson(llvm::StringRef text, int64_t vocabulary = 0);

} // namespace gcompile
