// Chooses the next token from logits: greedy, or temperature, top-k, top-p in this order, as the
// reference library does.
//
// Freestanding and deterministic: the same logits, parameters and position give the same token on
// every machine. Equal logits are ordered by id, the lower first. A logit that is not a number is
// never chosen.
#pragma once

#include "runtime/core/Status.h"

namespace gcompile::runtime {

struct Candidate {
  float logit;
  uint32_t token;
};

struct SamplerInput {
  const float *logits;
  uint32_t vocabulary;
  const uint32_t *suppressed;
  uint32_t suppressedCount;
  uint64_t position; // of the token to come
};

// The number of a draw in [0, 1): SplitMix64 (Steele, Lea, Flood 2014) of seed and position. There
// is no state to carry along.
double uniformDraw(uint64_t seed, uint64_t position);

// `candidates` has room for `vocabulary` entries; it is not touched when temperature is 0.
Status sample(const SamplerInput &input, const gc_sampling &sampling, Candidate *candidates,
              int32_t &token, Message &message);

} // namespace gcompile::runtime
