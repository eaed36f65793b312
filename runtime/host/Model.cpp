// gc_open and what can be asked of a model without running it.
#include "runtime/host/Model.h"

#include "runtime/host/Memory.h"
#include "runtime/host/Processor.h"

#include <stdlib.h>
#include <string.h>

#include <new>

using namespace gcompile::runtime;

namespace gcompile::runtime {

Message &threadMessage() {
  static constinit thread_local Message message;
  return message;
}

} // namespace gcompile::runtime

namespace {

// Puts the file's name in front of the thread's message.
gc_status nameFile(gc_status status, const char *path) {
  Message inner = threadMessage();
  return fail(status, "'", path, "': ", inner.c_str());
}

gc_status chooseVariant(const gc_manifest &manifest, const char *wanted,
                        const gc_code_variant *&chosen) {
  const char *source = "options.isa";
  if (!wanted) {
    wanted = getenv("GCOMPILE_ISA");
    source = "GCOMPILE_ISA";
    if (wanted && !*wanted)
      wanted = nullptr;
  }
  uint32_t isa = wanted ? parseIsa(wanted) : 0;
  if (wanted && !isa)
    return fail(GC_BAD_ARGUMENT, source, " is '", wanted,
                "', expected v3, vnni, neon, dotprod or i8mm");
  if (wanted && !isSupported(isa))
    return fail(GC_UNSUPPORTED, "this processor cannot run '", wanted, "' (", source, ")");
  chosen = nullptr;
  for (uint32_t i = 0; i < manifest.variant_count; ++i) {
    const gc_code_variant &variant = manifest.variants[i];
    if ((!wanted || variant.isa == isa) && isSupported(variant.isa) &&
        (!chosen || variant.isa > chosen->isa))
      chosen = &variant;
  }
  if (chosen)
    return GC_OK;
  Message &message = threadMessage().clear();
  message << "the file has no code that this processor can run";
  if (wanted)
    message << " for '" << wanted << "'";
  message << "; it has";
  for (uint32_t i = 0; i < manifest.variant_count; ++i)
    message << (i ? ", " : " ") << isaName(manifest.variants[i].isa);
  return GC_UNSUPPORTED;
}

gc_status openTokenizer(gc_model &model) {
  const Artifact &a = model.artifact;
  if (!a.manifest->has_tokenizer)
    return GC_OK;
  gc_status status = Tokenizer::open(a.data + a.tokenizer->offset, a.tokenizer->bytes,
                                     model.tokenizer, threadMessage());
  if (status == GC_OK && model.tokenizer.pieceCount() > a.manifest->vocabulary)
    return fail(GC_BAD_FILE, "the tokenizer has ", model.tokenizer.pieceCount(),
                " pieces, the model's vocabulary ", a.manifest->vocabulary);
  return status;
}

gc_status openModel(gc_model &model, const char *path, const char *isa) {
  gc_status status = model.file.open(path, threadMessage());
  if (status == GC_OK)
    status = readArtifact(model.file.data(), model.file.bytes(), Checksums::Structure,
                          model.artifact, threadMessage());
  if (status == GC_OK)
    status = openTokenizer(model);
  if (status == GC_OK)
    status = chooseVariant(model.manifest(), isa, model.variant);
  if (status != GC_OK)
    return status;
  const Artifact &a = model.artifact;
  const gc_section &code = a.sections[model.variant->section];
  status = model.file.mapCode(code.offset, code.bytes, model.code, threadMessage());
  if (status != GC_OK)
    return status;
  model.codeBytes = code.bytes;
  // Checking touched everything but weights and tables; only what is used from now on shall count
  // as resident.
  for (uint32_t i = 0; i < a.sectionCount; ++i)
    if (&a.sections[i] != a.weights && &a.sections[i] != a.table && &a.sections[i] != a.experts)
      dropPages(a.data + a.sections[i].offset, coveredBytes(a, i));
  adviseLargePages(a.data + a.weights->offset, a.weights->bytes);
  if (a.table && a.manifest->table_placement == GC_TABLE_STORAGE)
    adviseRandom(a.data + a.table->offset, coveredBytes(a, uint32_t(a.table - a.sections)));
  if (a.table && a.manifest->table_placement == GC_TABLE_MEMORY)
    readAhead(a.data + a.table->offset, a.table->bytes);
  return GC_OK;
}

} // namespace

