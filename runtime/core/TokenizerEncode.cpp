// Text to tokens. The text is cut into segments where no merge can cross; words come again, so what
// a short segment became is kept by its bytes.
//
// Cost per byte of English: one look into a table of 2 KB says whether a segment ends here, and a
// segment that was met before costs one cache line. In others each pair that was met lately costs
// one more, the rest a binary search among the merges of the left piece.
#include "runtime/core/Tokenizer.h"

#include "runtime/core/Utf8.h"

namespace gcompile::runtime {
namespace {

constexpr uint32_t none = UINT32_MAX;
constexpr uint32_t spaceMark = 0x2581;
// Segments up to here are merged by scanning for the lowest rank; longer ones by a heap. Words of a
// text are far below.
constexpr uint32_t shortSegment = 48;
constexpr uint32_t mostScanned = 128; // pieces that may be merged by scanning at all

// What a segment of up to maxBytes became. One cache line.
struct KnownSegment {
  static constexpr uint32_t maxBytes = 24, maxTokens = 9;
  uint64_t text[maxBytes / 8]; // padded with zeros
  uint16_t bytes, tokenCount;  // bytes 0: empty
  uint32_t tokens[maxTokens];
};
static_assert(sizeof(KnownSegment) == 64);

// What findMerge says of a pair; rank none: no merge.
struct KnownPair {
  uint32_t left, right; // left none: empty
  uint32_t rank, result;
};

struct Symbol {
  uint32_t piece;
  uint32_t previous, next; // none at the ends
  // Of the merge with the next symbol; rank none: there is none, or this symbol is gone.
  uint32_t rank, result;
};

struct Token {
  uint32_t piece;
  uint32_t pieces; // that it was merged from
};

struct HeapEntry {
  uint32_t rank, position;
  bool before(const HeapEntry &other) const {
    return rank != other.rank ? rank < other.rank : position < other.position;
  }
};

} // namespace

// Lives for one text. Scratch holds the known segments and pairs, then the symbols of the open
// segment, then what merging a long one needs.
class Tokenizer::Segmenter {
public:
  Segmenter(const Tokenizer &tokenizer, Scratch &scratch, TokenSink &sink, Message &message)
      : t(tokenizer), scratch(scratch), sink(sink), message(message) {}

  // `bytes`: of the whole text.
  Status prepare(uint64_t bytes) {
    // A short text meets too few words twice to pay for clearing the tables.
    constexpr uint64_t worthwhile = 2048, bytesPerSlot = 16, mostSlots = 8192;
    if (bytes >= worthwhile) {
      slots = 128;
      while (slots < mostSlots && slots * bytesPerSlot < bytes)
        slots *= 2;
      pairSlots = 2 * slots;
    }
    room = 256;
    if (!scratch.atLeast(symbolsAt() + room * sizeof(uint32_t))) {
      message.clear() << "no memory to tokenize a text of " << bytes << " bytes";
      return GC_NO_MEMORY;
    }
    if (slots) {
      __builtin_memset(scratch.data, 0, pairsAt());
      __builtin_memset(pairs(), 0xFF, pairSlots * sizeof(KnownPair));
    }
    return GC_OK;
  }

  // A part of the text between added tokens.
  Status run(const uint8_t *input, uint64_t bytes) {
    end = input + bytes;
    uint32_t last = notAscii; // the last character, when it is an ASCII one with a piece
    bool lastUnknown = false;
    for (const uint8_t *at = input; at < end;) {
      uint8_t byte = *at;
      if (byte < 0x80 && t.asciiPieces[byte] != none) {
        uint32_t piece = t.asciiPieces[byte];
        bool joins =
            last != notAscii ? t.asciiJoins[last][byte / 64] >> (byte % 64) & 1 : joinsLast(piece);
        Status status = put(piece, at, joins);
        if (status != GC_OK)
          return status;
        last = byte;
        lastUnknown = false;
        ++at;
        continue;
      }
      last = notAscii;
      Utf8 character = decodeUtf8(at, uint64_t(end - at));
      uint32_t length = character.bytes > 0 ? uint32_t(character.bytes) : 1;
      Status status = putRare(character, at, length, lastUnknown);
      if (status != GC_OK)
        return status;
      at += length;
    }
    return count ? flush(end) : GC_OK;
  }

private:
  static constexpr uint32_t notAscii = 0x80;

