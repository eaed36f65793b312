/* gcompile's runtime: opens a compiled model (.gpk) and runs it. C11; the C++ wrapper is
 * gcompile/runtime.hpp.
 *
 * Units. Sizes are bytes, times seconds, tokens are ids (int32_t, 0 … vocabulary - 1), positions
 * count tokens from 0. Logits are float32 after the model's soft cap, one per vocabulary entry.
 * Errors. Every function that can fail returns gc_status; GC_OK is 0. gc_last_message() then has
 * one line for people, of this thread's last failure. A failed call changes nothing, unless its
 * comment says otherwise. Ownership. What a gc_…_create or gc_open returns is yours until the
 * matching destroy or close. Close a model after its sessions. Pointers returned by gc_logits
 * belong to the session and hold until its next call. Threads. A model may be used by many threads
 * at once. A session is used by one thread at a time; each has its own worker threads. Trust. Data
 * in a .gpk is checked before use; its code is run as it is, as any program is.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define GC_RUNTIME_VERSION "0.1.0"

typedef enum gc_status {
  GC_OK = 0,
  GC_BAD_ARGUMENT = 1,       /* a parameter makes no sense: null, out of range, an unknown token */
  GC_CANNOT_READ = 2,        /* the operating system would not open, read or map the file */
  GC_BAD_FILE = 3,           /* not a .gpk, cut short, or damaged */
  GC_NEWER_VERSION = 4,      /* written by a newer gcompile */
  GC_UNSUPPORTED = 5,        /* no code for this processor in the file */
  GC_NO_MEMORY = 6,          /* the operating system has no memory for it */
  GC_CONTEXT_FULL = 7,       /* more tokens than the context has room for */
  GC_NO_TOKENIZER = 8,       /* the model was compiled without one */
  GC_NO_CHAT = 9,            /* the model has no chat template that could be compiled */
  GC_CANCELLED = 10,         /* should_stop said so */
  GC_NOTHING_TO_SAMPLE = 11, /* every token is suppressed or not a number */
} gc_status;

typedef struct gc_model gc_model;
typedef struct gc_session gc_session;

const char *gc_status_text(gc_status status); /* one sentence about the code; never null */
const char *gc_last_message(void);            /* of this thread; "" before the first failure */

/* ---- models ---- */

typedef struct gc_open_options {
  const char *isa; /* "v3" "vnni" "neon" "dotprod" "i8mm": use this code; null: the best that runs
                      here ($GCOMPILE_ISA is looked at first) */
} gc_open_options;

/* Maps the file and checks its structure and the checksums of everything but weights and tables.
 * `options` may be null. */
gc_status gc_open(const char *path, const gc_open_options *options, gc_model **model);
void gc_close(gc_model *model); /* null is fine */

/* Reads the whole file and checks every byte of it. Needs no processor support. */
gc_status gc_verify(const char *path);

/* What the model is and what its plan promised. Strings belong to the model. */
typedef struct gc_model_info {
  const char *name, *target, *isa;
  int32_t vocabulary, context;
  int32_t prefill_rows, score_rows; /* tokens done at once */
  int32_t has_tokenizer, has_chat;  /* 0 or 1 */
  int32_t bos_token;                /* -1: none */
  const uint32_t *stop_tokens, *suppressed_tokens;
  size_t stop_token_count, suppressed_token_count;
  float temperature, top_p; /* sampling defaults of the checkpoint */
  int32_t top_k;
  /* planned memory, bytes */
  uint64_t planned_weights, planned_tables, planned_kv_cache, planned_activations, planned_encoders,
      planned_code, planned_runtime, planned_peak;
  double predicted_decode_tokens_per_second,
      predicted_prefill_tokens_per_second; /* 0: not predicted */
  uint64_t weights_bytes, table_bytes, file_bytes;
  int32_t
      table_on_storage; /* 1: the per-layer table stays in the file, read through a cache of rows */
  /* experts that stay in the file: slots of their cache, how many there are, and their bytes in the
   * file; 0: none do */
  uint64_t expert_cache_slots, experts_on_storage, experts_bytes;
} gc_model_info;

void gc_get_model_info(const gc_model *model, gc_model_info *info);

/* ---- text ---- */

