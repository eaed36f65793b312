#include "runtime/host/ThreadPool.h"

#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

namespace gcompile::runtime {
namespace {

// Longer than the gaps between the kernels of one token, shorter than what a person or a battery
// notices.
constexpr int64_t spinNanoseconds = 50'000;
// Chunks per thread: enough that a thread that was held up costs little, few enough that taking
// them costs nothing.
constexpr int64_t chunksPerThread = 8;
// Below 2 MiB, so that no huge page is spent on a stack; compiled kernels use a few KiB.
constexpr size_t stackBytes = 512 * 1024;

void pauseOnce() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

int64_t nanoseconds() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
}

void sleepOn(uint32_t *word, uint32_t value) {
  syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, nullptr, nullptr, 0);
}
void wake(uint32_t *word, int count) {
  syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, nullptr, nullptr, 0);
}

// Spins until `ready` or the time is up.
template <typename Ready>
bool spinFor(Ready ready) {
  int64_t end = 0;
  for (;;) {
    for (int i = 0; i < 64; ++i) {
      if (ready())
        return true;
      pauseOnce();
    }
    int64_t now = nanoseconds();
    if (!end)
      end = now + spinNanoseconds;
    else if (now >= end)
      return false;
  }
}

template <typename T>
T load(const T &value, int order = __ATOMIC_ACQUIRE) {
  return __atomic_load_n(&value, order);
}
template <typename T, typename U>
void store(T &to, U value, int order = __ATOMIC_RELEASE) {
  __atomic_store_n(&to, T(value), order);
}

} // namespace

void ThreadPool::start(int threads) {
  stop();
  stopping = 0;
  int wanted = threads < 1 ? 0 : threads > maxThreads ? maxThreads - 1 : threads - 1;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, stackBytes);
  while (workers < wanted && pthread_create(&handles[workers], &attributes, workerEntry, this) == 0)
    ++workers;
  pthread_attr_destroy(&attributes);
}

void ThreadPool::stop() {
  if (!workers)
    return;
  store(stopping, 1u);
  __atomic_fetch_add(&epochWord, 1, __ATOMIC_SEQ_CST);
  wake(&epochWord, INT_MAX);
  for (int i = 0; i < workers; ++i)
    pthread_join(handles[i], nullptr);
  workers = 0;
}

void *ThreadPool::workerEntry(void *self) {
  static_cast<ThreadPool *>(self)->work();
  return nullptr;
}

void ThreadPool::work() {
  uint32_t seen = 0;
  for (;;) {
    auto changed = [&] { return load(epochWord) != seen; };
    if (!spinFor(changed)) {
      __atomic_fetch_add(&sleepers, 1, __ATOMIC_SEQ_CST);
      while (!changed())
        sleepOn(&epochWord, seen);
      __atomic_fetch_sub(&sleepers, 1, __ATOMIC_SEQ_CST);
    }
    // In this order: stop() raises the flag before the epoch, so that a worker that takes up an
    // earlier job late and reads the epoch of the stop here also reads the flag.
    seen = load(epochWord);
    if (load(stopping))
      return;
    takeChunks(seen);
  }
}

void ThreadPool::takeChunks(uint32_t epoch) {
  // Relaxed: if these belong to another job, the ticket's epoch differs and nothing is taken.
  gc_task_fn function = load(task, __ATOMIC_RELAXED);
  const void *given = load(arguments, __ATOMIC_RELAXED);
  int64_t all = load(tasks, __ATOMIC_RELAXED), each = load(chunkTasks, __ATOMIC_RELAXED);
  uint32_t count = load(chunks, __ATOMIC_RELAXED);
  // Pairs with the fence in parallelFor: whoever read a field of a later job sees that the ticket
  // was closed for it.
  __atomic_thread_fence(__ATOMIC_ACQUIRE);
  uint64_t now = load(ticket.value);
  for (;;) {
    uint32_t next = uint32_t(now);
    if (uint32_t(now >> 32) != epoch || next >= count)
      return;
    if (!__atomic_compare_exchange_n(&ticket.value, &now, now + 1, false, __ATOMIC_ACQ_REL,
                                     __ATOMIC_ACQUIRE))
      continue;
    int64_t begin = int64_t(next) * each, end = begin + each < all ? begin + each : all;
    function(given, begin, end);
    if (__atomic_add_fetch(&done.value, 1, __ATOMIC_SEQ_CST) == count &&
        __atomic_exchange_n(&callerWord, 0u, __ATOMIC_SEQ_CST))
      wake(&callerWord, 1);
    now = load(ticket.value);
  }
}

void ThreadPool::parallelFor(gc_task_fn function, const void *given, int64_t count) {
  if (count <= 0)
    return;
  if (!workers || count == 1) {
    function(given, 0, count);
    return;
  }
  int64_t wantedChunks = chunksPerThread * threads();
  int64_t each = (count + wantedChunks - 1) / wantedChunks;
  uint32_t jobChunks = uint32_t((count + each - 1) / each);
  // A late worker may still read the fields for the last job. Closing the ticket first keeps it
  // from taking a chunk with a mix of both.
  uint32_t epoch = load(epochWord, __ATOMIC_RELAXED) + 1;
  store(ticket.value, uint64_t(epoch) << 32 | UINT32_MAX, __ATOMIC_RELAXED);
  __atomic_thread_fence(__ATOMIC_RELEASE);
  store(task, function, __ATOMIC_RELAXED);
  store(arguments, given, __ATOMIC_RELAXED);
  store(tasks, count, __ATOMIC_RELAXED);
  store(chunkTasks, each, __ATOMIC_RELAXED);
  store(chunks, jobChunks, __ATOMIC_RELAXED);
  store(done.value, 0, __ATOMIC_RELAXED);
  store(ticket.value, uint64_t(epoch) << 32);
  store(epochWord, epoch, __ATOMIC_SEQ_CST);
  if (__atomic_load_n(&sleepers, __ATOMIC_SEQ_CST))
    wake(&epochWord, INT_MAX);
  takeChunks(epoch);

  auto finished = [&] { return load(done.value) == jobChunks; };
  if (spinFor(finished))
    return;
  while (!finished()) {
    __atomic_store_n(&callerWord, 1u, __ATOMIC_SEQ_CST);
    if (!finished())
      sleepOn(&callerWord, 1);
  }
  store(callerWord, 0u);
}

void ThreadPool::entry(void *self, gc_task_fn task, const void *arguments, int64_t tasks) {
  static_cast<ThreadPool *>(self)->parallelFor(task, arguments, tasks);
}

} // namespace gcompile::runtime