  uint64_t pairsAt() const { return slots * sizeof(KnownSegment); }
  uint64_t symbolsAt() const { return pairsAt() + pairSlots * sizeof(KnownPair); }
  KnownPair *pairs() const {
    return reinterpret_cast<KnownPair *>(static_cast<uint8_t *>(scratch.data) + pairsAt());
  }
  uint32_t *symbols() const {
    return reinterpret_cast<uint32_t *>(static_cast<uint8_t *>(scratch.data) + symbolsAt());
  }
  bool joinsLast(uint32_t piece) const { return count && t.mayJoin(symbols()[count - 1], piece); }

  // A character beyond ASCII, or one without a piece, which becomes the byte tokens of its UTF-8.
  Status putRare(Utf8 character, const uint8_t *at, uint32_t length, bool &lastUnknown) {
    uint32_t code = character.codePoint;
    if (character.bytes == 1 && code == ' ' && (t.header->flags & GC_TOKENIZER_REPLACES_SPACES))
      code = spaceMark;
    uint32_t piece = character.bytes > 0 ? t.characterPiece(code) : none;
    if (piece != none) {
      lastUnknown = false;
      return put(piece, at, joinsLast(piece));
    }
    static const uint8_t mark[3] = {0xE2, 0x96, 0x81}; // U+2581, when the vocabulary lacks it
    bool isMark = code == spaceMark && character.bytes == 1;
    const uint8_t *raw = isMark ? mark : at;
    uint32_t rawBytes = isMark ? sizeof mark : length;
    bool unknown = false;
    for (uint32_t i = 0; i < rawBytes; ++i)
      unknown |= t.byteTokens[raw[i]] < 0;
    Status status = GC_OK;
    for (uint32_t i = 0; i < rawBytes && !unknown && status == GC_OK; ++i) {
      piece = uint32_t(t.byteTokens[raw[i]]);
      status = put(piece, isMark ? at : at + i, joinsLast(piece));
      dependsOnText |= isMark; // segments may end inside of the mark, which is no part of the text
    }
    if (unknown) {
      // Unknown characters in a row are one token, as in the reference library, so that what a
      // segment becomes depends on the text before it.
      if (!lastUnknown && t.header->unknown >= 0)
        status = put(uint32_t(t.header->unknown), at, joinsLast(uint32_t(t.header->unknown)));
      dependsOnText = true;
    }
    lastUnknown = unknown;
    return status;
  }

  Status put(uint32_t piece, const uint8_t *at, bool joins) {
    if (!joins) {
      if (count) {
        Status status = flush(at);
        if (status != GC_OK)
          return status;
      }
      begin = at;
      dependsOnText = false;
    }
    if (count == room) {
      room *= 2;
      if (!scratch.atLeast(symbolsAt() + room * sizeof(uint32_t)))
        return noMemory();
    }
    symbols()[count++] = piece;
    return GC_OK;
  }

  Status noMemory() {
    message.clear() << "no memory to tokenize a run of " << count << " characters";
    return GC_NO_MEMORY;
  }

  // The open segment ends before `segmentEnd`.
  Status flush(const uint8_t *segmentEnd) {
    uint32_t symbolCount = count;
    count = 0;
    if (symbolCount == 1) {
      sink.put(symbols()[0]);
      return GC_OK;
    }
    uint64_t bytes = uint64_t(segmentEnd - begin);
    if (symbolCount > shortSegment)
      return mergeLong(symbolCount);
    if (!slots || dependsOnText || bytes == 0 || bytes > KnownSegment::maxBytes) {
      sink.put(symbols(), mergeShort(symbols(), symbolCount));
      return GC_OK;
    }
    uint64_t text[KnownSegment::maxBytes / 8];
    load(begin, bytes, text);
    uint64_t hash = (text[0] ^ bytes) * UINT64_C(0x9E3779B97F4A7C15);
    hash = (hash ^ hash >> 32 ^ text[1] ^ text[2] << 1) * UINT64_C(0xD6E8FEB86659FD93);
    // Two places for each; a new one moves the older out.
    auto *pair =
        static_cast<KnownSegment *>(scratch.data) + (hash >> 32 & (slots - 1) & ~UINT64_C(1));
    for (KnownSegment *known = pair; known < pair + 2; ++known)
      if (known->bytes == bytes && known->text[0] == text[0] && known->text[1] == text[1] &&
          known->text[2] == text[2]) {
        sink.put(known->tokens, known->tokenCount);
        return GC_OK;
      }
    uint32_t tokenCount = mergeShort(symbols(), symbolCount);
    sink.put(symbols(), tokenCount);
    if (tokenCount <= KnownSegment::maxTokens) {
      pair[1] = pair[0];
      KnownSegment &known = pair[0];
      __builtin_memcpy(known.text, text, sizeof text);
      known.bytes = uint16_t(bytes);
      known.tokenCount = uint16_t(tokenCount);
      __builtin_memcpy(known.tokens, symbols(), tokenCount * sizeof(uint32_t));
    }
    return GC_OK;
  }

