// Sessions: caches and scratch of one conversation, and the calls of the compiled programs.
#include "runtime/core/Exponential.h"
#include "runtime/core/Sampler.h"
#include "runtime/host/ExpertReader.h"
#include "runtime/host/Memory.h"
#include "runtime/host/Model.h"
#include "runtime/host/Processor.h"
#include "runtime/host/TableReader.h"
#include "runtime/host/ThreadPool.h"

#include <math.h>
#include <stdlib.h>
#include <time.h>

#include <new>

using namespace gcompile::runtime;

struct gc_session {
  const gc_model *model = nullptr;
  ThreadPool pool;
  gc_env env{};
  Buffer caches, arena, logits, candidates, slots;
  TableReader table;
  ExpertReader experts;
  int32_t position = 0;
  bool hasLogits = false;
  int (*shouldStop)(void *) = nullptr;
  void *user = nullptr;

  const gc_manifest &manifest() const { return model->manifest(); }
};

namespace {

uint64_t maximum(uint64_t a, uint64_t b) { return a > b ? a : b; }

gc_status createSession(gc_session &s, const gc_model *model, const gc_session_options &options) {
  const gc_manifest &m = model->manifest();
  const gc_code_variant &v = *model->variant;
  s.model = model;
  s.shouldStop = options.should_stop;
  s.user = options.user;
  Message &message = threadMessage();
  gc_status status = s.caches.allocate(m.kv_bytes, "the KV caches", message);
  if (status == GC_OK)
    status = s.arena.allocate(maximum(v.prefill.arena_bytes, v.decode.arena_bytes), "activations",
                              message);
  if (status == GC_OK)
    status = s.logits.allocate(uint64_t(m.vocabulary) * sizeof(float), "logits", message);
  if (status == GC_OK)
    status = s.slots.allocate(maximum(maximum(v.prefill.max_rows, v.score.max_rows), 1) *
                                  sizeof(int32_t),
                              "row slots", message);
  if (status == GC_OK)
    status = s.table.open(model->artifact, model->file.descriptor(), message);
  if (status != GC_OK)
    return status;
  s.pool.start(options.threads ? options.threads : allowedCpus());
  s.env = {GC_MODULE_VERSION, 0, &s.pool, ThreadPool::entry, &s.experts, ExpertReader::entry};
  return s.experts.open(model->artifact, model->file.descriptor(), s.pool, message);
}

gc_status checkTokens(const gc_session *s, const int32_t *tokens, size_t count,
                      const char *function) {
  if (!s || (!tokens && count))
    return fail(GC_BAD_ARGUMENT, function, ": session and tokens must not be null");
  if (!count)
    return fail(GC_BAD_ARGUMENT, function, ": there are no tokens");
  uint32_t vocabulary = s->manifest().vocabulary, context = s->manifest().context;
  if (count > context - uint32_t(s->position))
    return fail(GC_CONTEXT_FULL, uint64_t(count), " tokens do not fit: the context has ", context,
                " positions, ", s->position, " of them in use");
  for (size_t i = 0; i < count; ++i)
    if (tokens[i] < 0 || uint32_t(tokens[i]) >= vocabulary)
      return fail(GC_BAD_ARGUMENT, "token ", tokens[i], " is not in the vocabulary of ",
                  vocabulary);
  return GC_OK;
}

// One run of a program over `rows` tokens; `left` tokens in all are to come, for reading ahead.
gc_status runProgram(gc_session &s, const gc_program &program, const int32_t *tokens, uint64_t rows,
                     uint64_t left, uint8_t *arena, float *logits) {
  uint64_t ahead = left - rows < program.max_rows ? left - rows : program.max_rows;
  gc_status status =
      s.table.prepare(tokens, rows, tokens + rows, ahead, s.slots.as<int32_t>(), threadMessage());
  if (status != GC_OK)
    return status;
  gc_call call = {};
  call.weights = s.model->artifact.data + s.model->artifact.weights->offset;
  call.per_layer_table = s.table.base();
  call.tokens = tokens;
  call.per_layer_rows = s.slots.as<int32_t>();
  call.kv_cache = s.caches.data();
  call.arena = arena;
  call.logits = logits;
  call.rows = int64_t(rows);
  call.position = s.position;
  call.expert_slots = s.experts.base();
  auto function =
      reinterpret_cast<gc_program_fn>(reinterpret_cast<uintptr_t>(s.model->code + program.offset));
  function(&s.env, &call);
  status = s.experts.takeFailure(threadMessage());
  if (status == GC_OK)
    s.position += int32_t(rows); // what a failed call wrote behind it is written again
  return status;
}

bool isCancelled(const gc_session &s) { return s.shouldStop && s.shouldStop(s.user); }

gc_status cancelled() { return fail(GC_CANCELLED, "stopped by the caller"); }

gc_status fillCaches(gc_session &s, const int32_t *tokens, uint64_t count) {
  const gc_program &program = s.model->variant->prefill;
  for (uint64_t done = 0; done < count;) {
    if (isCancelled(s))
      return cancelled();
    uint64_t rows = count - done < program.max_rows ? count - done : program.max_rows;
    gc_status status =
        runProgram(s, program, tokens + done, rows, count - done, s.arena.data(), nullptr);
    if (status != GC_OK)
      return status;
    done += rows;
  }
  return GC_OK;
}

gc_status decodeOne(gc_session &s, int32_t token) {
  gc_status status =
      runProgram(s, s.model->variant->decode, &token, 1, 1, s.arena.data(), s.logits.as<float>());
  s.hasLogits = status == GC_OK;
  return status;
}

// Rows of logits of one chunk, the first of which belongs to tokens[first].
using ChunkFunction = gc_status (*)(gc_session &s, void *context, uint64_t first, uint64_t rows,
                                    const float *logits);

gc_status scoreChunks(gc_session &s, const int32_t *tokens, uint64_t count, ChunkFunction function,
                      void *context) {
  const gc_program &program = s.model->variant->score;
  uint64_t vocabulary = s.manifest().vocabulary,
           rowsAtOnce = count < program.max_rows ? count : program.max_rows;
  Buffer arena, logits;
  gc_status status = arena.allocate(program.arena_bytes, "activations of scoring", threadMessage());
  if (status == GC_OK)
    status = logits.allocate(rowsAtOnce * vocabulary * sizeof(float), "logits of scoring",
                             threadMessage());
  if (status != GC_OK)
    return status;
  s.hasLogits = false;
  for (uint64_t done = 0; done < count;) {
    if (isCancelled(s))
      return cancelled();
    uint64_t rows = count - done < rowsAtOnce ? count - done : rowsAtOnce;
    status =
        runProgram(s, program, tokens + done, rows, count - done, arena.data(), logits.as<float>());
    if (status == GC_OK)
      status = function(s, context, done, rows, logits.as<float>());
    if (status != GC_OK)
      return status;
    done += rows;
    if (done == count)
      __builtin_memcpy(s.logits.data(), logits.as<float>() + (rows - 1) * vocabulary,
                       vocabulary * sizeof(float));
  }
  s.hasLogits = true;
  return GC_OK;
}

// -ln of the probability that the logits give to a token. Partial sums in a fixed order: the same
// on every machine.
double lossOf(const float *logits, uint32_t vocabulary, int32_t token) {
  constexpr uint32_t lanes = 16;
  float best = logits[0];
  for (uint32_t i = 1; i < vocabulary; ++i)
    best = logits[i] > best ? logits[i] : best;
  double sums[lanes] = {};
  uint32_t i = 0;
  for (; i + lanes <= vocabulary; i += lanes)
    for (uint32_t lane = 0; lane < lanes; ++lane)
      sums[lane] += exponential(double(logits[i + lane]) - best);
  for (; i < vocabulary; ++i)
    sums[i % lanes] += exponential(double(logits[i]) - best);
  double total = 0;
  for (double sum : sums)
    total += sum;
  return log(total) + double(best) - double(logits[token]);
}

struct LossJob {
  const float *logits;
  const int32_t *tokens; // of the first row of the chunk
  double *losses;
  uint64_t vocabulary;
};

double seconds() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return double(now.tv_sec) + double(now.tv_nsec) * 1e-9;
}

