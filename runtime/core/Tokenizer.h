// Text to tokens and back, from the tokenizer section in place (runtime/abi/gc_tokenizer.h).
//
// Freestanding. open() checks the whole section once; afterwards every id and offset in it is
// trusted. Encoding costs O(n log n) whatever the text: long runs go through a heap, words through
// a scan. Scratch memory comes from the caller.
#pragma once

#include "runtime/abi/gc_tokenizer.h"
#include "runtime/core/Status.h"

namespace gcompile::runtime {

// Memory that grows: resize keeps the content, returns null when there is none. In a host it is
// realloc.
struct Scratch {
  void *(*resize)(void *data, size_t bytes);
  void *data = nullptr;
  uint64_t bytes = 0;

  bool atLeast(uint64_t wanted) {
    if (wanted <= bytes)
      return true;
    uint64_t more = wanted > bytes * 2 ? wanted : bytes * 2;
    void *grown = resize(data, more);
    if (!grown)
      return false;
    data = grown;
    bytes = more;
    return true;
  }
};

// Where tokens go: counts all, stores what fits.
struct TokenSink {
  int32_t *tokens;
  uint64_t capacity;
  uint64_t count = 0;
  int32_t first = -1;

  void put(uint32_t piece) {
    if (count == 0)
      first = int32_t(piece);
    if (count < capacity)
      tokens[count] = int32_t(piece);
    ++count;
  }
  void put(const uint32_t *pieces, uint32_t pieceCount) {
    if (count == 0 || capacity < count + pieceCount) {
      for (uint32_t i = 0; i < pieceCount; ++i)
        put(pieces[i]);
      return;
    }
    __builtin_memcpy(tokens + count, pieces, pieceCount * sizeof *tokens);
    count += pieceCount;
  }
};

struct ByteRange {
  uint64_t begin, end;
};

class Tokenizer {
public:
  static Status open(const uint8_t *section, uint64_t bytes, Tokenizer &tokenizer,
                     Message &message);

  uint32_t pieceCount() const { return header->piece_count; }
  uint32_t longestPiece() const { return header->longest_piece; }

  // Special tokens are recognised where they lie whole inside one of `markup` (growing, disjoint).
  Status encode(const char *text, uint64_t bytes, const ByteRange *markup, uint64_t markupCount,
                Scratch &scratch, TokenSink &sink, Message &message) const;

  enum class Specials { Hide, Show };
  // Appends the text of one token; `out` has room for longestOutput() bytes. Returns the bytes
  // written.
  uint64_t decode(gc_text_state &state, uint32_t piece, Specials specials, char *out) const;
  // Likewise, with nothing held back: each byte token is its byte.
  uint64_t decodeBytes(uint32_t piece, Specials specials, char *out) const;
  // What is still held back.
  static uint64_t finish(gc_text_state &state, char *out);
  // A piece plus the held-back bytes, each of which may become the three bytes of U+FFFD.
  uint64_t longestOutput() const {
    return uint64_t(header->longest_piece) + 3 * sizeof(gc_text_state::pending);
  }

private:
  class Segmenter; // TokenizerEncode.cpp

  // Piece of a character; UINT32_MAX: none.
  uint32_t characterPiece(uint32_t codePoint) const;
  const gc_tokenizer_merge *findMerge(uint32_t left, uint32_t right) const;
  bool mayJoin(uint32_t left, uint32_t right) const {
    uint32_t bit = gc_tokenizer_hash(left, right) & (header->joint_bits - 1);
    return joints[bit / 64] >> (bit % 64) & 1;
  }
  // Longest added token at the start of text; null: none.
  const gc_tokenizer_added *matchAdded(const uint8_t *text, uint64_t bytes) const;
  static uint64_t drain(gc_text_state &state, char *out);
  Status checkTables(Message &message) const;
  void makeAsciiTables();

  const uint8_t *base = nullptr;
  const gc_tokenizer_header *header = nullptr;
  const uint32_t *textOffsets = nullptr;
  const char *text = nullptr;
  const uint16_t *kinds = nullptr;
  const int32_t *byteTokens = nullptr;
  const gc_tokenizer_character *characters = nullptr;
  const uint32_t *mergeStarts = nullptr;
  const gc_tokenizer_merge *merges = nullptr;
  const gc_tokenizer_added *added = nullptr;
  const uint8_t *addedText = nullptr;
  const uint64_t *joints = nullptr;
  uint64_t addedFirst[4] = {}; // bit b: some added token begins with byte b
  // Most text is ASCII: its characters' pieces (UINT32_MAX: none), and bit b of row a says that a
  // merge may cross from a to b.
  uint32_t asciiPieces[128];
  uint64_t asciiJoins[128][2];
};

} // namespace gcompile::runtime
