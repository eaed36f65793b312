// A compiled model that is none: the three programs of an image, small enough to predict what they
// say.
//
// The cache holds the tokens. After token t at position p the likeliest token is (t + 1) mod
// vocabulary (logit 8, all others below 1); the others depend on every token in the cache, so a
// wrong cache, row, position or chunk shows. A table row must begin with its own number and the
// weights with MAGIC, or the logits are not numbers. Built without a C library into a flat image,
// as the compiler's images are.
#include "tests/unit/runtime/FakeImage.h"
#include "runtime/abi/gc_module.h"

static int rowIsRight(const gc_call *call, int64_t row) {
  if (*(const uint32_t *)call->weights != FAKE_WEIGHTS_MAGIC)
    return 0;
  if (!call->per_layer_table)
    return 1;
  const uint8_t *at =
      call->per_layer_table + (int64_t)call->per_layer_rows[row] * FAKE_TABLE_ROW_BYTES;
  for (int i = 0; i < FAKE_TABLE_ROW_BYTES; i += 4)
    if (*(const int32_t *)(at + i) != call->tokens[row])
      return 0;
  return 1;
}

static void fill(const gc_call *call) {
  int32_t *cache = (int32_t *)call->kv_cache;
  for (int64_t row = 0; row < call->rows; ++row)
    cache[call->position + row] = rowIsRight(call, row) ? call->tokens[row] : -1;
  call->arena[FAKE_ARENA_BYTES - 1] = 1;
}

// A task is 256 logits of one row.
static void logitsTask(const void *arguments, int64_t begin, int64_t end) {
  const gc_call *call = (const gc_call *)arguments;
  const int32_t *cache = (const int32_t *)call->kv_cache;
  for (int64_t task = begin; task < end; ++task) {
    int64_t row = task / FAKE_BLOCKS, block = task % FAKE_BLOCKS, position = call->position + row;
    uint32_t hash = 2166136261u;
    int wrong = 0;
    for (int64_t i = 0; i <= position; ++i) {
      wrong |= cache[i] < 0;
      hash = (hash ^ (uint32_t)cache[i]) * 16777619u;
    }
    int32_t next = (cache[position] + 1) % FAKE_VOCABULARY;
    for (int64_t v = block * 256; v < (block + 1) * 256; ++v) {
      float logit = (float)((hash + (uint32_t)v * 2654435761u) >> 24) * 0.00390625f;
      call->logits[row * FAKE_VOCABULARY + v] = wrong       ? __builtin_nanf("")
                                                : v == next ? 8.0f
                                                            : logit;
    }
  }
}

__attribute__((section(".gc.prefill"))) void fakePrefill(const gc_env *env, const gc_call *call) {
  fill(call);
}

static void fillAndPredict(const gc_env *env, const gc_call *call) {
  fill(call);
  env->parallel_for(env->self, logitsTask, call, call->rows * FAKE_BLOCKS);
}

__attribute__((section(".gc.decode"))) void fakeDecode(const gc_env *env, const gc_call *call) {
  fillAndPredict(env, call);
}
__attribute__((section(".gc.score"))) void fakeScore(const gc_env *env, const gc_call *call) {
  fillAndPredict(env, call);
}
