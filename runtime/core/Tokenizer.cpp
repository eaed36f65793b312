#include "runtime/core/Tokenizer.h"

namespace gcompile::runtime {
namespace {

constexpr uint32_t none = UINT32_MAX;

bool isPowerOfTwo(uint32_t value) { return value && (value & (value - 1)) == 0; }

Status bad(Message &message, const char *what) {
  message.clear() << "the tokenizer section is damaged: " << what;
  return GC_BAD_FILE;
}

} // namespace

Status Tokenizer::open(const uint8_t *section, uint64_t bytes, Tokenizer &tokenizer,
                       Message &message) {
  if (bytes < sizeof(gc_tokenizer_header) || reinterpret_cast<uintptr_t>(section) % 8 != 0)
    return bad(message, "it is shorter than its header");
  auto *h = reinterpret_cast<const gc_tokenizer_header *>(section);
  if (__builtin_memcmp(h->magic, GC_TOKENIZER_MAGIC, 4) != 0)
    return bad(message, "it does not begin with GCTK");
  if (h->version > GC_TOKENIZER_VERSION) {
    message.clear() << "the tokenizer section has version " << h->version
                    << ", this runtime knows up to " << uint32_t(GC_TOKENIZER_VERSION)
                    << ": use a newer runtime";
    return GC_NEWER_VERSION;
  }
  if (h->piece_count == 0 || h->piece_count > GC_TOKENIZER_MAX_PIECES ||
      h->merge_count > GC_TOKENIZER_MAX_MERGES || h->added_count > h->piece_count)
    return bad(message, "its counts are out of range");
  if (!isPowerOfTwo(h->character_slots) || h->character_slots > 2 * GC_TOKENIZER_MAX_PIECES ||
      !isPowerOfTwo(h->joint_bits) || h->joint_bits < 64)
    return bad(message, "its table sizes are no powers of two");
  if (h->text_bytes > UINT32_MAX || h->added_text_bytes > UINT32_MAX)
    return bad(message, "its texts are too long");

  Tokenizer t;
  t.base = section;
  t.header = h;
  bool fits = true;
  auto table = [&](auto *&to, uint64_t offset, uint64_t count) {
    uint64_t length = count * sizeof *to;
    if (offset % 8 != 0 || offset > bytes || length > bytes - offset)
      fits = false;
    else
      to = reinterpret_cast<decltype(+to)>(section + offset);
  };
  table(t.textOffsets, h->text_offsets, uint64_t(h->piece_count) + 1);
  table(t.text, h->text, h->text_bytes);
  table(t.kinds, h->kinds, h->piece_count);
  table(t.byteTokens, h->byte_tokens, 256);
  table(t.characters, h->characters, h->character_slots);
  table(t.mergeStarts, h->merge_starts, uint64_t(h->piece_count) + 1);
  table(t.merges, h->merges, h->merge_count);
  table(t.added, h->added, h->added_count);
  table(t.addedText, h->added_text, h->added_text_bytes);
  table(t.joints, h->joints, h->joint_bits / 64);
  if (!fits)
    return bad(message, "a table lies outside of it");
  Status status = t.checkTables(message);
  if (status != GC_OK)
    return status;
  for (uint32_t i = 0; i < h->added_count; ++i) {
    uint8_t first = t.addedText[t.added[i].offset];
    t.addedFirst[first / 64] |= uint64_t(1) << (first % 64);
  }
  t.makeAsciiTables();
  tokenizer = t;
  return GC_OK;
}

Status Tokenizer::checkTables(Message &message) const {
  const gc_tokenizer_header &h = *header;
  uint32_t pieces = h.piece_count, longest = 0;
  if (textOffsets[0] != 0 || mergeStarts[0] != 0 || textOffsets[pieces] != h.text_bytes ||
      mergeStarts[pieces] != h.merge_count)
    return bad(message, "its offsets do not cover its tables");
  for (uint32_t i = 0; i < pieces; ++i) {
    if (textOffsets[i] > textOffsets[i + 1] || mergeStarts[i] > mergeStarts[i + 1])
      return bad(message, "its offsets do not grow");
    uint32_t length = textOffsets[i + 1] - textOffsets[i];
    longest = length > longest ? length : longest;
    if ((kinds[i] & 0xFF) > GC_PIECE_CONTROL)
      return bad(message, "a piece is of an unknown kind");
  }
  if (longest != h.longest_piece)
    return bad(message, "its longest piece is wrong");
  for (uint32_t i = 0; i < 256; ++i)
    if (byteTokens[i] < -1 || (byteTokens[i] >= 0 && uint32_t(byteTokens[i]) >= pieces))
      return bad(message, "a byte token is no piece");
  if (h.unknown < -1 || (h.unknown >= 0 && uint32_t(h.unknown) >= pieces))
    return bad(message, "its unknown token is no piece");
  bool empty = false;
  for (uint32_t i = 0; i < h.character_slots; ++i) {
    if (!characters[i].code_point_plus_one)
      empty = true;
    else if (characters[i].piece >= pieces)
      return bad(message, "a character's piece is none");
  }
  if (!empty)
    return bad(message, "its character table has no free slot");
  for (uint32_t i = 0; i < pieces; ++i)
    for (uint32_t j = mergeStarts[i]; j < mergeStarts[i + 1]; ++j) {
      if (merges[j].right >= pieces || merges[j].result >= pieces || merges[j].rank == none)
        return bad(message, "a merge names no piece");
      if (j > mergeStarts[i] && merges[j].right <= merges[j - 1].right)
        return bad(message, "its merges are not in order");
    }
  for (uint32_t i = 0; i < h.added_count; ++i) {
    const gc_tokenizer_added &a = added[i];
    if (a.piece >= pieces || a.bytes == 0 || a.offset > h.added_text_bytes ||
        a.bytes > h.added_text_bytes - a.offset)
      return bad(message, "an added token lies outside of it");
    if (i == 0)
      continue;
    const gc_tokenizer_added &b = added[i - 1];
    uint32_t common = a.bytes < b.bytes ? a.bytes : b.bytes;
    int order = __builtin_memcmp(addedText + b.offset, addedText + a.offset, common);
    if (order > 0 || (order == 0 && b.bytes >= a.bytes))
      return bad(message, "its added tokens are not in order");
  }
  return GC_OK;
}

void Tokenizer::makeAsciiTables() {
  for (uint32_t c = 0; c < 128; ++c)
    asciiPieces[c] =
        characterPiece(c == ' ' && (header->flags & GC_TOKENIZER_REPLACES_SPACES) ? 0x2581 : c);
  for (uint32_t a = 0; a < 128; ++a)
    for (uint32_t b = 0; b < 128; ++b) {
      uint64_t joins = asciiPieces[a] == none || asciiPieces[b] == none
                           ? 0
                           : mayJoin(asciiPieces[a], asciiPieces[b]);
      asciiJoins[a][b / 64] = (b % 64 ? asciiJoins[a][b / 64] : 0) | joins << b % 64;
    }
}

uint32_t Tokenizer::characterPiece(uint32_t codePoint) const {
  uint32_t mask = header->character_slots - 1;
  for (uint32_t slot = gc_tokenizer_hash(codePoint, 0) & mask;; slot = (slot + 1) & mask) {
    if (characters[slot].code_point_plus_one == codePoint + 1)
      return characters[slot].piece;
    if (!characters[slot].code_point_plus_one)
      return none;
  }
}

const gc_tokenizer_merge *Tokenizer::findMerge(uint32_t left, uint32_t right) const {
  uint32_t low = mergeStarts[left], end = mergeStarts[left + 1], high = end;
  while (low < high) {
    uint32_t middle = low + (high - low) / 2;
    if (merges[middle].right < right)
      low = middle + 1;
    else
      high = middle;
  }
  return low < end && merges[low].right == right ? &merges[low] : nullptr;
}

const gc_tokenizer_added *Tokenizer::matchAdded(const uint8_t *at, uint64_t bytes) const {
  if (!bytes || !(addedFirst[at[0] / 64] >> (at[0] % 64) & 1))
    return nullptr;
  // [low, high): added tokens that begin with the first `depth` bytes of the text.
  uint32_t low = 0, high = header->added_count;
  const gc_tokenizer_added *longest = nullptr;
  auto byteAt = [&](uint32_t index,
                    uint32_t depth) { // -1 sorts the end of a token before every byte
    return depth < added[index].bytes ? int(addedText[added[index].offset + depth]) : -1;
  };
  for (uint32_t depth = 0; low < high; ++depth) {
    if (added[low].bytes == depth) {
      longest = &added[low];
      if (++low == high)
        break;
    }
    if (depth >= bytes)
      break;
    int wanted = at[depth];
    auto bound = [&](int value) {
      uint32_t from = low, to = high;
      while (from < to) {
        uint32_t middle = from + (to - from) / 2;
        if (byteAt(middle, depth) < value)
          from = middle + 1;
        else
          to = middle;
      }
      return from;
    };
    uint32_t first = bound(wanted), last = bound(wanted + 1);
    low = first;
    high = last;
  }
  return longest;
}

} // namespace gcompile::runtime
