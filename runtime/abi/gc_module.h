// The contract between compiled code and its caller: an environment of services, one call
// structure, task functions.
//
// Compiled programs live in a position-independent image without relocations; they are found by
// byte offset (gc_code_variant in gc_artifact.h) and called as gc_program_fn. See
// docs/decisions/0001.
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#define GC_STATIC_ASSERT(condition, text) static_assert(condition, text)
#else
#define GC_STATIC_ASSERT(condition, text) _Static_assert(condition, text)
#endif

enum { GC_MODULE_VERSION = 1 };

// Runs tasks [begin, end). `arguments` is owned by the caller of parallel_for and outlives the
// call.
typedef void (*gc_task_fn)(const void *arguments, int64_t begin, int64_t end);

typedef struct gc_env {
  uint32_t version; // GC_MODULE_VERSION
  uint32_t reserved;
  void *self; // passed back to the functions below
  // Calls `task` on disjoint ranges that cover [0, tasks); returns when all are done.
  void (*parallel_for)(void *self, gc_task_fn task, const void *arguments, int64_t tasks);
  // Only programs of files of version 2 know these two (docs/decisions/0012).
  void *experts; // passed back to fetch_experts
  // Group g of a layer's `groups` is not empty when starts[g] < starts[g + 1]: expert chosen[g] is
  // then made resident and stays so until the next call, and slots[g] is set to its slot of
  // gc_call.expert_slots; to 0 for other groups. Reads that fail are told after the program.
  void (*fetch_experts)(void *experts, int64_t layer, int64_t groups, const int32_t *starts,
                        const int32_t *chosen, int32_t *slots);
} gc_env;

GC_STATIC_ASSERT(offsetof(gc_env, self) == 8, "gc_env.self");
GC_STATIC_ASSERT(offsetof(gc_env, parallel_for) == 16, "gc_env.parallel_for");
GC_STATIC_ASSERT(offsetof(gc_env, experts) == 24, "gc_env.experts");
GC_STATIC_ASSERT(offsetof(gc_env, fetch_experts) == 32, "gc_env.fetch_experts");

// What one run of a program reads and writes. All pointers are 128-byte aligned, except row indices
// and logits (4).
typedef struct gc_call {
  const uint8_t *weights;         // resident weights section
  const uint8_t *per_layer_table; // PLE rows: the table itself, or the row cache; may be null when
                                  // the model has none
  const int32_t *tokens;          // [rows] rows of the embedding
  const int32_t *per_layer_rows;  // [rows] rows or cache slots of per_layer_table
  uint8_t *kv_cache;              // all caches; zero before the first call
  uint8_t *arena;                 // scratch, gc_program.arena_bytes
  float *logits;                  // [rows][vocabulary]; null for prefill
  int64_t rows;                   // 1 … gc_program.max_rows
  int64_t position;               // absolute position of row 0; position + rows <= context
  const int32_t *spans;           // [rows][2] first and last position of the image that a row is
                                  // part of, its own twice for text; read only by programs of
                                  // models whose images see themselves (docs/decisions/0016)
  uint8_t *expert_slots;          // the cache of experts on storage; null without one (version 2)
} gc_call;

GC_STATIC_ASSERT(offsetof(gc_call, per_layer_table) == 8, "gc_call.per_layer_table");
GC_STATIC_ASSERT(offsetof(gc_call, tokens) == 16, "gc_call.tokens");
GC_STATIC_ASSERT(offsetof(gc_call, per_layer_rows) == 24, "gc_call.per_layer_rows");
GC_STATIC_ASSERT(offsetof(gc_call, kv_cache) == 32, "gc_call.kv_cache");
GC_STATIC_ASSERT(offsetof(gc_call, arena) == 40, "gc_call.arena");
GC_STATIC_ASSERT(offsetof(gc_call, logits) == 48, "gc_call.logits");
GC_STATIC_ASSERT(offsetof(gc_call, rows) == 56, "gc_call.rows");
GC_STATIC_ASSERT(offsetof(gc_call, position) == 64, "gc_call.position");
GC_STATIC_ASSERT(offsetof(gc_call, spans) == 72, "gc_call.spans");
GC_STATIC_ASSERT(offsetof(gc_call, expert_slots) == 80, "gc_call.expert_slots");

typedef void (*gc_program_fn)(const gc_env *env, const gc_call *call);

#ifdef __cplusplus
}
#endif
