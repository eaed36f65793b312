// A plan as one page for people: no scripts, no external resources, the same bytes for the same
// plan. Every figure says whether it was counted, measured, published, modelled or assumed.
#pragma once

#include "compiler/Plan/Plan.h"
#include "compiler/Profile/DeviceProfile.h"

#include <cstdint>
#include <string>
#include <vector>

namespace gcompile {

// A point of the front of quality against bytes; KL in nats a token.
struct ReportFrontPoint {
  int64_t bytes = 0;
  double kl = 0, secondsPerToken = 0;
};

// How much of the arena is alive while a program runs.
struct ArenaUse {
  std::string program; // "prefill", "decode", "score"
  int64_t arenaBytes = 0;
  std::vector<int64_t> liveBytes; // in program order
};

struct ReportInput {
  const Plan *plan = nullptr;
  const DeviceProfile *profile = nullptr; // may be null: the target's facts are left out
  std::string command;                    // that gives this plan again
  std::vector<ReportFrontPoint> front;    // by rising bytes; may be empty
  std::vector<ArenaUse> arena;            // empty before code generation
  bool exactSizes = false;                // arena and code are those of generated code
  std::vector<std::string> notes;         // for people, one paragraph each
};

// Stays below reportLimitBytes for every plan: long lists are cut, and say so.
constexpr size_t reportLimitBytes = 500000;
std::string htmlReport(const ReportInput &input);

} // namespace gcompile
