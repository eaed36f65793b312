#include "compiler/Measure/ProbeTeam.h"

#include <algorithm>
#include <chrono>

namespace gcompile {

static void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

// A processor that is taken by someone else must not wait for us in a circle.
template <typename Ready>
static void spinUntil(Ready ready) {
  for (int i = 0; !ready(); ++i)
    if (i % 20000 == 19999)
      std::this_thread::yield();
    else
      pause();
}

ProbeTeam::ProbeTeam(int size) : members(std::max(size, 1)) {
  for (int i = 1; i < members; ++i)
    threads.emplace_back([this, i] { work(i); });
}

ProbeTeam::~ProbeTeam() {
  stop = true;
  ++epoch;
  for (std::thread &thread : threads)
    thread.join();
}

void ProbeTeam::take() {
  for (;;) {
    int64_t begin = next.fetch_add(piece);
    if (begin >= tasks)
      return;
    job(begin, std::min(tasks, begin + piece));
  }
}

double ProbeTeam::run(int64_t count, int most,
                      llvm::function_ref<void(int64_t begin, int64_t end)> work) {
  active = std::clamp(most, 1, members);
  tasks = count;
  piece = std::max<int64_t>(1, count / (8 * active));
  job = work;
  next = 0;
  left = members - 1;
  auto start = std::chrono::steady_clock::now();
  ++epoch;
  take();
  spinUntil([&] { return left.load() == 0; });
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void ProbeTeam::work(int member) {
  for (int seen = 0;;) {
    spinUntil([&] { return epoch.load() != seen; });
    ++seen;
    if (stop)
      return;
    if (member < active)
      take();
    --left;
  }
}

} // namespace gcompile
