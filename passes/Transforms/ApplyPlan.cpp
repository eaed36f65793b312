// gemma-apply-plan: writes a plan's decisions on weights and caches. Refuses weights that the plan
// does not name.
#include "passes/Transforms/ApplyPlan.h"
#include "passes/Passes.h"

using namespace mlir;

namespace gcompile {
#define GEN_PASS_DEF_APPLYPLAN
#include "passes/Passes.h.inc"

int64_t cacheCapacity(int64_t window, int64_t context, int64_t chunk) {
  int64_t slots = window ? std::min(context, window + chunk - 1) : context;
  return (slots + 63) / 64 * 64;
}

namespace {
struct ApplyPlan : impl::ApplyPlanBase<ApplyPlan> {
  using ApplyPlanBase::ApplyPlanBase;
  explicit ApplyPlan(PlanDecisions decisions) : decisions(std::move(decisions)) {}

  LogicalResult applyTo(gemma::WeightOp weight) {
    auto type = cast<ShapedType>(weight.getType());
    StringRef format = "f32";
    if (type.getRank() == 2) {
      if (decisions) {
        auto found = decisions->tensorFormats.find(weight.getSource());
        if (found == decisions->tensorFormats.end())
          return weight.emitOpError()
                 << "has no format in the plan (tensor '" << weight.getSource() << "')";
        format = name(found->second);
      } else {
        format =
            weight.getRole() == gemma::perLayerTableRole ? StringRef(table) : StringRef(weights);
      }
      std::optional<WeightFormat> parsed = parseWeightFormat(format);
      if (!parsed)
        return weight.emitOpError()
               << "cannot take format '" << format << "', which the registry does not know";
      if (weight.getRole() == gemma::perLayerTableRole && !isRowTableFormat(*parsed))
        return weight.emitOpError() << "is a row table and cannot take format '" << format << "'";
    }
    weight.setFormat(format);
    return success();
  }

  LogicalResult applyTo(gemma::KvCacheOp cache) {
    StringRef k = kv, v = kv;
    int64_t positions = context, rows = chunk;
    if (decisions) {
      bool local = cache.getWindow() != 0;
      k = name(local ? decisions->localK : decisions->globalK);
      v = name(local ? decisions->localV : decisions->globalV);
      positions = decisions->context;
      rows = decisions->chunk;
    }
    if (!parseKvFormat(k) || !parseKvFormat(v))
      return cache.emitOpError() << "cannot take format '" << (parseKvFormat(k) ? v : k)
                                 << "', which the registry does not know";
    cache.setKFormat(k);
    cache.setVFormat(v);
    cache.setCapacity(cacheCapacity(cache.getWindow(), positions, rows));
    // A ring never needs fewer slots than its window, whatever the context.
    if (cache.getWindow() && *cache.getCapacity() < cache.getWindow())
      cache.setWindow(0);
    return success();
  }

  void runOnOperation() override {
    for (Operation &op : *getOperation().getBody()) {
      LogicalResult result = success();
      if (auto weight = dyn_cast<gemma::WeightOp>(op))
        result = applyTo(weight);
      else if (auto cache = dyn_cast<gemma::KvCacheOp>(op))
        result = applyTo(cache);
      if (failed(result))
        return signalPassFailure();
    }
  }

  std::optional<PlanDecisions> decisions;
};
} // namespace

std::unique_ptr<Pass> createApplyPlan(PlanDecisions decisions) {
  return std::make_unique<ApplyPlan>(std::move(decisions));
}
} // namespace gcompile
