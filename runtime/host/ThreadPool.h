// Fork and join for compiled code: parallelFor splits [0, tasks) over the calling thread and its
// workers.
//
// Programs call it some hundred times a token, so starting and ending must cost about a
// microsecond: workers spin for 50 µs on a counter before they sleep on it (futex), and the caller
// waits for the *chunks* to be done, never for a worker that came too late to get one. One thread
// means no workers at all. One job at a time; not from inside a task.
#pragma once

#include "runtime/abi/gc_module.h"
#include "runtime/core/Status.h"

#include <pthread.h>

namespace gcompile::runtime {

class ThreadPool {
public:
  static constexpr int maxThreads = 256;

  ThreadPool() = default;
  ThreadPool(const ThreadPool &) = delete;
  ThreadPool &operator=(const ThreadPool &) = delete;
  ~ThreadPool() { stop(); }

  // `threads` includes the caller. Fewer than asked for when the system grants no more.
  void start(int threads);
  void stop();
  int threads() const { return workers + 1; }

  void parallelFor(gc_task_fn task, const void *arguments, int64_t tasks);
  // gc_env.parallel_for with self = the pool.
  static void entry(void *self, gc_task_fn task, const void *arguments, int64_t tasks);

private:
  struct alignas(64) Line {
    uint64_t value = 0;
  };

  static void *workerEntry(void *self);
  void work();
  // Takes chunks of job `epoch` until there are none.
  void takeChunks(uint32_t epoch);

  // The job. Written while no chunk is left, so a reader that then gets a chunk (the ticket names
  // the epoch) has read it whole.
  gc_task_fn task = nullptr;
  const void *arguments = nullptr;
  int64_t tasks = 0, chunkTasks = 0;
  uint32_t chunks = 0;

  Line ticket;                        // epoch << 32 | next chunk
  Line done;                          // chunks done
  alignas(64) uint32_t epochWord = 0; // what workers wait on
  alignas(64) uint32_t sleepers = 0;
  uint32_t callerWord = 0; // 1: the caller sleeps on it
  uint32_t stopping = 0;

  pthread_t handles[maxThreads];
  int workers = 0;
};

} // namespace gcompile::runtime
