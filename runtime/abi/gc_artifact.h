// The .gpk file: header, section table, and the fixed-size structures inside sections.
// Little-endian.
//
// Layout: gc_file_header, gc_section[section_count], then sections in file order. Sections start at
// multiples of 64 KiB. A section's checksum covers [offset, offset of the next section or end of
// file), so padding is covered too; header_checksum covers the header (with that field zero), the
// section table, and the padding up to the first section. The checksum is XXH64 with seed 0 (Yann
// Collet's published specification). Readers treat every field as hostile. See docs/decisions/0001
// and docs/artifact-format.md.
#pragma once

#include "runtime/abi/gc_module.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
  GC_FILE_VERSION = 2,         // the newest; files say the oldest that knows what is in them
  GC_FILE_VERSION_EXPERTS = 2, // from which on there may be a section of experts
  GC_SECTION_ALIGNMENT = 65536,
  GC_TENSOR_ALIGNMENT = 128,
  GC_MAX_SECTIONS = 64,
  GC_MAX_VARIANTS = 8,
  GC_MAX_STOP_TOKENS = 16,
  GC_MAX_SUPPRESSED_TOKENS = 64,
};

#define GC_FILE_MAGIC "GCPK\r\n\x1a\n" // 8 bytes; line ends show a file mangled by text transfer

typedef enum gc_section_kind {
  GC_SECTION_MANIFEST = 1,   // gc_manifest
  GC_SECTION_PLAN = 2,       // protobuf text
  GC_SECTION_PROFILE = 3,    // protobuf text
  GC_SECTION_PROVENANCE = 4, // protobuf text
  GC_SECTION_TOKENIZER = 5,  // gc_tokenizer.h
  GC_SECTION_TEMPLATE = 6,   // chat_template.jinja as found (information only)
  GC_SECTION_CODE = 7,       // one image; gc_code_variant.section names it
  GC_SECTION_WEIGHTS = 8,    // resident packed weights, in order of first use
  GC_SECTION_TABLE = 9,      // per-layer row table
  GC_SECTION_EXPERTS = 10,   // blocks of experts that stay on storage (docs/decisions/0012)
} gc_section_kind;

typedef struct gc_file_header {
  char magic[8];
  uint32_t version;    // at most GC_FILE_VERSION
  uint32_t endianness; // 0x01020304 as written by a little-endian machine
  uint64_t file_bytes;
  uint32_t section_count;
  uint32_t reserved;
  uint64_t header_checksum;
  uint64_t reserved2[3];
} gc_file_header;
GC_STATIC_ASSERT(sizeof(gc_file_header) == 64, "gc_file_header");

typedef struct gc_section {
  uint32_t kind; // gc_section_kind
  uint32_t reserved;
  uint64_t offset; // from the start of the file, multiple of GC_SECTION_ALIGNMENT
  uint64_t bytes;  // without padding
  uint64_t checksum;
} gc_section;
GC_STATIC_ASSERT(sizeof(gc_section) == 32, "gc_section");

// One compiled program of a variant.
typedef struct gc_program {
  uint64_t offset;      // of its first instruction in the image
  uint64_t arena_bytes; // scratch it needs
  uint64_t max_rows;
} gc_program;

// Instruction sets. A runtime picks the supported variant with the highest number of its own
// architecture.
typedef enum gc_isa {
  GC_ISA_X86_64_V3 = 100,   // AVX2, FMA, F16C
  GC_ISA_X86_64_VNNI = 110, // x86-64-v4 with AVX-512 VNNI
  GC_ISA_AARCH64_NEON = 200,
  GC_ISA_AARCH64_DOTPROD = 210,
  GC_ISA_AARCH64_I8MM = 220, // dotprod and i8mm
} gc_isa;

typedef struct gc_code_variant {
  uint32_t isa;     // gc_isa
  uint32_t section; // index into the section table
  gc_program prefill, decode, score;
} gc_code_variant;
GC_STATIC_ASSERT(sizeof(gc_code_variant) == 80, "gc_code_variant");

