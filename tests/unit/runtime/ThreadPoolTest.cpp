#include "runtime/host/ThreadPool.h"

#include "runtime/host/Processor.h"

#include <gtest/gtest.h>

#include <atomic>
#include <unistd.h>
#include <vector>

namespace gcompile::runtime {
namespace {

struct Marks {
  std::vector<std::atomic<int>> counts;
  explicit Marks(size_t tasks) : counts(tasks) {}
  static void mark(const void *arguments, int64_t begin, int64_t end) {
    auto &marks = *const_cast<Marks *>(static_cast<const Marks *>(arguments));
    for (int64_t i = begin; i < end; ++i)
      marks.counts[size_t(i)].fetch_add(1, std::memory_order_relaxed);
  }
};

TEST(ThreadPool, RunsEveryTaskOnce) {
  for (int threads : {1, 2, 3, 8}) {
    ThreadPool pool;
    pool.start(threads);
    EXPECT_EQ(pool.threads(), threads);
    for (int64_t tasks : {0, 1, 2, 3, 7, 8, 63, 64, 65, 1000, 4097}) {
      Marks marks{size_t(tasks) + 1};
      ThreadPool::entry(&pool, Marks::mark, &marks, tasks);
      for (int64_t i = 0; i < tasks; ++i)
        ASSERT_EQ(marks.counts[size_t(i)], 1)
            << threads << " threads, task " << i << " of " << tasks;
      EXPECT_EQ(marks.counts[size_t(tasks)], 0);
    }
  }
}

TEST(ThreadPool, SurvivesManySmallJobs) {
  ThreadPool pool;
  pool.start(4);
  for (int job = 0; job < 20000; ++job) {
    int64_t tasks = 2 + job % 37;
    Marks marks{size_t(tasks)}; // on the heap, freed at once: a late worker must not touch it
    pool.parallelFor(Marks::mark, &marks, tasks);
    for (auto &count : marks.counts)
      ASSERT_EQ(count, 1);
  }
}

// A worker that is only now taking up the last job must still see that the pool stops.
TEST(ThreadPool, StopsRightAfterAJob) {
  for (int round = 0; round < 3000; ++round) {
    ThreadPool pool;
    pool.start(4);
    Marks marks(2);
    pool.parallelFor(Marks::mark, &marks, 2);
  }
}

TEST(ThreadPool, WakesWorkersThatSleep) {
  ThreadPool pool;
  pool.start(3);
  for (int job = 0; job < 30; ++job) {
    usleep(job % 3 ? 1000 : 60);
    Marks marks(500);
    pool.parallelFor(Marks::mark, &marks, 500);
    for (auto &count : marks.counts)
      ASSERT_EQ(count, 1);
  }
}

TEST(ThreadPool, UsesItsThreads) {
  ThreadPool pool;
  pool.start(2);
  // Two tasks that wait for each other end only when two threads run them.
  static std::atomic<int> arrived;
  arrived = 0;
  pool.parallelFor(
      [](const void *, int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          ++arrived;
          while (arrived < 2)
            usleep(100);
        }
      },
      nullptr, 2);
  EXPECT_EQ(arrived, 2);
}

TEST(ThreadPool, StopsAndStartsAgain) {
  ThreadPool pool;
  for (int round = 0; round < 50; ++round) {
    pool.start(1 + round % 4);
    Marks marks(100);
    pool.parallelFor(Marks::mark, &marks, 100);
    for (auto &count : marks.counts)
      ASSERT_EQ(count, 1);
  }
}

TEST(Processor, MayUseAtLeastOneCpuAndNoMoreThanThereAre) {
  EXPECT_GE(allowedCpus(), 1);
  EXPECT_LE(allowedCpus(), sysconf(_SC_NPROCESSORS_CONF));
}

TEST(Processor, NamesGoBothWays) {
  for (uint32_t isa : {GC_ISA_X86_64_V3, GC_ISA_X86_64_VNNI, GC_ISA_AARCH64_NEON,
                       GC_ISA_AARCH64_DOTPROD, GC_ISA_AARCH64_I8MM})
    EXPECT_EQ(parseIsa(isaName(isa)), isa);
  EXPECT_EQ(parseIsa("v4"), 0u);
}

TEST(Processor, SupportsNoForeignInstructions) {
#if defined(__x86_64__)
  EXPECT_FALSE(isSupported(GC_ISA_AARCH64_NEON));
  if (isSupported(GC_ISA_X86_64_VNNI))
    EXPECT_TRUE(isSupported(GC_ISA_X86_64_V3));
  EXPECT_EQ(isSupported(GC_ISA_X86_64_V3), bool(__builtin_cpu_supports("x86-64-v3")));
#else
  EXPECT_FALSE(isSupported(GC_ISA_X86_64_V3));
#endif
  EXPECT_FALSE(isSupported(0));
}

} // namespace
} // namespace gcompile::runtime
