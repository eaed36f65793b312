#include "runtime/core/Tokenizer.h"

#include "runtime/core/Utf8.h"

namespace gcompile::runtime {
namespace {

constexpr uint32_t none = UINT32_MAX;
// Segments up to here are merged by scanning for the lowest rank; longer ones by a heap. Words of a
// text are far below.
constexpr uint32_t shortSegment = 48;

bool isPowerOfTwo(uint32_t value) { return value && (value & (value - 1)) == 0; }

Status bad(Message &message, const char *what) {
  message.clear() << "the tokenizer section is damaged: " << what;
  return GC_BAD_FILE;
}

uint64_t putReplacement(char *out) {
  __builtin_memcpy(out, "\xEF\xBF\xBD", 3);
  return 3;
}

} // namespace

struct Tokenizer::Symbol {
  uint32_t piece;
  uint32_t previous, next; // none at the ends
  uint32_t rank,
      result; // of the merge with the next symbol; rank none: there is none, or this symbol is gone
};

struct Tokenizer::HeapEntry {
  uint32_t rank, position;
  bool before(const HeapEntry &other) const {
    return rank != other.rank ? rank < other.rank : position < other.position;
  }
};

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

Status Tokenizer::encode(const char *text, uint64_t bytes, const ByteRange *markup,
                         uint64_t markupCount, Scratch &scratch, TokenSink &sink,
                         Message &message) const {
  if (bytes > INT32_MAX) {
    message.clear() << "the text has " << bytes << " bytes, at most " << INT32_MAX
                    << " can be tokenized at once";
    return GC_BAD_ARGUMENT;
  }
  auto *input = reinterpret_cast<const uint8_t *>(text);
  uint64_t plainBegin = 0;
  for (uint64_t range = 0; range < markupCount; ++range) {
    uint64_t end = markup[range].end < bytes ? markup[range].end : bytes;
    for (uint64_t at = markup[range].begin; at < end;) {
      const gc_tokenizer_added *match = matchAdded(input + at, end - at);
      if (!match) {
        ++at;
        continue;
      }
      Status status = encodePlain(input + plainBegin, at - plainBegin, scratch, sink, message);
      if (status != GC_OK)
        return status;
      sink.put(match->piece);
      at += match->bytes;
      plainBegin = at;
    }
  }
  return encodePlain(input + plainBegin, bytes - plainBegin, scratch, sink, message);
}

Status Tokenizer::encodePlain(const uint8_t *input, uint64_t bytes, Scratch &scratch,
                              TokenSink &sink, Message &message) const {
  // Pieces of the open segment lie at the start of scratch; a segment ends where no merge can
  // cross.
  uint32_t count = 0;
  auto add = [&](uint32_t piece) -> Status {
    auto *pieces = static_cast<uint32_t *>(scratch.data);
    if (count && !mayJoin(pieces[count - 1], piece)) {
      Status status = mergeSegment(scratch, count, sink, message);
      if (status != GC_OK)
        return status;
      count = 0;
    }
    if (!scratch.atLeast((uint64_t(count) + 1) * sizeof(uint32_t))) {
      message.clear() << "no memory to tokenize a text of " << bytes << " bytes";
      return GC_NO_MEMORY;
    }
    static_cast<uint32_t *>(scratch.data)[count++] = piece;
    return GC_OK;
  };
  bool lastUnknown = false;
  for (uint64_t at = 0; at < bytes;) {
    Utf8 character = decodeUtf8(input + at, bytes - at);
    int length = character.bytes > 0 ? character.bytes : 1;
    uint32_t code = character.codePoint;
    if (code == ' ' && character.bytes > 0 && (header->flags & GC_TOKENIZER_REPLACES_SPACES))
      code = 0x2581;
    uint32_t piece = character.bytes > 0 ? characterPiece(code) : none;
    Status status = GC_OK;
    bool unknown = false;
    if (piece != none) {
      status = add(piece);
    } else {
      uint8_t replaced[3] = {0xE2, 0x96, 0x81}; // U+2581, when the vocabulary lacks it
      const uint8_t *raw = code == 0x2581 && character.bytes == 1 ? replaced : input + at;
      int rawBytes = raw == replaced ? 3 : length;
      for (int i = 0; i < rawBytes; ++i)
        unknown |= byteTokens[raw[i]] < 0;
      for (int i = 0; i < rawBytes && !unknown && status == GC_OK; ++i)
        status = add(uint32_t(byteTokens[raw[i]]));
      // Unknown characters in a row are one token, as in the reference library.
      if (unknown && !lastUnknown && header->unknown >= 0)
        status = add(uint32_t(header->unknown));
    }
    if (status != GC_OK)
      return status;
    lastUnknown = unknown;
    at += uint64_t(length);
  }
  return count ? mergeSegment(scratch, count, sink, message) : GC_OK;
}

void Tokenizer::mergeShort(uint32_t *pieces, uint32_t count, TokenSink &sink) const {
  uint32_t ranks[shortSegment], results[shortSegment];
  auto look = [&](uint32_t i) {
    const gc_tokenizer_merge *merge = i + 1 < count ? findMerge(pieces[i], pieces[i + 1]) : nullptr;
    ranks[i] = merge ? merge->rank : none;
    results[i] = merge ? merge->result : 0;
  };
  for (uint32_t i = 0; i < count; ++i)
    look(i);
  while (count > 1) {
    uint32_t best = 0;
    for (uint32_t i = 1; i + 1 < count; ++i)
      if (ranks[i] < ranks[best])
        best = i;
    if (ranks[best] == none)
      break;
    pieces[best] = results[best];
    --count;
    for (uint32_t i = best + 1; i < count; ++i) {
      pieces[i] = pieces[i + 1];
      ranks[i] = ranks[i + 1];
      results[i] = results[i + 1];
    }
    look(best);
    if (best)
      look(best - 1);
  }
  for (uint32_t i = 0; i < count; ++i)
    sink.put(pieces[i]);
}

Status Tokenizer::mergeSegment(Scratch &scratch, uint32_t count, TokenSink &sink,
                               Message &message) const {
  if (count <= shortSegment) {
    mergeShort(static_cast<uint32_t *>(scratch.data), count, sink);
    return GC_OK;
  }
  // Layout: the pieces (given), the symbols, the heap. Each merge takes one entry out and puts at
  // most two in, so 2 · count are enough.
  uint64_t symbolsAt = (uint64_t(count) * sizeof(uint32_t) + 7) / 8 * 8;
  uint64_t heapAt = symbolsAt + (uint64_t(count) * sizeof(Symbol) + 7) / 8 * 8;
  if (!scratch.atLeast(heapAt + 2 * uint64_t(count) * sizeof(HeapEntry))) {
    message.clear() << "no memory to tokenize a run of " << count << " characters";
    return GC_NO_MEMORY;
  }
  auto *data = static_cast<uint8_t *>(scratch.data);
  auto *pieces = reinterpret_cast<const uint32_t *>(data);
  auto *symbols = reinterpret_cast<Symbol *>(data + symbolsAt);
  auto *heap = reinterpret_cast<HeapEntry *>(data + heapAt);
  uint32_t heapCount = 0;

  auto push = [&](HeapEntry entry) {
    uint32_t at = heapCount++;
    for (; at && entry.before(heap[(at - 1) / 2]); at = (at - 1) / 2)
      heap[at] = heap[(at - 1) / 2];
    heap[at] = entry;
  };
  auto pop = [&] {
    HeapEntry top = heap[0], last = heap[--heapCount];
    uint32_t at = 0;
    for (uint32_t child; (child = 2 * at + 1) < heapCount; at = child) {
      if (child + 1 < heapCount && heap[child + 1].before(heap[child]))
        ++child;
      if (!heap[child].before(last))
        break;
      heap[at] = heap[child];
    }
    heap[at] = last;
    return top;
  };
  auto look = [&](uint32_t i) {
    Symbol &s = symbols[i];
    const gc_tokenizer_merge *merge =
        s.next != none ? findMerge(s.piece, symbols[s.next].piece) : nullptr;
    s.rank = merge ? merge->rank : none;
    s.result = merge ? merge->result : 0;
    if (merge)
      push({merge->rank, i});
  };

  for (uint32_t i = 0; i < count; ++i)
    symbols[i] = {pieces[i], i ? i - 1 : none, i + 1 < count ? i + 1 : none, none, 0};
  for (uint32_t i = 0; i < count; ++i)
    look(i);
  while (heapCount) {
    HeapEntry top = pop();
    Symbol &s = symbols[top.position];
    if (s.rank != top.rank)
      continue; // what this entry saw was merged meanwhile
    Symbol &gone = symbols[s.next];
    s.piece = s.result;
    s.next = gone.next;
    gone.rank = none;
    if (s.next != none)
      symbols[s.next].previous = top.position;
    look(top.position);
    if (s.previous != none)
      look(s.previous);
  }
  for (uint32_t i = 0; i != none; i = symbols[i].next)
    sink.put(symbols[i].piece);
  return GC_OK;
}

uint64_t Tokenizer::decode(gc_text_state &state, uint32_t piece, Specials specials,
                           char *out) const {
  uint32_t kind = kinds[piece] & 0xFF;
  if (kind == GC_PIECE_CONTROL && specials == Specials::Hide)
    return 0;
  if (kind != GC_PIECE_BYTE) {
    uint64_t written = finish(state, out);
    uint32_t length = textOffsets[piece + 1] - textOffsets[piece];
    __builtin_memcpy(out + written, text + textOffsets[piece], length);
    return written + length;
  }
  uint64_t written = 0;
  if (state.pending_bytes >= sizeof state.pending)
    written = drain(state, out);
  state.pending[state.pending_bytes++] = uint8_t(kinds[piece] >> 8);
  return written;
}

// The reference library decides about a run of byte tokens as a whole: text when all of it is
// UTF-8, else each byte is replaced.
uint64_t Tokenizer::finish(gc_text_state &state, char *out) {
  uint32_t count = state.pending_bytes < sizeof state.pending ? state.pending_bytes
                                                              : uint32_t(sizeof state.pending);
  state.pending_bytes = 0;
  uint32_t valid = 0;
  while (valid < count) {
    Utf8 character = decodeUtf8(state.pending + valid, count - valid);
    if (character.bytes <= 0)
      break;
    valid += uint32_t(character.bytes);
  }
  if (valid == count) {
    __builtin_memcpy(out, state.pending, count);
    return count;
  }
  uint64_t written = 0;
  for (uint32_t i = 0; i < count; ++i)
    written += putReplacement(out + written);
  return written;
}

// A run that is longer than what is held back: whole characters and bytes that are none leave, what
// may still become a character stays.
uint64_t Tokenizer::drain(gc_text_state &state, char *out) {
  uint64_t written = 0;
  uint32_t at = 0;
  state.pending_bytes = sizeof state.pending;
  while (at < state.pending_bytes) {
    Utf8 character = decodeUtf8(state.pending + at, state.pending_bytes - at);
    if (character.bytes < 0)
      break;
    uint32_t used = character.bytes ? uint32_t(character.bytes) : 1;
    if (character.bytes) {
      __builtin_memcpy(out + written, state.pending + at, used);
      written += used;
    } else {
      written += putReplacement(out + written);
    }
    at += used;
  }
  state.pending_bytes -= at;
  for (uint32_t i = 0; i < state.pending_bytes; ++i)
    state.pending[i] = state.pending[i + at];
  return written;
}

} // namespace gcompile::runtime
