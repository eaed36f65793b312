// How much memory a session holds at which moment: loading, reading a prompt, generating until the
// context is full. A model of what the account describes: mapped weights come in as they are first
// read, caches grow with positions, the arena stays once it was touched. Its largest sum is the
// plan's peak.
#pragma once

#include "compiler/Plan/Plan.h"

#include <string>
#include <vector>

namespace gcompile {

struct TimelinePhase {
  std::string name;          // "load", "encode", "prefill", "decode"
  double seconds = 0;        // 0: not predicted
  int64_t from = 0, to = 0;  // positions in the context
  double start = 0, end = 1; // on the axis of the drawing, 0 to 1; not to scale
};

struct TimelineSample {
  double at = 0; // on the same axis
  int64_t position = 0;
  MemoryAccount memory;
};

struct MemoryTimeline {
  std::vector<TimelinePhase> phases;
  std::vector<TimelineSample> samples; // by time
};

// `loadBytesPerSecond`: what storage reads; 0: not known. The prompt is that of the plan's
// first_token_seconds: 512 tokens or half the context.
MemoryTimeline memoryTimeline(const Plan &plan, double loadBytesPerSecond);

} // namespace gcompile