enum {
  GC_TEXT_PLAIN = 0,
  GC_TEXT_SPECIALS = 1, /* recognise special tokens such as <bos> in the text */
  GC_TEXT_BOS = 2,      /* put <bos> in front, unless the tokens begin with it already */
};

/* Writes at most `capacity` tokens to `tokens` (may be null when capacity is 0) and the number
 * there are to `count`. */
gc_status gc_tokenize(const gc_model *model, const char *text, size_t bytes, uint32_t flags,
                      int32_t *tokens, size_t capacity, size_t *count);

/* Turns tokens into text piece by piece. Byte tokens are held back until the run of them ends (or
 * 60 bytes are there), so that no character is ever split; as in the reference library a run that
 * is UTF-8 becomes text, of any other each byte becomes U+FFFD. What comes out is always valid
 * UTF-8. Zero the structure to begin a text. */
typedef struct gc_text_state {
  uint8_t pending[60];
  uint32_t pending_bytes;
} gc_text_state;

enum {
  GC_TEXT_SHOW_SPECIALS = 1,
  GC_TEXT_BYTES = 2, /* each byte token is its byte, at once: UTF-8 only if the text was */
};

/* Appends the text of `token` to `out` (capacity bytes, at least gc_longest_piece) and sets
 * `bytes`. Token -1 ends the text: what was held back comes out. Special tokens have no text unless
 * GC_TEXT_SHOW_SPECIALS is set. */
gc_status gc_detokenize(const gc_model *model, gc_text_state *state, int32_t token, uint32_t flags,
                        char *out, size_t capacity, size_t *bytes);
size_t gc_longest_piece(const gc_model *model); /* capacity that any one token needs */

typedef enum gc_role {
  GC_ROLE_SYSTEM = 0,
  GC_ROLE_USER = 1,
  GC_ROLE_MODEL = 2,
  GC_ROLE_TOOL = 3, /* the result of a call: follows the model's message that has it */
} gc_role;

/* Special tokens are not recognised in what a message says: it cannot end its own turn. */
typedef struct gc_message {
  gc_role role;
  const char *text;
  size_t bytes;
  /* Of the model, or null: what it thought, and a JSON array of its calls, each
   * {"name": …, "arguments": {…}} or {"function": {the same}}. */
  const char *thought;
  size_t thought_bytes;
  const char *calls;
  size_t calls_bytes;
  /* Of a tool: its name (null: "unknown"); text_is_json 1: the text is a JSON value, 0: it is a
   * string. */
  const char *name;
  size_t name_bytes;
  int32_t text_is_json;
} gc_message;

enum {
  GC_CHAT_START = 1,              /* begin with <bos> and the system turn */
  GC_CHAT_END_TURN = 2,           /* first end the model's turn that stands open in the session */
  GC_CHAT_GENERATE = 4,           /* end with the model's turn opened */
  GC_CHAT_THINK = 8,              /* ask for thoughts before the answer */
  GC_CHAT_PRESERVE_THOUGHTS = 16, /* keep those of earlier turns with calls */
  GC_CHAT_ALL = 31,
};

typedef struct gc_chat {
  const gc_message *messages;
  size_t message_count;
  const char *tools; /* JSON array of declarations, each {"function": {"name": …, "description": …,
                        "parameters": JSON schema}} or the function itself; null: none */
  size_t tools_bytes;
  uint32_t flags; /* GC_CHAT_* */
} gc_chat;

/* The tokens of a conversation, or of the next part of one, in the model's own form, as its
 * template prints it. Counts as gc_tokenize does. */
gc_status gc_chat_tokens(const gc_model *model, const gc_chat *chat, int32_t *tokens,
                         size_t capacity, size_t *count);
/* The same as text: writes at most `capacity` bytes to `text` (may be null when capacity is 0) and
 * the number there are to `bytes`. */
gc_status gc_chat_text(const gc_model *model, const gc_chat *chat, char *text, size_t capacity,
                       size_t *bytes);

/* An answer taken apart, as a message in JSON: {"role": "assistant", "content": …} and, where there
 * are some, "reasoning" and "tool_calls", each {"type": "function", "function": {"name": …,
 * "arguments": {…}}}. A call that cannot be read has null for arguments, and "error" and "text"
 * beside the function. `prompt` is what the answer follows (it may have opened a thought); may be
 * null with a count of 0. Writes and counts bytes as gc_chat_text does. */
