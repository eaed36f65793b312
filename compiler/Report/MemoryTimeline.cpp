#include "compiler/Report/MemoryTimeline.h"

#include <algorithm>
#include <cmath>

namespace gcompile {
namespace {

int64_t part(int64_t bytes, double share) {
  return int64_t(std::llround(double(bytes) * std::clamp(share, 0.0, 1.0)));
}

class Builder {
public:
  Builder(const Plan &plan)
      : plan(plan), all(plan.phases.empty() ? plan.memory : plan.phases.back().memory) {
    for (const PlannedKv &kv : plan.kvCaches)
      (kv.layerType == "local" ? local : global) = kv;
    // Rows beyond the window are counted as activations: see PlannedKv::bytes.
    localWindow = std::clamp<int64_t>(all.kvCache - global.bytes, 0, local.bytes);
    surplus = std::min(local.bytes - localWindow, all.activations);
    windowRows =
        local.bytes > 0 ? double(local.capacity) * double(localWindow) / double(local.bytes) : 0;
  }

  MemoryTimeline build(double loadBytesPerSecond) {
    int64_t prompt = std::clamp<int64_t>(plan.context / 2, 1, 512);
    const Predictions &p = plan.predicted;
    auto time = [](double amount, double rate) { return rate > 0 ? amount / rate : 0; };
    // Phases are counted when a plan is made; one from a file knows their largest alone.
    std::vector<PlanPhase> towers;
    for (const PlanPhase &phase : plan.phases)
      if (phase.memory.encoders > 0)
        towers.push_back(phase);
    if (towers.empty() && all.encoders > 0)
      towers.push_back({"encode", all});
    bool encodes = !towers.empty();
    double loaded = 0.16, encoded = encodes ? 0.28 : loaded, read = encodes ? 0.46 : 0.38;
    timeline.phases.push_back(
        {"load", time(double(all.weights + all.code), loadBytesPerSecond), 0, 0, 0, loaded});
    for (size_t i = 0; i < towers.size(); ++i) {
      double width = (encoded - loaded) / double(towers.size());
      timeline.phases.push_back(
          {towers[i].name, 0, 0, 0, loaded + width * double(i), loaded + width * double(i + 1)});
    }
    timeline.phases.push_back(
        {"prefill", time(double(prompt), p.prefillTokensPerSecond), 0, prompt, encoded, read});
    timeline.phases.push_back({"decode",
                               time(double(plan.context - prompt), p.decodeTokensPerSecond), prompt,
                               plan.context, read, 1});

    MemoryAccount now;
    now.runtime = all.runtime;
    now.code = all.code;
    sample(0, 0, now);
    now.weights = all.weights;
    if (plan.tables != TablePlacement::Storage && !plan.expertsOnStorage())
      now.tables = all.tables;
    sample(loaded, 0, now);
    for (size_t i = 0; i < towers.size(); ++i) {
      const TimelinePhase &phase = timeline.phases[i + 1];
      sample(phase.start, 0, towers[i].memory);
      sample(phase.end, 0, towers[i].memory);
    }
    now.encoders = 0;
    // The arena is touched by the first chunk and stays.
    now.activations = all.activations - surplus;
    grow(now, 0, prompt, encoded, read, 16);
    grow(now, prompt, plan.context, read, 1, 48);
    return std::move(timeline);
  }

private:
  void sample(double at, int64_t position, const MemoryAccount &memory) {
    timeline.samples.push_back({at, position, memory});
  }

  void grow(MemoryAccount now, int64_t from, int64_t to, double start, double end, int steps) {
    int64_t arena = now.activations;
    for (int i = 0; i <= steps; ++i) {
      int64_t position = from + (to - from) * i / steps;
      double rows = double(position);
      now.kvCache = all.kvCache - localWindow;
      // Everything is there when the context is full; capacities are rounded up.
      now.kvCache = part(now.kvCache, plan.context > 0 ? rows / double(plan.context) : 1) +
                    part(localWindow, windowRows > 0 ? rows / windowRows : 1);
      double beyond = double(local.capacity) - windowRows;
      now.activations =
          arena + part(surplus, beyond >= 1 ? (rows - windowRows) / beyond : double(i > 0));
      if (position == plan.context) {
        now.kvCache = all.kvCache;
        now.activations = all.activations;
        now.tables = all.tables;
      } else if (plan.expertsOnStorage()) {
        now.tables = position > 0 ? all.tables : 0; // the first chunks fill the cache
      } else if (plan.tables == TablePlacement::Storage) {
        now.tables =
            part(all.tables, plan.tableCacheRows > 0 ? rows / double(plan.tableCacheRows) : 1);
      }
      sample(start + (end - start) * double(i) / double(steps), position, now);
    }
  }

  const Plan &plan;
  const MemoryAccount all; // while text is processed
  PlannedKv local, global;
  int64_t localWindow = 0, surplus = 0;
  double windowRows = 0;
  MemoryTimeline timeline;
};

} // namespace

MemoryTimeline memoryTimeline(const Plan &plan, double loadBytesPerSecond) {
  return Builder(plan).build(loadBytesPerSecond);
}

} // namespace gcompile