struct BandwidthJob {
  const uint8_t *data;
  uint64_t bytes;
  uint64_t *sums; // one a block, so that the reads are not optimised away
};
constexpr uint64_t bandwidthBlock = 1 << 20;

void readBlocks(const void *arguments, int64_t begin, int64_t end) {
  auto &job = *static_cast<const BandwidthJob *>(arguments);
  for (int64_t block = begin; block < end; ++block) {
    const uint8_t *from = job.data + uint64_t(block) * bandwidthBlock;
    uint64_t bytes = job.bytes - uint64_t(block) * bandwidthBlock;
    uint64_t words = (bytes < bandwidthBlock ? bytes : bandwidthBlock) / 64 * 8;
    auto *at = reinterpret_cast<const uint64_t *>(from);
    uint64_t sums[8] = {};
    for (uint64_t i = 0; i < words; i += 8)
      for (int lane = 0; lane < 8; ++lane)
        sums[lane] += at[i + uint64_t(lane)];
    uint64_t total = 0;
    for (uint64_t sum : sums)
      total += sum;
    job.sums[block] = total;
  }
}

} // namespace

gc_status gc_session_create(const gc_model *model, const gc_session_options *options,
                            gc_session **session) {
  if (!model || !session)
    return fail(GC_BAD_ARGUMENT, "gc_session_create: model and session must not be null");
  gc_session_options given = options ? *options : gc_session_options{};
  if (given.threads < 0 || given.threads > ThreadPool::maxThreads)
    return fail(GC_BAD_ARGUMENT, "threads is ", given.threads, ", expected 0 to ",
                int32_t(ThreadPool::maxThreads));
  void *memory = aligned_alloc(alignof(gc_session), sizeof(gc_session));
  if (!memory)
    return fail(GC_NO_MEMORY, "no memory for a session's description");
  auto *created = new (memory) gc_session;
  gc_status status = createSession(*created, model, given);
  if (status != GC_OK) {
    gc_session_destroy(created);
    return status;
  }
  *session = created;
  return GC_OK;
}

