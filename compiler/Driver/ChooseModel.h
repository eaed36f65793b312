// Which of several models to take when none was named: each is planned, and the one with the best
// expected score among those that fit wins (compiler/Driver/PublishedQuality.h).
#pragma once

#include "compiler/Driver/Candidate.h"
#include "compiler/Driver/PublishedQuality.h"

#include "llvm/Support/JSON.h"

#include <optional>
#include <string>
#include <vector>

namespace gcompile {

// One model that was planned.
struct Considered {
  std::string model;
  bool feasible = false;
  int64_t peakBytes = 0; // the least it needs when it does not fit
  double kl = 0;         // of its plan
  double fallback = 0;   // orders models of which nothing is published
  std::optional<ExpectedScore> score;

  // Mean score in percent; 0 when it does not fit or nothing is published.
  double quality() const { return feasible && score ? score->expected : 0; }
};

struct ModelChoice {
  Candidate candidate;
  PlanOutcome outcome; // without a plan: nothing fits, and this needs the least
  std::vector<Considered> considered;
  std::string explanation;        // why this one: lines for people
  std::vector<std::string> notes; // what was left out, and why
};

// `fault` is what an error means: unreadable files, or flags that no model can follow.
llvm::Expected<ModelChoice> chooseModel(const std::vector<std::string> &sources,
                                        const DeviceProfile &profile,
                                        const CompilerInvocation &options,
                                        ExitCode *fault = nullptr);

// Whether `left` is to be preferred.
bool isBetter(const Considered &left, const Considered &right);

// A table of what was considered, and in words why the winner beats the runner-up.
std::string explainChoice(const std::vector<Considered> &considered);

llvm::json::Array consideredJson(const std::vector<Considered> &considered);

} // namespace gcompile