gc_status gc_answer(const gc_model *model, const int32_t *prompt, size_t prompt_count,
                    const int32_t *tokens, size_t token_count, char *json, size_t capacity,
                    size_t *bytes);

/* ---- sessions ---- */

typedef struct gc_session_options {
  int32_t threads; /* 0: as many as this process may use (affinity and cgroup quota) */
  int (*should_stop)(
      void *user); /* asked between chunks; not 0 ends the call with GC_CANCELLED. May be null */
  void *user;
} gc_session_options;

gc_status gc_session_create(const gc_model *model, const gc_session_options *options,
                            gc_session **session);
void gc_session_destroy(gc_session *session); /* null is fine */
void gc_session_reset(gc_session *session);   /* position 0; memory is kept */
/* Makes caches, scratch and tables resident now instead of at first use, as they will be when the
 * context is full. */
void gc_session_commit(gc_session *session);

int32_t gc_session_threads(const gc_session *session);
int32_t gc_position(const gc_session *session); /* tokens taken in so far */

/* Appends tokens; afterwards gc_logits is what follows the last of them. On GC_CANCELLED the chunks
 * that were done stay. */
gc_status gc_prefill(gc_session *session, const int32_t *tokens, size_t count);
/* Appends tokens and computes no logits: cheaper when nothing is asked of them. */
gc_status gc_append(gc_session *session, const int32_t *tokens, size_t count);
/* Appends one token. */
gc_status gc_decode(gc_session *session, int32_t token);
/* Of the last token; null when the last call computed none. */
const float *gc_logits(const gc_session *session);

/* Appends tokens and hands over the logits after each of them, in order. `position` is that of the
 * token; `logits` holds for the call. Not 0 from `row` ends the call with GC_CANCELLED. The scratch
 * memory this needs is given back at the end. */
typedef int (*gc_score_row)(void *user, int32_t position, const float *logits);
gc_status gc_score(gc_session *session, const int32_t *tokens, size_t count, gc_score_row row,
                   void *user);

/* Appends tokens and sets losses[i], i < count - 1, to -ln P(tokens[i + 1] | tokens up to i), on
 * the session's threads. Perplexity is exp(mean). */
gc_status gc_score_losses(gc_session *session, const int32_t *tokens, size_t count, double *losses);

typedef struct gc_sampling {
  float temperature; /* 0: the most likely token */
  float top_p;       /* keep the likeliest tokens that have this share together; 1: all */
  int32_t top_k;     /* keep this many; 0: all */
  uint64_t seed;     /* the draw depends on seed and position alone, on every machine */
} gc_sampling;

void gc_default_sampling(const gc_model *model,
                         gc_sampling *sampling); /* of the checkpoint; seed 0 */
/* Chooses from gc_logits. Suppressed tokens and logits that are no number are never chosen. */
gc_status gc_sample(gc_session *session, const gc_sampling *sampling, int32_t *token);

/* ---- measured memory ---- */

/* Bytes resident in this process now, by the categories of the plan. Storage-resident tables count
 * as their row cache, experts on storage as theirs; mapped pages of the table itself are not part
 * of the process. `runtime` is what is resident and in no other category, and the page tables of
 * the process (which are not part of `resident`, but count against a memory limit). */
typedef struct gc_memory {
  uint64_t weights, tables, kv_cache, activations, encoders, code, runtime;
  uint64_t resident, peak_resident;
} gc_memory;

gc_status gc_get_memory(const gc_model *model, const gc_session *session,
                        gc_memory *memory); /* session may be null */

/* Experts on storage that programs of this session asked for so far, those of them that had to be
 * read from the file, and how long that took. Zeros: there are none. */
typedef struct gc_expert_reads {
  uint64_t asked, missed, bytes;
  double seconds;
} gc_expert_reads;

gc_status gc_get_expert_reads(const gc_session *session, gc_expert_reads *reads);

/* Bytes per second at which the session's threads read the weights with nothing else to do; best of
 * several passes. */
gc_status gc_read_bandwidth(gc_session *session, double *bytes_per_second);

#ifdef __cplusplus
}
#endif
