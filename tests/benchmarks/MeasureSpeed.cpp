// measure_speed ARTIFACT OFFSET BYTES PROMPT COUNT ROUNDS: what tests/benchmarks/prediction.py
// holds predictions against. A prompt of PROMPT tokens in chunks of 128, ROUNDS times, then COUNT
// tokens one by one, each between two plain reads of 64 MiB of the weights as the model has mapped
// them (OFFSET, BYTES: where they lie in the artifact), so that a token is judged by what memory
// gave at that moment. JSON: seconds of every chunk and token, and whether the system took a
// processor away meanwhile.
#include "compiler/Measure/KernelProbes.h"
#include "compiler/Measure/ModelRunner.h"

#include "gcompile/runtime.h"

#include "llvm/Support/JSON.h"
#include "llvm/Support/raw_ostream.h"

#include <chrono>
#include <sys/resource.h>

using namespace gcompile;

static long preemptions() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_nivcsw;
}

template <typename Work>
static llvm::json::Object timed(Work work) {
  long before = preemptions();
  auto start = std::chrono::steady_clock::now();
  work();
  double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return llvm::json::Object{{"seconds", seconds}, {"disturbed", preemptions() != before}};
}

// Bytes per second; 0 for weights that may stay in caches. The team lives only so long: it spins,
// and the model has its own threads.
static double readNow(ProbeRegion &weights, int threads) {
  if (weights.size() < 64 << 20)
    return 0;
  ProbeTeam team(threads);
  KernelProbes probes(team, weights, weights, "");
  Probe read = probes.read(threads);
  team.run(threads, threads, [](int64_t, int64_t) {});
  double bytes = 0, seconds = 0;
  for (int i = 0; i < 4; ++i) {
    seconds += read.seconds();
    bytes += read.amount;
  }
  return bytes / seconds;
}

int main(int argc, char **argv) {
  llvm::ExitOnError exitOnError("measure_speed: ");
  int64_t numbers[5] = {};
  for (int i = 0; i < 5; ++i)
    if (argc != 7 || llvm::StringRef(argv[2 + i]).getAsInteger(10, numbers[i])) {
      llvm::errs() << "usage: measure_speed ARTIFACT OFFSET BYTES PROMPT COUNT ROUNDS\n";
      return 2;
    }
  auto [offset, bytes, prompt, count, rounds] = numbers;
  auto model = exitOnError(ModelRunner::open(argv[1]));
  auto weights = exitOnError(ProbeRegion::existing(argv[1], offset, bytes));
  gc_session *session = model->session();
  auto check = [&](gc_status status) {
    if (status != GC_OK)
      exitOnError(model->failure("running the model", status));
  };
  std::vector<int32_t> tokens;
  uint64_t state = 1;
  for (int64_t i = 0; i < prompt + count; ++i) {
    state = state * 6364136223846793005ull + 1442695040888963407ull; // Knuth, MMIX
    tokens.push_back(int32_t((state >> 33) % uint64_t(model->vocabulary())));
  }
  // Brings everything into memory.
  check(gc_prefill(session, tokens.data(), 16));
  llvm::json::Array prefill, decode;
  for (int64_t round = 0; round < rounds; ++round) {
    gc_session_reset(session);
    llvm::json::Array chunks;
    for (int64_t at = 0; at < prompt; at += 128) {
      int64_t rows = std::min<int64_t>(128, prompt - at);
      chunks.push_back(timed([&] { check(gc_append(session, tokens.data() + at, size_t(rows))); }));
    }
    prefill.push_back(std::move(chunks));
  }
  check(gc_decode(session, tokens[size_t(prompt)]));
  double before = readNow(*weights, model->threads());
  for (int64_t i = 1; i < count; ++i) {
    // As generation does: the likeliest token is looked for, too.
    llvm::json::Object sample = timed([&] {
      gc_sampling greedy = {0, 1, 0, 0};
      int32_t unused;
      check(gc_sample(session, &greedy, &unused));
      check(gc_decode(session, tokens[size_t(prompt + i)]));
    });
    double after = readNow(*weights, model->threads());
    sample["read"] = before > 0 ? 2 / (1 / before + 1 / after) : 0;
    before = after;
    decode.push_back(std::move(sample));
  }
  llvm::outs() << llvm::json::Value(llvm::json::Object{{"prefill", std::move(prefill)},
                                                       {"decode", std::move(decode)}})
               << "\n";
  return 0;
}