  // Up to 24 bytes, zeros behind them; reads whole words where the text goes on.
  void load(const uint8_t *from, uint64_t bytes, uint64_t (&words)[3]) const {
    if (uint64_t(end - from) < sizeof words) {
      words[0] = words[1] = words[2] = 0;
      __builtin_memcpy(words, from, bytes);
      return;
    }
    __builtin_memcpy(words, from, sizeof words);
    for (uint32_t i = 0; i < 3; ++i) {
      uint64_t left = bytes > 8 * i ? bytes - 8 * i : 0;
      words[i] &= left >= 8 ? ~UINT64_C(0) : (UINT64_C(1) << 8 * left) - 1;
    }
  }

  // Of two neighbours. Rank none: they do not merge.
  KnownPair merge(uint32_t left, uint32_t right) const {
    KnownPair *known = nullptr;
    if (pairSlots) {
      known = pairs() + (gc_tokenizer_hash(left, right) & (pairSlots - 1));
      if (known->left == left && known->right == right)
        return *known;
    }
    const gc_tokenizer_merge *found = t.findMerge(left, right);
    KnownPair pair = {left, right, found ? found->rank : none, found ? found->result : 0};
    if (known)
      *known = pair;
    return pair;
  }
  uint32_t mergeShort(uint32_t *pieces, uint32_t pieceCount, uint32_t *lengths = nullptr) const;
  void mergeByHeap(const uint32_t *pieces, uint32_t pieceCount, Symbol *symbols,
                   HeapEntry *heap) const;
  uint32_t mergeWindow(const uint32_t *pieces, uint32_t pieceCount, Token *tokens, Symbol *symbols,
                       HeapEntry *heap) const;
  bool staysApart(const uint32_t *pieces, Token left, Token right) const;
  Status mergeLong(uint32_t pieceCount);

  const Tokenizer &t;
  Scratch &scratch;
  TokenSink &sink;
  Message &message;
  uint64_t slots = 0, pairSlots = 0; // powers of two, or 0 for a short text
  uint64_t room = 0;                 // of symbols
  uint32_t count = 0;                // symbols of the open segment
  const uint8_t *begin = nullptr;    // of the open segment
  const uint8_t *end = nullptr;
  bool dependsOnText = false;
};

// Merges in place by scanning for the lowest rank; gives the number of pieces that are left, and in
// `lengths`, unless it is null, of how many each was made.
uint32_t Tokenizer::Segmenter::mergeShort(uint32_t *pieces, uint32_t count,
                                          uint32_t *lengths) const {
  uint32_t ranks[mostScanned], results[mostScanned];
  auto look = [&](uint32_t i) {
    KnownPair found = i + 1 < count ? merge(pieces[i], pieces[i + 1]) : KnownPair{0, 0, none, 0};
    ranks[i] = found.rank;
    results[i] = found.result;
  };
  for (uint32_t i = 0; i < count; ++i) {
    look(i);
    if (lengths)
      lengths[i] = 1;
  }
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
    if (lengths) {
      lengths[best] += lengths[best + 1];
      for (uint32_t i = best + 1; i < count; ++i)
        lengths[i] = lengths[i + 1];
    }
    look(best);
    if (best)
      look(best - 1);
  }
  return count;
}

// Merges `count` pieces with a heap; leaves symbols that are linked by `next`, the first in place
// 0. Each merge takes one entry out of the heap and puts at most two in, so it needs 2 · count
// places.
void Tokenizer::Segmenter::mergeByHeap(const uint32_t *pieces, uint32_t count, Symbol *symbols,
                                       HeapEntry *heap) const {
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
    KnownPair found =
        s.next != none ? merge(s.piece, symbols[s.next].piece) : KnownPair{0, 0, none, 0};
    s.rank = found.rank;
    s.result = found.result;
    if (found.rank != none)
      push({found.rank, i});
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
}

// What `count` pieces become; needs room for `count` tokens.
uint32_t Tokenizer::Segmenter::mergeWindow(const uint32_t *pieces, uint32_t count, Token *tokens,
                                           Symbol *symbols, HeapEntry *heap) const {
  uint32_t tokenCount = 0;
  if (count <= mostScanned) {
    uint32_t merged[mostScanned], lengths[mostScanned];
    __builtin_memcpy(merged, pieces, count * sizeof(uint32_t));
    tokenCount = mergeShort(merged, count, lengths);
    for (uint32_t i = 0; i < tokenCount; ++i)
      tokens[i] = {merged[i], lengths[i]};
    return tokenCount;
  }
  mergeByHeap(pieces, count, symbols, heap);
  for (uint32_t i = 0, next; i != none; i = next) {
    next = symbols[i].next;
    tokens[tokenCount++] = {symbols[i].piece, (next == none ? count : next) - i};
  }
  return tokenCount;
}

