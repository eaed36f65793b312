// Threads that spin between jobs, so that starting one costs about what it costs the runtime's
// threads between the kernels of a token.
#pragma once

#include "llvm/ADT/STLFunctionalExtras.h"

#include <atomic>
#include <thread>
#include <vector>

namespace gcompile {

class ProbeTeam {
public:
  explicit ProbeTeam(int size); // 1 or more, the caller included
  ~ProbeTeam();
  ProbeTeam(const ProbeTeam &) = delete;
  ProbeTeam &operator=(const ProbeTeam &) = delete;

  int size() const { return members; }

  // Tasks [0, tasks) in pieces that members take as they get to them, a few each, as the runtime
  // hands them out; at most `most` members take part. Returns the seconds until all are done.
  double run(int64_t tasks, int most, llvm::function_ref<void(int64_t begin, int64_t end)> job);

private:
  void work(int member);
  void take();
  const int members;
  std::vector<std::thread> threads;
  std::atomic<int> epoch{0}, left{0};
  std::atomic<bool> stop{false};
  std::atomic<int64_t> next{0};
  int64_t tasks = 0, piece = 1;
  int active = 0;
  llvm::function_ref<void(int64_t, int64_t)> job = nullptr;
};

} // namespace gcompile