void gc_session_destroy(gc_session *session) {
  if (!session)
    return;
  session->~gc_session();
  free(session);
}

void gc_session_reset(gc_session *session) {
  session->position = 0;
  session->hasLogits = false;
}

void gc_session_commit(gc_session *session) {
  session->caches.commit();
  session->arena.commit();
  session->logits.commit();
  session->table.commit();
  session->experts.commit();
}

int32_t gc_session_threads(const gc_session *session) { return session->pool.threads(); }
int32_t gc_position(const gc_session *session) { return session->position; }
const float *gc_logits(const gc_session *session) {
  return session->hasLogits ? session->logits.as<float>() : nullptr;
}

gc_status gc_append(gc_session *session, const int32_t *tokens, size_t count) {
  gc_status status = checkTokens(session, tokens, count, "gc_append");
  if (status != GC_OK)
    return status;
  session->hasLogits = false;
  return fillCaches(*session, tokens, count);
}

gc_status gc_prefill(gc_session *session, const int32_t *tokens, size_t count) {
  gc_status status = checkTokens(session, tokens, count, "gc_prefill");
  if (status != GC_OK)
    return status;
  session->hasLogits = false;
  if (count > 1)
    status = fillCaches(*session, tokens, count - 1);
  return status == GC_OK ? decodeOne(*session, tokens[count - 1]) : status;
}

gc_status gc_decode(gc_session *session, int32_t token) {
  gc_status status = checkTokens(session, &token, 1, "gc_decode");
  return status == GC_OK ? decodeOne(*session, token) : status;
}

gc_status gc_score(gc_session *session, const int32_t *tokens, size_t count, gc_score_row row,
                   void *user) {
  gc_status status = checkTokens(session, tokens, count, "gc_score");
  if (status != GC_OK)
    return status;
  if (!row)
    return fail(GC_BAD_ARGUMENT, "gc_score: row must not be null");
  struct Context {
    gc_score_row row;
    void *user;
    int32_t firstPosition;
  } context = {row, user, session->position};
  return scoreChunks(
      *session, tokens, count,
      [](gc_session &s, void *given, uint64_t first, uint64_t rows,
         const float *logits) -> gc_status {
        auto &c = *static_cast<Context *>(given);
        for (uint64_t i = 0; i < rows; ++i)
          if (c.row(c.user, c.firstPosition + int32_t(first + i),
                    logits + i * s.manifest().vocabulary))
            return cancelled();
        return GC_OK;
      },
      &context);
}

gc_status gc_score_losses(gc_session *session, const int32_t *tokens, size_t count,
                          double *losses) {
  gc_status status = checkTokens(session, tokens, count, "gc_score_losses");
  if (status != GC_OK)
    return status;
  if (!losses && count > 1)
    return fail(GC_BAD_ARGUMENT, "gc_score_losses: losses must not be null");
  struct Context {
    const int32_t *tokens;
    uint64_t count;
    double *losses;
  } context = {tokens, count, losses};
  return scoreChunks(
      *session, tokens, count,
      [](gc_session &s, void *given, uint64_t first, uint64_t rows,
         const float *logits) -> gc_status {
        auto &c = *static_cast<Context *>(given);
        LossJob job = {logits, c.tokens + first, c.losses + first, s.manifest().vocabulary};
        uint64_t scored =
            first + rows < c.count ? rows : rows - 1; // nothing follows the last token
        s.pool.parallelFor(
            [](const void *arguments, int64_t begin, int64_t end) {
              auto &j = *static_cast<const LossJob *>(arguments);
              for (int64_t i = begin; i < end; ++i)
                j.losses[i] = lossOf(j.logits + uint64_t(i) * j.vocabulary, uint32_t(j.vocabulary),
                                     j.tokens[i + 1]);
            },
            &job, int64_t(scored));
        return GC_OK;
      },
      &context);
}