// Whether the pieces of two tokens become these two. Of tokens that are very long it says no.
bool Tokenizer::Segmenter::staysApart(const uint32_t *pieces, Token left, Token right) const {
  uint32_t count = left.pieces + right.pieces, merged[mostScanned];
  if (count > mostScanned)
    return false;
  __builtin_memcpy(merged, pieces, count * sizeof(uint32_t));
  return mergeShort(merged, count) == 2 && merged[0] == left.piece && merged[1] == right.piece;
}

// A long segment is merged in windows that fit a cache.
//
// Tokens t₁ … tₙ are what a text becomes exactly when each two neighbours are what their own text
// becomes. For: up to the first merge across a boundary, each part of the text changes as if it
// were alone, in the same order (lowest rank, then leftmost); so the first merge across tᵢ | tᵢ₊₁
// would also happen in the text of these two alone. Hence the end of a window, where the text that
// follows is missing, is cut off, the next window begins where a token ends, and only the two
// tokens at that place are looked at; where they do not stay as they are, a larger window begins
// further back. Each time in a row twice as far, so that no text is merged more than a few times.
Status Tokenizer::Segmenter::mergeLong(uint32_t count) {
  constexpr uint32_t firstWindow = 512, cutOff = 64;
  // Behind the pieces lie the tokens, of which there are never more, then symbols and heap.
  uint64_t tokensAt = (symbolsAt() + room * sizeof(uint32_t) + 7) / 8 * 8;
  uint64_t windowAt = tokensAt + uint64_t(count) * sizeof(Token);
  uint32_t at = 0, window = firstWindow, stepsBack = 1;
  uint64_t tokenCount = 0;
  while (at < count) {
    uint32_t size = window < count - at ? window : count - at;
    uint32_t heapRoom = size > mostScanned ? size : 0;
    if (!scratch.atLeast(windowAt + heapRoom * (sizeof(Symbol) + 2 * sizeof(HeapEntry)))) {
      this->count = count;
      return noMemory();
    }
    auto *data = static_cast<uint8_t *>(scratch.data);
    const uint32_t *pieces = this->symbols() + at;
    auto *tokens = reinterpret_cast<Token *>(data + tokensAt) + tokenCount;
    auto *found = reinterpret_cast<Symbol *>(data + windowAt);
    uint32_t made =
        mergeWindow(pieces, size, tokens, found, reinterpret_cast<HeapEntry *>(found + heapRoom));
    if (tokenCount && !staysApart(pieces - tokens[-1].pieces, tokens[-1], tokens[0])) {
      uint32_t reach = at + size;
      for (uint32_t i = 0; i < stepsBack && tokenCount; ++i, --tokenCount)
        at -= (--tokens)->pieces;
      stepsBack *= 2;
      window = 2 * (reach - at);
      continue;
    }
    uint32_t end = at + size == count ? size : size - cutOff, kept = 0, used = 0;
    while (kept < made && used + tokens[kept].pieces <= end)
      used += tokens[kept++].pieces;
    window = kept ? firstWindow : 2 * window;
    stepsBack = kept ? 1 : stepsBack;
    tokenCount += kept;
    at += used;
  }
  auto *tokens = reinterpret_cast<const Token *>(static_cast<uint8_t *>(scratch.data) + tokensAt);
  for (uint64_t i = 0; i < tokenCount; ++i)
    sink.put(tokens[i].piece);
  return GC_OK;
}

Status Tokenizer::encode(const char *text, uint64_t bytes, const ByteRange *markup,
                         uint64_t markupCount, Scratch &scratch, TokenSink &sink,
                         Message &message) const {
  if (bytes > INT32_MAX) {
    message.clear() << "the text has " << bytes << " bytes, at most " << INT32_MAX
                    << " can be tokenized at once";
    return GC_BAD_ARGUMENT;
  }
  Segmenter segmenter(*this, scratch, sink, message);
  Status prepared = segmenter.prepare(bytes);
  if (prepared != GC_OK)
    return prepared;
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
      Status status = segmenter.run(input + plainBegin, at - plainBegin);
      if (status != GC_OK)
        return status;
      sink.put(match->piece);
      at += match->bytes;
      plainBegin = at;
    }
  }
  return segmenter.run(input + plainBegin, bytes - plainBegin);
}

} // namespace gcompile::runtime
