// --bench: speed in this run and memory by the categories of the plan, beside what the plan
// promised.
//
// First a cold run (the first token after opening), then three runs of prompt and decode, of which
// the medians are reported with their range. Tokens are drawn from a fixed sequence, so that a
// storage-resident table is read at random, the hard case; sampling is part of decoding.
#include "runtime/tools/Run.h"

namespace gcompile::tools {
namespace {

constexpr int repeats = 3;
constexpr int32_t defaultPromptTokens = 512, defaultDecodeTokens = 64;

struct Samples {
  double values[repeats] = {};
  void sort() {
    for (int i = 1; i < repeats; ++i)
      for (int j = i; j > 0 && values[j] < values[j - 1]; --j) {
        double swap = values[j];
        values[j] = values[j - 1];
        values[j - 1] = swap;
      }
  }
  double median() const { return values[repeats / 2]; }
  double lowest() const { return values[0]; }
  double highest() const { return values[repeats - 1]; }
};

struct Measured {
  int32_t promptTokens, decodeTokens;
  double coldFirstTokenSeconds = 0;
  Samples prefillRate, decodeRate, firstTokenSeconds;
  gc_memory memory{};
  double readBandwidth = 0;
  gc_expert_reads expertReads{}; // of decoding alone
};

gc_status decodeMany(Run &run, const int32_t *tokens, int32_t count, double &rate) {
  gc_sampling greedy = {0, 1, 0, 0};
  double begin = now();
  for (int32_t i = 0; i < count; ++i) {
    int32_t unused;
    gc_status status = gc_sample(run.session, &greedy, &unused);
    if (status == GC_OK)
      status = gc_decode(run.session, tokens[i]);
    if (status != GC_OK)
      return status;
  }
  rate = double(count) / (now() - begin);
  return GC_OK;
}

gc_status measureOnce(Run &run, const int32_t *tokens, Measured &m, int repeat) {
  gc_session_reset(run.session);
  int32_t last = m.promptTokens - 1;
  double begin = now();
  gc_status status = last ? gc_append(run.session, tokens, size_t(last)) : GC_OK;
  double appended = now();
  if (status == GC_OK)
    status = gc_decode(run.session, tokens[last]);
  m.firstTokenSeconds.values[repeat] = now() - begin;
  m.prefillRate.values[repeat] = last ? double(last) / (appended - begin) : 0;
  gc_expert_reads before{}, after{};
  if (status == GC_OK)
    status = gc_get_expert_reads(run.session, &before);
  if (status == GC_OK)
    status = decodeMany(run, tokens + m.promptTokens, m.decodeTokens, m.decodeRate.values[repeat]);
  if (status == GC_OK)
    status = gc_get_expert_reads(run.session, &after);
  m.expertReads.asked += after.asked - before.asked;
  m.expertReads.missed += after.missed - before.missed;
  m.expertReads.bytes += after.bytes - before.bytes;
  m.expertReads.seconds += after.seconds - before.seconds;
  return status;
}

gc_status measure(Run &run, const int32_t *tokens, Measured &m) {
  double begin = now();
  gc_status status = gc_prefill(run.session, tokens, size_t(m.promptTokens));
  m.coldFirstTokenSeconds = now() - begin;
  gc_session_commit(run.session); // the account is that of a full context
  for (int i = 0; i < repeats && status == GC_OK; ++i)
    status = measureOnce(run, tokens, m, i);
  if (status == GC_OK)
    status = gc_get_memory(run.model, run.session, &m.memory);
  if (status == GC_OK)
    status = gc_read_bandwidth(run.session, &m.readBandwidth);
  m.prefillRate.sort();
  m.decodeRate.sort();
  m.firstTokenSeconds.sort();
  return status;
}

void printMemory(Json &json, const char *name, const gc_memory &m) {
  json.key(name).open('{');
  json.key("weights").integer(int64_t(m.weights));
  json.key("tables").integer(int64_t(m.tables));
  json.key("kv_cache").integer(int64_t(m.kv_cache));
  json.key("activations").integer(int64_t(m.activations));
  json.key("encoders").integer(int64_t(m.encoders));
  json.key("code").integer(int64_t(m.code));
  json.key("runtime").integer(int64_t(m.runtime));
  json.close('}');
}

gc_memory plannedMemory(const gc_model_info &info) {
  gc_memory m = {};
  m.weights = info.planned_weights;
  m.tables = info.planned_tables;
  m.kv_cache = info.planned_kv_cache;
  m.activations = info.planned_activations;
  m.encoders = info.planned_encoders;
  m.code = info.planned_code;
  m.runtime = info.planned_runtime;
  m.resident = info.planned_peak;
  return m;
}

double bandwidthShare(const Run &run, const Measured &m) {
  return m.readBandwidth > 0
             ? m.decodeRate.median() * double(run.info.weights_bytes) / m.readBandwidth
             : 0;
}

double missRate(const Measured &m) {
  return m.expertReads.asked ? double(m.expertReads.missed) / double(m.expertReads.asked) : 0;
}

double missRateModelled(const Run &run) {
  return 1 - double(run.info.expert_cache_slots) / double(run.info.experts_on_storage);
}

double expertReadRate(const Measured &m) {
  return m.expertReads.seconds > 0 ? double(m.expertReads.bytes) / m.expertReads.seconds : 0;
}

void printExperts(Json &json, const Run &run, const Measured &m) {
  json.key("experts").open('{');
  json.key("slots").integer(int64_t(run.info.expert_cache_slots));
  json.key("experts").integer(int64_t(run.info.experts_on_storage));
  json.key("asked").integer(int64_t(m.expertReads.asked));
  json.key("missed").integer(int64_t(m.expertReads.missed));
  json.key("miss_rate").number(missRate(m));
  json.key("miss_rate_modelled").number(missRateModelled(run));
  json.key("read_seconds").number(m.expertReads.seconds);
  json.key("read_bytes_per_second").number(expertReadRate(m));
  json.close('}');
}

void printJson(const Run &run, const Measured &m) {
  Json json(stdout);
  json.open('{');
  json.key("model").string(run.info.name);
  json.key("target").string(run.info.target);
  json.key("isa").string(run.info.isa);
  printMemory(json, "memory", m.memory);
  printMemory(json, "planned", plannedMemory(run.info));
  json.key("planned_peak_bytes").integer(int64_t(run.info.planned_peak));
  json.key("resident_bytes").integer(int64_t(m.memory.resident));
  json.key("peak_rss_bytes").integer(int64_t(m.memory.peak_resident));
  json.key("threads").integer(gc_session_threads(run.session));
  json.key("context").integer(run.info.context);
  json.key("prompt_tokens").integer(m.promptTokens);
  json.key("decode_tokens").integer(m.decodeTokens);
  auto rate = [&](const char *name, const Samples &samples) {
    char key[64];
    json.key(name).number(samples.median());
    snprintf(key, sizeof key, "%s_range", name);
    json.key(key).open('[').number(samples.lowest()).number(samples.highest()).close(']');
  };
  rate("prefill_tokens_per_second", m.prefillRate);
  rate("decode_tokens_per_second", m.decodeRate);
  rate("first_token_seconds", m.firstTokenSeconds);
  json.key("cold_first_token_seconds").number(m.coldFirstTokenSeconds);
  json.key("load_seconds").number(run.loadSeconds);
  json.key("weights_bytes").integer(int64_t(run.info.weights_bytes));
  json.key("read_bandwidth_bytes_per_second").number(m.readBandwidth);
  json.key("decode_share_of_bandwidth").number(bandwidthShare(run, m));
  if (run.info.experts_on_storage)
    printExperts(json, run, m);
  json.key("predicted").open('{');
  json.key("decode_tokens_per_second").number(run.info.predicted_decode_tokens_per_second);
  json.key("prefill_tokens_per_second").number(run.info.predicted_prefill_tokens_per_second);
  json.close('}');
  json.close('}').end();
}

void printTable(const Run &run, const Measured &m) {
  printf("%s for %s, %s code, %d threads\n\n", run.info.name, run.info.target, run.info.isa,
         gc_session_threads(run.session));
  auto speed = [](const char *name, int32_t tokens, const Samples &rate, double predicted) {
    char range[64], expected[32] = "-"; // not predicted
    snprintf(range, sizeof range, "(%.1f to %.1f)", rate.lowest(), rate.highest());
    if (predicted > 0)
      snprintf(expected, sizeof expected, "%.1f/s", predicted);
    printf("%-8s %6d tokens %9.1f/s %-22s %12s\n", name, tokens, rate.median(), range, expected);
  };
  printf("speed                   measured (median, range)       predicted\n");
  speed("prefill,", m.promptTokens, m.prefillRate, run.info.predicted_prefill_tokens_per_second);
  speed("decode,", m.decodeTokens, m.decodeRate, run.info.predicted_decode_tokens_per_second);
  printf("first token             %9.4f s, cold %.4f s, opened in %.4f s\n",
         m.firstTokenSeconds.median(), m.coldFirstTokenSeconds, run.loadSeconds);
  printf("reading memory          %9.2f GB/s; decode reads its weights at %.0f %% of that\n\n",
         m.readBandwidth * 1e-9, 100 * bandwidthShare(run, m));
  if (run.info.experts_on_storage)
    printf("experts on storage      %9.1f %% missed while decoding (uniform routing: %.1f %%), "
           "read at "
           "%.2f GB/s\n\n",
           100 * missRate(m), 100 * missRateModelled(run), expertReadRate(m) * 1e-9);
  printf("memory, MB       measured     planned\n");
  gc_memory planned = plannedMemory(run.info);
  auto row = [](const char *name, uint64_t measured, uint64_t plan) {
    printf("%-12s %12.1f %11.1f\n", name, double(measured) * 1e-6, double(plan) * 1e-6);
  };
  row("weights", m.memory.weights, planned.weights);
  row("tables", m.memory.tables, planned.tables);
  row("kv_cache", m.memory.kv_cache, planned.kv_cache);
  row("activations", m.memory.activations, planned.activations);
  row("encoders", m.memory.encoders, planned.encoders);
  row("code", m.memory.code, planned.code);
  row("runtime", m.memory.runtime, planned.runtime);
  row("peak", m.memory.peak_resident, planned.resident);
}

} // namespace

ExitCode runBench(Run &run) {
  const Arguments &a = run.arguments;
  Measured m;
  m.decodeTokens = a.decodeTokens ? a.decodeTokens : defaultDecodeTokens;
  m.promptTokens = a.promptTokens ? a.promptTokens : defaultPromptTokens;
  if (!a.decodeTokens && m.decodeTokens > run.info.context / 2)
    m.decodeTokens = run.info.context > 1 ? run.info.context / 2 : 1;
  if (!a.promptTokens && m.promptTokens > run.info.context - m.decodeTokens &&
      run.info.context > m.decodeTokens)
    m.promptTokens = run.info.context - m.decodeTokens;
  if (int64_t(m.promptTokens) + m.decodeTokens > run.info.context)
    return badInput("%d prompt and %d decoded tokens do not fit into the context of %d",
                    m.promptTokens, m.decodeTokens, run.info.context);
  List<int32_t> tokens;
  uint64_t state = 1;
  for (int32_t i = 0; i < m.promptTokens + m.decodeTokens; ++i) {
    state = state * 6364136223846793005u + 1442695040888963407u; // Knuth, MMIX
    tokens.add(int32_t((state >> 33) % uint64_t(run.info.vocabulary)));
  }
  ExitCode code = createSession(run);
  if (code != ExitDone)
    return code;
  gc_status status = measure(run, tokens.data(), m);
  if (status != GC_OK)
    return report(status);
  if (a.json)
    printJson(run, m);
  else
    printTable(run, m);
  return ExitDone;
}

} // namespace gcompile::tools
