#include "compiler/Driver/ScaleNotes.h"

#include "llvm/Support/FormatVariadic.h"

namespace gcompile {

// What the expected KL holds of it.
static std::string costOf(const Plan &plan) {
  const std::optional<StaticCost> &cost = plan.predicted.staticCost;
  if (!cost)
    return "the expected KL does not hold what that costs; --calibration TEXT measures it, "
           "gcompile verify too";
  return llvm::formatv("that alone costs {0:f5} nats on the calibration text, which the expected "
                       "KL holds",
                       cost->activations)
      .str();
}

std::string activationsNote(const Candidate &candidate, const PlanRequest &request,
                            const Plan &plan) {
  std::map<std::string, ActivationScales> stated = statedActivationScales(candidate.model);
  if (stated.empty() && plan.activationScales.empty())
    return "";
  std::string layers = std::to_string(plan.activationScales.size()) + " linear layers ";
  if (stated.empty())
    return layers +
           "take static int8 activations, which the checkpoint was not made for: " + costOf(plan);
  if (plan.activationScales.empty())
    return "the checkpoint was made for static int8 activations, which this plan drops: expect a "
           "clear loss; " +
           costOf(plan);
  if (plan.activationScales != stated)
    return "the checkpoint was made for static int8 activations, but this plan has other scales: " +
           costOf(plan);
  size_t left = 0;
  if (request.quality)
    for (const auto &[tensor, native] : request.quality->nativeFormats)
      if (auto found = plan.tensorFormats.find(tensor); found != plan.tensorFormats.end())
        left += found->second != native;
  std::string note = "the checkpoint was made for static int8 activations: " + layers + "keep them";
  if (left)
    note += "; " + std::to_string(left) +
            " tensors take another format than the grid that they were trained on, so their "
            "weights are rounded again (their activations are not)";
  return note;
}

std::string cacheScalesNote(const Candidate &candidate, const Plan &plan) {
  size_t fixed = 0;
  for (const PlannedKv &kv : plan.kvCaches)
    if (hasScales(kv.k) || hasScales(kv.v))
      for (const auto &[layer, scales] : plan.cacheScales)
        fixed += candidate.shape.layers[layer].global == (kv.layerType == "global");
  bool stated = !statedCacheScales(candidate.model).empty();
  if (!fixed)
    return stated && plan.cacheScales.empty()
               ? "the checkpoint states static scales of caches, which this plan drops"
               : "";
  std::string note = "static scales of " + std::to_string(fixed) + " caches ";
  note += stated ? "are the checkpoint's, applied to what is stored: keys after norm and rotation, "
                   "values after norm (docs/decisions/0011)"
                 : "are in the plan, not in the checkpoint";
  return note + (plan.predicted.staticCost
                     ? "; their price in the expected KL was measured with them"
                     : "; the expected KL prices a scale a row, which is finer (--calibration TEXT "
                       "measures these)");
}

} // namespace gcompile
