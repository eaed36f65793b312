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

// Heaps with the candidate on top that `before` puts first.
template <typename Before>
void siftDown(Candidate *heap, uint32_t count, uint32_t at, Before before) {
  Candidate moved = heap[at];
  for (uint32_t child; (child = 2 * at + 1) < count; at = child) {
    if (child + 1 < count && before(heap[child + 1], heap[child]))
      ++child;
    if (!before(heap[child], moved))
      break;
    heap[at] = heap[child];
  }
  heap[at] = moved;
}

bool isWorse(const Candidate &a, const Candidate &b) { return isBetter(b, a); }

// The largest logit; -infinity when none is a number. In lanes, so that it runs at vector speed.
float largestLogit(const float *logits, uint32_t count) {
  constexpr uint32_t lanes = 16;
  float best[lanes];
  for (float &lane : best)
    lane = -__builtin_inff();
  uint32_t i = 0;
  for (; i + lanes <= count; i += lanes)
    for (uint32_t lane = 0; lane < lanes; ++lane)
      best[lane] = logits[i + lane] > best[lane] ? logits[i + lane] : best[lane];
  for (; i < count; ++i)
    best[0] = logits[i] > best[0] ? logits[i] : best[0];
  for (float lane : best)
    best[0] = lane > best[0] ? lane : best[0];
  return best[0];
}

Status greedy(const SamplerInput &input, int32_t &token, Message &message) {
  float largest = largestLogit(input.logits, input.vocabulary);
  for (uint32_t i = 0; i < input.vocabulary; ++i)
    if (input.logits[i] == largest && !isSuppressed(input, i)) {
      token = int32_t(i);
      return GC_OK;
    }
  // Every best token is suppressed: look at the others one by one.
  Candidate best = {0, UINT32_MAX};
  for (uint32_t i = 0; i < input.vocabulary; ++i) {
    float logit = input.logits[i];
    bool isBest = best.token == UINT32_MAX ? logit == logit : logit > best.logit;
    if (isBest && !isSuppressed(input, i))
      best = {logit, i};
  }
  if (best.token == UINT32_MAX)
    return nothing(message);
  token = int32_t(best.token);
  return GC_OK;
}

// Takes a token out of candidates that are ordered by token.
uint32_t removeToken(Candidate *candidates, uint32_t count, uint32_t token) {
  uint32_t low = 0, high = count;
  while (low < high) {
    uint32_t middle = low + (high - low) / 2;
    if (candidates[middle].token < token)
      low = middle + 1;
    else
      high = middle;
  }
  if (low == count || candidates[low].token != token)
    return count;
  __builtin_memmove(candidates + low, candidates + low + 1, (count - low - 1) * sizeof(Candidate));
  return count - 1;
}

// The candidates: every token that may be chosen, or the best `most` of them, in no order.
uint32_t gather(const SamplerInput &input, uint32_t most, Candidate *candidates) {
  uint32_t count = 0;
  if (most == UINT32_MAX) {
    for (uint32_t i = 0; i < input.vocabulary; ++i)
      if (input.logits[i] == input.logits[i])
        candidates[count++] = {input.logits[i], i};
    for (uint32_t s = 0; s < input.suppressedCount; ++s)
      count = removeToken(candidates, count, input.suppressed[s]);
    return count;
  }
  for (uint32_t i = 0; i < input.vocabulary; ++i) {
    Candidate candidate = {input.logits[i], i};
    // While the list is full its top is the worst of it, and nearly all others are worse still.
    bool isFull = count == most;
    if (candidate.logit != candidate.logit || (isFull && !isBetter(candidate, candidates[0])) ||
        isSuppressed(input, i))
      continue;
    if (isFull) {
      candidates[0] = candidate;
      siftDown(candidates, count, 0, isWorse);
      continue;
    }
    candidates[count++] = candidate;
    if (count == most)
      for (uint32_t at = count / 2; at-- > 0;)
        siftDown(candidates, count, at, isWorse);
  }
  return count;
}

// Some logit is infinite: those of the largest share everything among them.
int32_t drawAmongEquals(const Candidate *candidates, uint32_t count, float best, double draw) {
  uint32_t equals = 0;
  for (uint32_t i = 0; i < count; ++i)
    equals += candidates[i].logit == best;
  uint32_t wanted = uint32_t(draw * equals);
  uint32_t i = 0;
  for (;; ++i)
    if (candidates[i].logit == best && wanted-- == 0)
      break;
  return int32_t(candidates[i].token);
}

// Sum of the weights, 16 partial sums: the same on every machine, and at vector speed.
double totalWeight(const Candidate *candidates, uint32_t count, double best, double inverse) {
  constexpr uint32_t lanes = 16;
  double sums[lanes] = {};
  uint32_t i = 0;
  for (; i + lanes <= count; i += lanes)
    for (uint32_t lane = 0; lane < lanes; ++lane)
      sums[lane] += exponential((double(candidates[i + lane].logit) - best) * inverse);
  for (; i < count; ++i)
    sums[i % lanes] += exponential((double(candidates[i].logit) - best) * inverse);
  double total = 0;
  for (double sum : sums)
    total += sum;
  return total;
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

  uint32_t most = sampling.top_k > 0 && uint32_t(sampling.top_k) < input.vocabulary
                      ? uint32_t(sampling.top_k)
                      : UINT32_MAX;
  uint32_t count = gather(input, most, candidates);
  if (!count)
    return nothing(message);
  float largest = candidates[0].logit;
  for (uint32_t i = 1; i < count; ++i)
    largest = candidates[i].logit > largest ? candidates[i].logit : largest;
  double draw = uniformDraw(sampling.seed, input.position);
  if (!__builtin_isfinite(largest)) {
    token = drawAmongEquals(candidates, count, largest, draw);
    return GC_OK;
  }
  double best = largest, inverse = 1.0 / double(sampling.temperature);
  auto weight = [&](const Candidate &c) { return exponential((double(c.logit) - best) * inverse); };
  double total = totalWeight(candidates, count, best, inverse);

  // top-p keeps the shortest list of best candidates whose share reaches it, at least one. They
  // are taken off a heap and end up at the end of the array, best last. Without top-p the order
  // does not matter: that of the array serves.
  uint32_t kept = count;
  if (sampling.top_p < 1) {
    for (uint32_t i = count / 2; i-- > 0;)
      siftDown(candidates, count, i, isBetter);
    double reached = 0, wanted = double(sampling.top_p) * total;
    uint32_t left = count;
    do {
      Candidate top = candidates[0];
      candidates[0] = candidates[--left];
      siftDown(candidates, left, 0, isBetter);
      candidates[left] = top;
      reached += weight(top);
    } while (left && reached < wanted);
    total = reached;
    kept = count - left;
  }
  double rest = draw * total;
  uint32_t chosen = count - 1; // of the best to the worst: from the end of the array
  for (uint32_t i = 0; i + 1 < kept; ++i, --chosen) {
    rest -= weight(candidates[chosen]);
    if (rest < 0)
      break;
  }
  token = int32_t(candidates[chosen].token);
  return GC_OK;
}

} // namespace gcompile::runtime