const char *gc_status_text(gc_status status) {
  switch (status) {
  case GC_OK:
    return "done";
  case GC_BAD_ARGUMENT:
    return "an argument makes no sense";
  case GC_CANNOT_READ:
    return "the file cannot be opened or read";
  case GC_BAD_FILE:
    return "the file is no .gpk or is damaged";
  case GC_NEWER_VERSION:
    return "the file was written by a newer gcompile";
  case GC_UNSUPPORTED:
    return "the file has no code for this processor";
  case GC_NO_MEMORY:
    return "there is not enough memory";
  case GC_CONTEXT_FULL:
    return "the context has no room for more tokens";
  case GC_NO_TOKENIZER:
    return "the model was compiled without a tokenizer";
  case GC_NO_CHAT:
    return "the model has no chat template";
  case GC_CANCELLED:
    return "the caller asked to stop";
  case GC_NOTHING_TO_SAMPLE:
    return "no token can be chosen";
  }
  return "unknown status";
}

const char *gc_last_message(void) { return threadMessage().c_str(); }

gc_status gc_open(const char *path, const gc_open_options *options, gc_model **model) {
  if (!path || !model)
    return fail(GC_BAD_ARGUMENT, "gc_open: path and model must not be null");
  void *memory = malloc(sizeof(gc_model));
  if (!memory)
    return fail(GC_NO_MEMORY, "no memory for a model's description");
  auto *opened = new (memory) gc_model;
  gc_status status = openModel(*opened, path, options ? options->isa : nullptr);
  if (status != GC_OK) {
    gc_close(opened);
    return nameFile(status, path);
  }
  *model = opened;
  return GC_OK;
}

void gc_close(gc_model *model) {
  if (!model)
    return;
  model->~gc_model();
  free(model);
}

gc_status gc_verify(const char *path) {
  if (!path)
    return fail(GC_BAD_ARGUMENT, "gc_verify: path must not be null");
  gc_model model;
  gc_status status = model.file.open(path, threadMessage());
  if (status == GC_OK)
    status = readArtifact(model.file.data(), model.file.bytes(), Checksums::Everything,
                          model.artifact, threadMessage());
  if (status == GC_OK)
    status = openTokenizer(model);
  return status == GC_OK ? GC_OK : nameFile(status, path);
}

void gc_get_model_info(const gc_model *model, gc_model_info *info) {
  const gc_manifest &m = model->manifest();
  *info = {};
  info->name = m.model;
  info->target = m.target;
  info->isa = isaName(model->variant->isa);
  info->vocabulary = int32_t(m.vocabulary);
  info->context = int32_t(m.context);
  info->prefill_rows = int32_t(model->variant->prefill.max_rows);
  info->score_rows = int32_t(model->variant->score.max_rows);
  info->has_tokenizer = m.has_tokenizer != 0;
  info->has_chat = m.has_tokenizer && m.turns.present;
  info->bos_token = m.bos_token;
  info->stop_tokens = m.stop_tokens;
  info->stop_token_count = m.stop_token_count;
  info->suppressed_tokens = m.suppressed_tokens;
  info->suppressed_token_count = m.suppressed_token_count;
  info->temperature = m.temperature;
  info->top_p = m.top_p;
  info->top_k = int32_t(m.top_k);
  info->planned_weights = m.planned_weights;
  info->planned_tables = m.planned_tables;
  info->planned_kv_cache = m.planned_kv_cache;
  info->planned_activations = m.planned_activations;
  info->planned_encoders = m.planned_encoders;
  info->planned_code = m.planned_code;
  info->planned_runtime = m.planned_runtime;
  info->planned_peak = m.planned_peak;
  info->predicted_decode_tokens_per_second = m.predicted_decode_tokens_per_second;
  info->predicted_prefill_tokens_per_second = m.predicted_prefill_tokens_per_second;
  info->weights_bytes = m.weights_bytes;
  info->table_bytes = model->artifact.table ? m.table_rows * m.table_row_bytes : 0;
  info->file_bytes = model->artifact.bytes;
  info->table_on_storage = m.table_placement == GC_TABLE_STORAGE;
  info->expert_cache_slots = m.expert_cache_slots;
  info->experts_on_storage = uint64_t(m.expert_layers) * m.experts_per_layer;
  info->experts_bytes = model->artifact.experts ? model->artifact.experts->bytes : 0;
}