void gc_default_sampling(const gc_model *model, gc_sampling *sampling) {
  const gc_manifest &m = model->manifest();
  *sampling = {m.temperature, m.top_p, int32_t(m.top_k), 0};
}

gc_status gc_sample(gc_session *session, const gc_sampling *sampling, int32_t *token) {
  if (!session || !sampling || !token)
    return fail(GC_BAD_ARGUMENT, "gc_sample: session, sampling and token must not be null");
  if (!session->hasLogits)
    return fail(GC_BAD_ARGUMENT,
                "gc_sample: there are no logits yet: call gc_prefill or gc_decode first");
  const gc_manifest &m = session->manifest();
  if (sampling->temperature > 0 && !session->candidates.data()) {
    gc_status status = session->candidates.allocate(uint64_t(m.vocabulary) * sizeof(Candidate),
                                                    "sampling", threadMessage());
    if (status != GC_OK)
      return status;
  }
  SamplerInput input = {session->logits.as<float>(), m.vocabulary, m.suppressed_tokens,
                        m.suppressed_token_count, uint64_t(session->position)};
  return sample(input, *sampling, session->candidates.as<Candidate>(), *token, threadMessage());
}

gc_status gc_get_memory(const gc_model *model, const gc_session *session, gc_memory *memory) {
  if (!model || !memory)
    return fail(GC_BAD_ARGUMENT, "gc_get_memory: model and memory must not be null");
  *memory = {};
  const Artifact &a = model->artifact;
  memory->weights = residentBytes(a.data + a.weights->offset, a.weights->bytes);
  memory->code = residentBytes(model->code, model->codeBytes);
  if (session) {
    memory->tables = session->table.resident() + session->experts.resident();
    memory->kv_cache = residentBytes(session->caches.data(), session->caches.bytes());
    memory->activations = residentBytes(session->arena.data(), session->arena.bytes());
    // Rings are longer than their windows, so that a whole chunk can be in flight; the plan counts
    // those rows as activations, wherever they lie in the caches.
    const gc_manifest &m = model->manifest();
    if (m.planned_kv_cache && m.planned_kv_cache < m.kv_bytes) {
      uint64_t chunkRows = m.kv_bytes - m.planned_kv_cache;
      chunkRows = uint64_t(double(memory->kv_cache) / double(m.kv_bytes) * double(chunkRows));
      memory->kv_cache -= chunkRows;
      memory->activations += chunkRows;
    }
  } else if (a.table && model->manifest().table_placement == GC_TABLE_MEMORY) {
    memory->tables = residentBytes(a.data + a.table->offset, a.table->bytes);
  }
  ProcessMemory process = processMemory();
  memory->resident = process.resident;
  memory->peak_resident = process.peakResident;
  uint64_t named =
      memory->weights + memory->code + memory->tables + memory->kv_cache + memory->activations;
  memory->runtime = process.resident > named ? process.resident - named : 0;
  memory->runtime += process.pageTables;
  return GC_OK;
}

gc_status gc_get_expert_reads(const gc_session *session, gc_expert_reads *reads) {
  if (!session || !reads)
    return fail(GC_BAD_ARGUMENT, "gc_get_expert_reads: session and reads must not be null");
  const ExpertReader::Counts &counts = session->experts.counts();
  *reads = {counts.asked, counts.missed, counts.missed * session->experts.blockBytes(),
            counts.readSeconds};
  return GC_OK;
}

gc_status gc_read_bandwidth(gc_session *session, double *bytesPerSecond) {
  if (!session || !bytesPerSecond)
    return fail(GC_BAD_ARGUMENT,
                "gc_read_bandwidth: session and bytes_per_second must not be null");
  const Artifact &a = session->model->artifact;
  BandwidthJob job = {a.data + a.weights->offset, a.weights->bytes, nullptr};
  uint64_t blocks = (job.bytes + bandwidthBlock - 1) / bandwidthBlock;
  *bytesPerSecond = 0;
  if (!blocks)
    return GC_OK;
  job.sums = static_cast<uint64_t *>(malloc(blocks * sizeof(uint64_t)));
  if (!job.sums)
    return fail(GC_NO_MEMORY, "no memory to measure with");
  // The first pass brings the pages in; then the best of at least three and a fifth of a second.
  session->pool.parallelFor(readBlocks, &job, int64_t(blocks));
  double begin = seconds();
  for (int pass = 0; pass < 3 || seconds() - begin < 0.2; ++pass) {
    double start = seconds();
    session->pool.parallelFor(readBlocks, &job, int64_t(blocks));
    double rate = double(job.bytes) / (seconds() - start);
    *bytesPerSecond = rate > *bytesPerSecond ? rate : *bytesPerSecond;
  }
  free(job.sums);
  return GC_OK;
}
