#include "compiler/Driver/ChooseModel.h"

#include "compiler/Driver/ModelSources.h"

#include <optional>

namespace gcompile {

llvm::Expected<ModelChoice> chooseModel(const std::vector<std::string> &sources,
                                        const DeviceProfile &profile,
                                        const CompilerInvocation &options) {
  std::optional<std::pair<Candidate, PlanOutcome>> best;
  double bestQuality = 0;
  std::vector<Considered> considered;
  std::vector<std::string> notes;
  for (const std::string &source : sources) {
    llvm::Expected<Candidate> candidate = loadCandidate(source, options);
    if (!candidate) {
      if (sources.size() == 1)
        return candidate.takeError();
      notes.push_back("left out: " + llvm::toString(candidate.takeError()));
      continue;
    }
    llvm::Expected<PlanRequest> request = requestFor(*candidate, profile, options);
    if (!request)
      return request.takeError();
    llvm::Expected<PlanOutcome> outcome = planModel(*request);
    if (!outcome)
      return outcome.takeError();
    bool fits = outcome->plan.has_value();
    double quality = fits ? expectedQuality(candidate->shape, outcome->plan->predicted.kl) : 0;
    considered.push_back({candidate->shape.name, fits,
                          fits ? outcome->plan->memory.peak() : outcome->smallestBudgetBytes,
                          quality});
    bool better = !best;
    if (best && fits)
      better = !best->second.plan || quality > bestQuality;
    else if (best && !best->second.plan)
      better = outcome->smallestBudgetBytes < best->second.smallestBudgetBytes;
    if (better) {
      best.emplace(std::move(*candidate), std::move(*outcome));
      bestQuality = quality;
    }
  }
  if (!best)
    return llvm::createStringError("no checkpoint found could be read");
  return ModelChoice{std::move(best->first), std::move(best->second), std::move(considered),
                     std::move(notes)};
}

llvm::json::Array consideredJson(const std::vector<Considered> &considered) {
  llvm::json::Array array;
  for (const Considered &one : considered)
    array.push_back(llvm::json::Object{{"model", one.model},
                                       {"feasible", one.feasible},
                                       {"peak_bytes", one.peakBytes},
                                       {"expected_quality", one.quality}});
  return array;
}

} // namespace gcompile
