// Tokens to text: byte tokens are held back until their run ends.
#include "runtime/core/Tokenizer.h"

#include "runtime/core/Utf8.h"

namespace gcompile::runtime {
namespace {

uint64_t putReplacement(char *out) {
  __builtin_memcpy(out, "\xEF\xBF\xBD", 3);
  return 3;
}

} // namespace

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

uint64_t Tokenizer::decodeBytes(uint32_t piece, Specials specials, char *out) const {
  gc_text_state nothing = {};
  if ((kinds[piece] & 0xFF) != GC_PIECE_BYTE)
    return decode(nothing, piece, specials, out);
  *out = char(kinds[piece] >> 8);
  return 1;
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
