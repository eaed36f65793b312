// The checksum of .gpk files: XXH64 with seed 0, written from Yann Collet's published
// specification. Streaming, C11 and C++, no library calls (works freestanding), independent of byte
// order. It finds accidental damage; it is no defence against forgery.
//
//   gc_checksum_state state;
//   gc_checksum_begin(&state);
//   gc_checksum_update(&state, data, bytes);   // any number of times, any split
//   uint64_t sum = gc_checksum_finish(&state); // may be called again, and followed by more updates
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct gc_checksum_state {
  uint64_t lanes[4];
  uint64_t total_bytes;
  uint32_t buffered; // bytes of an unfinished stripe of 32
  uint8_t buffer[32];
} gc_checksum_state;

#define GC_CHECKSUM_PRIME1 0x9E3779B185EBCA87ull
#define GC_CHECKSUM_PRIME2 0xC2B2AE3D27D4EB4Full
#define GC_CHECKSUM_PRIME3 0x165667B19E3779F9ull
#define GC_CHECKSUM_PRIME4 0x85EBCA77C2B2AE63ull
#define GC_CHECKSUM_PRIME5 0x27D4EB2F165667C5ull

static inline uint64_t gc_checksum_rotate(uint64_t value, unsigned count) {
  return value << count | value >> (64 - count);
}

static inline uint64_t gc_checksum_load32(const uint8_t *at) {
  return (uint64_t)at[0] | (uint64_t)at[1] << 8 | (uint64_t)at[2] << 16 | (uint64_t)at[3] << 24;
}

static inline uint64_t gc_checksum_load64(const uint8_t *at) {
  return gc_checksum_load32(at) | gc_checksum_load32(at + 4) << 32;
}

static inline uint64_t gc_checksum_round(uint64_t lane, uint64_t input) {
  return gc_checksum_rotate(lane + input * GC_CHECKSUM_PRIME2, 31) * GC_CHECKSUM_PRIME1;
}

static inline uint64_t gc_checksum_merge(uint64_t sum, uint64_t lane) {
  return (sum ^ gc_checksum_round(0, lane)) * GC_CHECKSUM_PRIME1 + GC_CHECKSUM_PRIME4;
}

static inline void gc_checksum_begin(gc_checksum_state *state) {
  state->lanes[0] = GC_CHECKSUM_PRIME1 + GC_CHECKSUM_PRIME2;
  state->lanes[1] = GC_CHECKSUM_PRIME2;
  state->lanes[2] = 0;
  state->lanes[3] = 0 - GC_CHECKSUM_PRIME1;
  state->total_bytes = 0;
  state->buffered = 0;
}

// Whole stripes of 32 bytes.
static inline void gc_checksum_stripes(gc_checksum_state *state, const uint8_t *at,
                                       size_t stripes) {
  uint64_t a = state->lanes[0], b = state->lanes[1], c = state->lanes[2], d = state->lanes[3];
  for (; stripes; --stripes, at += 32) {
    a = gc_checksum_round(a, gc_checksum_load64(at));
    b = gc_checksum_round(b, gc_checksum_load64(at + 8));
    c = gc_checksum_round(c, gc_checksum_load64(at + 16));
    d = gc_checksum_round(d, gc_checksum_load64(at + 24));
  }
  state->lanes[0] = a;
  state->lanes[1] = b;
  state->lanes[2] = c;
  state->lanes[3] = d;
}

static inline void gc_checksum_update(gc_checksum_state *state, const void *data, size_t bytes) {
  const uint8_t *at = (const uint8_t *)data;
  state->total_bytes += bytes;
  if (state->buffered) {
    while (bytes && state->buffered < 32) {
      state->buffer[state->buffered++] = *at++;
      --bytes;
    }
    if (state->buffered < 32)
      return;
    gc_checksum_stripes(state, state->buffer, 1);
    state->buffered = 0;
  }
  gc_checksum_stripes(state, at, bytes / 32);
  at += bytes / 32 * 32;
  for (bytes %= 32; bytes; --bytes)
    state->buffer[state->buffered++] = *at++;
}

static inline uint64_t gc_checksum_finish(const gc_checksum_state *state) {
  const uint64_t *lanes = state->lanes;
  uint64_t sum = GC_CHECKSUM_PRIME5;
  if (state->total_bytes >= 32) {
    sum = gc_checksum_rotate(lanes[0], 1) + gc_checksum_rotate(lanes[1], 7) +
          gc_checksum_rotate(lanes[2], 12) + gc_checksum_rotate(lanes[3], 18);
    for (int i = 0; i < 4; ++i)
      sum = gc_checksum_merge(sum, lanes[i]);
  }
  sum += state->total_bytes;
  const uint8_t *at = state->buffer;
  uint32_t left = state->buffered;
  for (; left >= 8; left -= 8, at += 8)
    sum = gc_checksum_rotate(sum ^ gc_checksum_round(0, gc_checksum_load64(at)), 27) *
              GC_CHECKSUM_PRIME1 +
          GC_CHECKSUM_PRIME4;
  if (left >= 4) {
    sum = gc_checksum_rotate(sum ^ gc_checksum_load32(at) * GC_CHECKSUM_PRIME1, 23) *
              GC_CHECKSUM_PRIME2 +
          GC_CHECKSUM_PRIME3;
    left -= 4;
    at += 4;
  }
  for (; left; --left, ++at)
    sum = gc_checksum_rotate(sum ^ *at * GC_CHECKSUM_PRIME5, 11) * GC_CHECKSUM_PRIME1;
  sum = (sum ^ sum >> 33) * GC_CHECKSUM_PRIME2;
  sum = (sum ^ sum >> 29) * GC_CHECKSUM_PRIME3;
  return sum ^ sum >> 32;
}

static inline uint64_t gc_checksum(const void *data, size_t bytes) {
  gc_checksum_state state;
  gc_checksum_begin(&state);
  gc_checksum_update(&state, data, bytes);
  return gc_checksum_finish(&state);
}

#ifdef __cplusplus
}
#endif
