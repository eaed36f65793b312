#include "runtime/core/Sampler.h"

#include "runtime/core/Exponential.h"

namespace gcompile::runtime {
namespace {

bool isSuppressed(const SamplerInput &input, uint32_t token) {
  for (uint32_t i = 0; i < input.suppressedCount; ++i)
    if (input.suppressed[i] == token)
      return true;
  return false;
}

Status nothing(Message &message) {
  message.clear() << "no token can be chosen: every logit is suppressed or not a number";
  return GC_NOTHING_TO_SAMPLE;
}

bool isBetter(const Candidate &a, const Candidate &b) {
  return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
}

void siftDown(Candidate *heap, uint32_t count, uint32_t at) {
  Candidate moved = heap[at];
  for (uint32_t child; (child = 2 * at + 1) < count; at = child) {
    if (child + 1 < count && isBetter(heap[child + 1], heap[child]))
      ++child;
    if (!isBetter(heap[child], moved))
      break;
    heap[at] = heap[child];
  }
  heap[at] = moved;
}

// Moves the best candidate to the end of the heap, which shrinks by one.
void popBest(Candidate *heap, uint32_t &count) {
  Candidate best = heap[0];
  heap[0] = heap[--count];
  heap[count] = best;
  if (count)
    siftDown(heap, count, 0);
}

Status greedy(const SamplerInput &input, int32_t &token, Message &message) {
  Candidate best = {0, UINT32_MAX};
  for (uint32_t i = 0; i < input.vocabulary; ++i) {
    float logit = input.logits[i];
    if (!(best.token == UINT32_MAX ? logit == logit : logit > best.logit) || isSuppressed(input, i))
      continue;
    best = {logit, i};
  }
  if (best.token == UINT32_MAX)
    return nothing(message);
  token = int32_t(best.token);
  return GC_OK;
}

} // namespace

double uniformDraw(uint64_t seed, uint64_t position) {
  uint64_t z = seed * 0xD1342543DE82EF95u + (position + 1) * 0x9E3779B97F4A7C15u;
  for (int round = 0; round < 2;
       ++round) { // twice: neighbouring seeds and positions must not correlate
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    z ^= z >> 31;
  }
  return double(z >> 11) * 0x1p-53;
}

Status sample(const SamplerInput &input, const gc_sampling &sampling, Candidate *candidates,
              int32_t &token, Message &message) {
  if (!(sampling.temperature >= 0) || !__builtin_isfinite(sampling.temperature) ||
      !(sampling.top_p >= 0 && sampling.top_p <= 1) || sampling.top_k < 0) {
    message.clear() << "sampling parameters are out of range: temperature at least 0, top-p 0 to "
                       "1, top-k at least 0";
    return GC_BAD_ARGUMENT;
  }
  if (sampling.temperature == 0 || sampling.top_k == 1)
    return greedy(input, token, message);

  uint32_t count = 0;
  for (uint32_t i = 0; i < input.vocabulary; ++i)
    if (input.logits[i] == input.logits[i])
      candidates[count++] = {input.logits[i], i};
  for (uint32_t s = 0; s < input.suppressedCount; ++s) {
    // Candidates are still ordered by token here: find by halving, then close the gap.
    uint32_t low = 0, high = count;
    while (low < high) {
      uint32_t middle = low + (high - low) / 2;
      if (candidates[middle].token < input.suppressed[s])
        low = middle + 1;
      else
        high = middle;
    }
    if (low < count && candidates[low].token == input.suppressed[s]) {
      __builtin_memmove(candidates + low, candidates + low + 1,
                        (count - low - 1) * sizeof(Candidate));
      --count;
    }
  }
  if (!count)
    return nothing(message);
  for (uint32_t i = count / 2; i-- > 0;)
    siftDown(candidates, count, i);

  // The best end up at the end of the array, best last: candidates[all - 1], candidates[all - 2], …
  uint32_t all = count, heapCount = count;
  double best = candidates[0].logit, inverse = 1.0 / double(sampling.temperature);
  auto weight = [&](const Candidate &c) {
    double difference = double(c.logit) - best; // inf - inf: both are best
    return difference == 0 || difference != difference ? 1.0 : exponential(difference * inverse);
  };
  uint32_t kept =
      sampling.top_k > 0 && uint32_t(sampling.top_k) < all ? uint32_t(sampling.top_k) : all;
  double total = 0;
  if (kept < all) {
    for (uint32_t i = 0; i < kept; ++i) {
      popBest(candidates, heapCount);
      total += weight(candidates[all - 1 - i]);
    }
  } else {
    for (uint32_t i = 0; i < all; ++i)
      total += weight(candidates[i]);
  }
  uint32_t popped = all - heapCount;
  auto ranked = [&](uint32_t i) -> const Candidate & {
    if (i >= popped) {
      popBest(candidates, heapCount);
      ++popped;
    }
    return candidates[all - 1 - i];
  };
  // top-p keeps the shortest list of best candidates whose share reaches it, at least one.
  double keptTotal = total;
  if (sampling.top_p < 1) {
    double reached = 0, wanted = double(sampling.top_p) * total;
    uint32_t i = 0;
    do
      reached += weight(ranked(i++));
    while (i < kept && reached < wanted);
    kept = i;
    keptTotal = reached;
  }
  double draw = uniformDraw(sampling.seed, input.position) * keptTotal;
  uint32_t i = 0;
  for (; i + 1 < kept; ++i) {
    draw -= weight(ranked(i));
    if (draw < 0)
      break;
  }
  token = int32_t(ranked(i).token);
  return GC_OK;
}

} // namespace gcompile::runtime
