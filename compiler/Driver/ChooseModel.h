// Which of several models to take when none was named: each is planned, and the best that fits
// wins.
#pragma once

#include "compiler/Driver/Candidate.h"

#include "llvm/Support/JSON.h"

#include <string>
#include <vector>

namespace gcompile {

// One model that was planned.
struct Considered {
  std::string model;
  bool feasible = false;
  int64_t peakBytes = 0; // the least it needs when it does not fit
  double quality = 0;
};

struct ModelChoice {
  Candidate candidate;
  PlanOutcome outcome; // without a plan: nothing fits, and this needs the least
  std::vector<Considered> considered;
  std::vector<std::string> notes; // what was left out, and why
};

llvm::Expected<ModelChoice> chooseModel(const std::vector<std::string> &sources,
                                        const DeviceProfile &profile,
                                        const CompilerInvocation &options);

llvm::json::Array consideredJson(const std::vector<Considered> &considered);

} // namespace gcompile
