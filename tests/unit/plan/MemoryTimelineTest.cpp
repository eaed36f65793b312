// Memory over time: it starts small, never falls while a context fills, and ends at the peak.
#include "compiler/Report/MemoryTimeline.h"
#include "SamplePlan.h"

#include <gtest/gtest.h>

using namespace gcompile;

TEST(MemoryTimeline, EndsAtTheAccount) {
  Plan plan = samplePlan();
  MemoryTimeline timeline = memoryTimeline(plan, 1000);
  ASSERT_EQ(timeline.phases.size(), 3u);
  EXPECT_EQ(timeline.phases[1].to, 512); // the prompt of first_token_seconds
  EXPECT_DOUBLE_EQ(timeline.phases[1].seconds, 0.512);
  EXPECT_DOUBLE_EQ(timeline.phases[0].seconds, 5.9); // 5800 of weights and 100 of code
  EXPECT_EQ(timeline.samples.front().memory.peak(), 300);
  EXPECT_EQ(timeline.samples.back().memory, plan.memory);
  int64_t last = 0;
  for (const TimelineSample &sample : timeline.samples) {
    EXPECT_GE(sample.memory.peak(), last);
    EXPECT_LE(sample.memory.peak(), plan.memory.peak());
    last = sample.memory.peak();
  }
}

TEST(MemoryTimeline, RingsFillAndGlobalCachesGrow) {
  Plan plan = samplePlan();
  MemoryTimeline timeline = memoryTimeline(plan, 0);
  for (const TimelineSample &sample : timeline.samples)
    if (sample.position == 512) {
      // The window of 64 rows (1024 bytes) is full, the ring's other half counts as activations,
      // half of the global rows are there, and the 64 cached rows of the table.
      EXPECT_EQ(sample.memory.kvCache, 1024 + 512);
      EXPECT_EQ(sample.memory.activations, plan.memory.activations);
      EXPECT_EQ(sample.memory.tables, 500);
      return;
    }
  FAIL() << "no sample at the end of the prompt";
}

TEST(MemoryTimeline, TowersComeAndGo) {
  Plan plan = samplePlan();
  MemoryAccount vision;
  vision.encoders = 20000;
  vision.kvCache = 2048;
  vision.runtime = 200;
  plan.phases = {{"vision", vision}, {"text", plan.memory}};
  plan.memory = vision; // the phase that needs most
  MemoryTimeline timeline = memoryTimeline(plan, 0);
  ASSERT_EQ(timeline.phases.size(), 4u);
  EXPECT_EQ(timeline.phases[1].name, "vision");
  int64_t most = 0;
  for (const TimelineSample &sample : timeline.samples)
    most = std::max(most, sample.memory.peak());
  EXPECT_EQ(most, vision.peak());
  EXPECT_EQ(timeline.samples.back().memory, plan.phases.back().memory);
}

TEST(MemoryTimeline, OfAFileTheTowersAreOnePhase) {
  Plan plan = samplePlan();
  plan.memory.encoders = 5000;
  MemoryTimeline timeline = memoryTimeline(plan, 0);
  ASSERT_EQ(timeline.phases.size(), 4u);
  EXPECT_EQ(timeline.phases[1].name, "encode");
  EXPECT_EQ(timeline.samples.back().memory.encoders, 0);
}