// How a conversation is rendered, as data (chat templates are reduced to this at compile time).
// Strings are zero-terminated.
typedef struct gc_turn_form {
  char start[32];             // "<bos>"
  char role_prefix[32];       // "<|turn>"
  char role_suffix[32];       // "\n"
  char turn_suffix[32];       // "<turn|>\n"
  char generation_prompt[64]; // "<|turn>model\n", with the empty thought channel where the template
                              // has it
  char user_role[16], model_role[16], system_role[16];
  uint32_t present; // 0: the checkpoint has no template that we can reduce
  uint32_t flags;   // GC_TURN_*
} gc_turn_form;

// What a form does besides plain turns. Thoughts, declarations, calls and results have one syntax
// in the whole family (runtime/host/ToolPrinter.cpp); templates differ in when they print them.
enum {
  GC_TURN_TRIMS = 1 << 0,                 // content loses white space at both ends
  GC_TURN_THINKING = 1 << 1,              // <|think|> in the system turn asks for thoughts
  GC_TURN_STRIPS_THOUGHTS = 1 << 2,       // thoughts inside of old model text vanish
  GC_TURN_TOOLS = 1 << 3,                 // declarations, calls, results
  GC_TURN_PRINTS_NULL = 1 << 4,           // null is printed so; otherwise as None
  GC_TURN_SKIPS_KEYS = 1 << 5,            // parameters named as schema keywords are left out
  GC_TURN_JOINS = 1 << 6,                 // model messages in a row share one header
  GC_TURN_JOINS_LINES = 1 << 7,           // and one turn, a line each
  GC_TURN_THOUGHTS = 1 << 8,              // of model turns after the last user turn are printed
  GC_TURN_THOUGHTS_OF_CALLS = 1 << 9,     // those of turns with calls alone
  GC_TURN_RESULT_OPENS_THOUGHT = 1 << 10, // thinking goes on after a result
};

enum { GC_TABLE_NONE = 0, GC_TABLE_MEMORY = 1, GC_TABLE_STORAGE = 2 };

typedef struct gc_manifest {
  char model[64];
  char target[64];
  uint32_t vocabulary;
  uint32_t context;       // positions
  uint64_t kv_bytes;      // of all caches
  uint64_t weights_bytes; // of the weights section
  // per-layer table
  uint32_t table_placement;  // GC_TABLE_*
  uint32_t table_cache_rows; // GC_TABLE_STORAGE: rows of the cache, at least the largest chunk
  uint64_t table_rows, table_row_bytes;
  uint32_t variant_count;
  uint32_t stop_token_count, suppressed_token_count;
  int32_t bos_token; // -1: none
  uint32_t stop_tokens[GC_MAX_STOP_TOKENS];
  uint32_t suppressed_tokens[GC_MAX_SUPPRESSED_TOKENS];
  // sampling defaults of the checkpoint
  float temperature; // 0: greedy
  float top_p;       // 1: off
  uint32_t top_k;    // 0: off
  uint32_t has_tokenizer;
  uint32_t pad_token; // replaces soft slots before lookups
  // experts on storage; zeros: there are none. The section holds expert_layers · experts_per_layer
  // blocks of equal size, a multiple of 4096 bytes
  uint32_t expert_cache_slots, expert_layers, experts_per_layer;
  gc_turn_form turns;
  gc_code_variant variants[GC_MAX_VARIANTS];
  // what the plan promised, in bytes; grun --bench reports the same categories as measured
  uint64_t planned_weights, planned_tables, planned_kv_cache, planned_activations, planned_encoders,
      planned_code, planned_runtime, planned_peak;
  double predicted_decode_tokens_per_second,
      predicted_prefill_tokens_per_second; // 0: not predicted
} gc_manifest;

#ifdef __cplusplus
}
#endif
