// The tokenizer section: BPE with byte fallback as tables that are searched in place; nothing is
// built at load.
//
// All offsets are from the start of the section and multiples of 8; all integers little-endian.
// Readers check everything once. A text is cut at added tokens (leftmost, longest); spaces become
// U+2581; each character becomes its piece, or else the byte tokens of its UTF-8; then the adjacent
// pair with the lowest rank is merged (leftmost first) until none is left.
#pragma once

#include "runtime/abi/gc_module.h"

#ifdef __cplusplus
extern "C" {
#endif

#define GC_TOKENIZER_MAGIC "GCTK"

enum {
  GC_TOKENIZER_VERSION = 1,
  GC_TOKENIZER_MAX_PIECES = 1 << 24,
  GC_TOKENIZER_MAX_MERGES = 1 << 26,
  // flags
  GC_TOKENIZER_REPLACES_SPACES = 1, // ' ' is U+2581 in the vocabulary
  // kinds of pieces: low byte of an entry of `kinds`; the high byte is the value of a byte token
  GC_PIECE_TEXT = 0,
  GC_PIECE_BYTE = 1,
  GC_PIECE_CONTROL = 2, // special added token: hidden when text is decoded
};

typedef struct gc_tokenizer_header {
  char magic[4];
  uint32_t version; // GC_TOKENIZER_VERSION
  uint32_t flags;
  uint32_t piece_count;
  uint32_t merge_count;
  uint32_t added_count;
  uint32_t character_slots; // power of two, never all in use
  uint32_t joint_bits;      // power of two, at least 64
  int32_t unknown;          // piece for characters without byte tokens; -1: they vanish
  uint32_t longest_piece;   // bytes of the longest text
  uint64_t text_bytes, added_text_bytes;
  uint64_t text_offsets; // u32[piece_count + 1] into text, growing
  uint64_t text;         // of pieces, as decoded: spaces are spaces; byte tokens have none
  uint64_t kinds;        // u16[piece_count]
  uint64_t byte_tokens;  // i32[256], -1: none
  uint64_t characters;   // gc_tokenizer_character[character_slots]
  uint64_t merge_starts; // u32[piece_count + 1]: merges with this left piece
  uint64_t merges;       // gc_tokenizer_merge[merge_count], by left, then right
  uint64_t added;        // gc_tokenizer_added[added_count], by text
  uint64_t added_text;
  uint64_t joints; // u64[joint_bits / 64]: see gc_tokenizer_joint
} gc_tokenizer_header;
GC_STATIC_ASSERT(sizeof(gc_tokenizer_header) == 136, "gc_tokenizer_header");

// A character that is a piece of its own. Open addressing, linear probing, from slot
// gc_tokenizer_hash(code_point, 0) mod slots.
typedef struct gc_tokenizer_character {
  uint32_t code_point_plus_one; // 0: empty
  uint32_t piece;
} gc_tokenizer_character;

typedef struct gc_tokenizer_merge {
  uint32_t right, rank, result;
} gc_tokenizer_merge;

typedef struct gc_tokenizer_added {
  uint32_t piece, offset, bytes;
} gc_tokenizer_added;

static inline uint32_t gc_tokenizer_hash(uint32_t a, uint32_t b) {
  uint64_t h = ((uint64_t)a << 32 | b) * UINT64_C(0x9E3779B97F4A7C15);
  h ^= h >> 32;
  return (uint32_t)(h * UINT64_C(0xD6E8FEB86659FD93) >> 32);
}

// Bit gc_tokenizer_hash(a, b) mod joint_bits is set when some merge joins a text ending in symbol a
// (a character's piece or a byte token) with one that starts with b. A clear bit proves that no
// merge crosses that boundary, so a text may be encoded in parts cut there.

#ifdef __cplusplus
}
#endif
