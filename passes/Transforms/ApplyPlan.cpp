// gemma-apply-plan: replays a plan's decisions on weights and caches.
#include "passes/Transforms/ApplyPlan.h"
#include "passes/Passes.h"

using namespace mlir;

namespace gcompile {
#define GEN_PASS_DEF_APPLYPLAN
#include "passes/Passes.h.inc"

namespace {
struct ApplyPlan : impl::ApplyPlanBase<ApplyPlan> {
  using ApplyPlanBase::ApplyPlanBase;
  explicit ApplyPlan(PlanDecisions decisions) : decisions(std::move(decisions)) {}

  // Tests say one format for all.
  LogicalResult readOptions(PlanDecisions &all) {
    std::optional<WeightFormat> matrix = parseWeightFormat(std::string_view(weights)),
                                rows = parseWeightFormat(std::string_view(table));
    std::optional<KvFormat> cache = parseKvFormat(std::string_view(kv));
    for (auto [format, known] : {std::pair(StringRef(weights), matrix.has_value()),
                                 std::pair(StringRef(table), rows.has_value()),
                                 std::pair(StringRef(kv), cache.has_value())})
      if (!known)
        return getOperation().emitError()
               << "cannot take format '" << format << "', which the registry does not know";
    for (auto weight : getOperation().getOps<gemma::WeightOp>())
      all.tensorFormats[weight.getSource()] =
          weight.getRole() == gemma::perLayerTableRole ? *rows : *matrix;
    all.localK = all.localV = all.globalK = all.globalV = *cache;
    all.context = context;
    all.chunk = chunk;
    all.expertSlots = expertSlots;
    return success();
  }

  void runOnOperation() override {
    PlanDecisions all;
    if (!decisions && failed(readOptions(all)))
      return signalPassFailure();
    if (failed(writeDecisions(getOperation(), decisions ? *decisions : all)))
      signalPassFailure();
  }

  std::optional<PlanDecisions> decisions;
};
} // namespace

std::unique_ptr<Pass> createApplyPlan(PlanDecisions decisions) {
  return std::make_unique<ApplyPlan>(std::move(decisions));
}
} // namespace gcompile
