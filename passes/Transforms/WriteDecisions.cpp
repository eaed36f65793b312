#include "passes/Transforms/WriteDecisions.h"

#include "ir/Format/CacheLayout.h"
#include "ir/Format/Stack.h"
#include "mlir/IR/Builders.h"

using namespace mlir;

namespace gcompile {

int64_t cacheCapacity(int64_t window, int64_t context, int64_t chunk) {
  int64_t slots = window ? std::min(context, window + chunk - 1) : context;
  return (slots + 63) / 64 * 64;
}

static void writeScales(gemma::WeightOp weight, ActivationScales scales) {
  Builder builder(weight.getContext());
  if (scales.input != 0)
    weight.setInputScaleAttr(builder.getF32FloatAttr(scales.input));
  if (scales.output != 0)
    weight.setOutputScaleAttr(builder.getF32FloatAttr(scales.output));
}

LogicalResult writeDecisions(gemma::WeightOp weight, const PlanDecisions &decisions) {
  if (cast<ShapedType>(weight.getType()).getRank() < 2) {
    weight.setFormat(name(WeightFormat::F32));
    return success();
  }
  auto found = decisions.tensorFormats.find(weight.getSource());
  if (found == decisions.tensorFormats.end())
    return weight.emitOpError() << "has no format in the plan (tensor '" << weight.getSource()
                                << "')";
  weight.setFormat(name(found->second));
  writeScales(weight, decisions.activationScales.lookup(weight.getSource()));
  if (weight.getMatrices() > 1 && decisions.expertSlots == 0)
    weight.setPlacement(gemma::inMemory);
  if (weight.getRole() != gemma::perLayerTableRole)
    return success();
  if (!isRowTableFormat(found->second))
    return weight.emitOpError() << "is a row table and cannot take format '" << name(found->second)
                                << "'";
  weight.setPlacement(decisions.tableOnStorage ? gemma::onStorage : gemma::inMemory);
  if (decisions.tableOnStorage)
    weight.setCacheRows(decisions.tableCacheRows);
  else
    weight.removeCacheRowsAttr();
  return success();
}

LogicalResult writeDecisions(gemma::KvCacheOp cache, const PlanDecisions &decisions) {
  bool local = cache.getWindow() != 0;
  // Derived keys are read in V's format; the plan's K names the same one or, in older plans, the
  // format that keys were stored in.
  cache.setKFormat(cache.getDerivedKeys() ? derivedKeys
                                          : name(local ? decisions.localK : decisions.globalK));
  cache.setVFormat(name(local ? decisions.localV : decisions.globalV));
  // An alias takes none: its donor's are what is written with.
  CacheScales scales;
  if (!cache.getDonor())
    scales = decisions.cacheScales.lookup(cache.getLayer())
                 .of(local ? decisions.localK : decisions.globalK,
                     local ? decisions.localV : decisions.globalV);
  Builder builder(cache.getContext());
  if (scales.key != 0)
    cache.setKeyScaleAttr(builder.getF32FloatAttr(scales.key));
  if (scales.value != 0)
    cache.setValueScaleAttr(builder.getF32FloatAttr(scales.value));
  cache.setCapacity(cacheCapacity(cache.getWindow(), decisions.context, decisions.chunk));
  // A ring never needs fewer slots than its window, whatever the context.
  if (cache.getWindow() && *cache.getCapacity() < cache.getWindow())
    cache.setWindow(0);
  return success();
}

// Both matrices of an expert, and so both stacks of a layer, lie in one block; blocks of all layers
// are alike.
static LogicalResult placeExperts(ModuleOp module, int64_t slots) {
  SmallVector<gemma::WeightOp> gateUps, downs;
  for (auto weight : module.getOps<gemma::WeightOp>())
    if (weight.getMatrices() > 1)
      (weight.getRole() == gemma::expertsDownRole ? downs : gateUps).push_back(weight);
  if (gateUps.empty() || gateUps.size() != downs.size())
    return module.emitError() << "has " << gateUps.size() << " and " << downs.size()
                              << " stacks of experts to place on storage";
  auto format = [](gemma::WeightOp weight) { return *parseWeightFormat(*weight.getFormat()); };
  auto type = cast<ShapedType>(downs.front().getType());
  ExpertBlock block =
      expertBlock(format(gateUps.front()), format(downs.front()),
                  type.getDimSize(0) / int64_t(downs.front().getMatrices()), type.getDimSize(1));
  for (auto [stacks, offset] :
       {std::pair(ArrayRef(gateUps), int64_t(0)), std::pair(ArrayRef(downs), block.downOffset)})
    for (gemma::WeightOp weight : stacks) {
      gemma::WeightOp first = stacks.front();
      if (weight.getFormat() != first.getFormat() || weight.getType() != first.getType() ||
          weight.getMatrices() != first.getMatrices())
        return weight.emitOpError()
               << "takes format '" << *weight.getFormat() << "', @" << first.getSymName() << " '"
               << *first.getFormat() << "': experts on storage are alike in all layers";
      weight.setPlacement(gemma::onStorage);
      weight.setCacheSlots(slots);
      weight.setBlockBytes(block.bytes);
      weight.setBlockOffset(offset);
    }
  return success();
}

LogicalResult writeDecisions(ModuleOp module, const PlanDecisions &decisions) {
  for (Operation &op : *module.getBody()) {
    LogicalResult result = success();
    if (auto weight = dyn_cast<gemma::WeightOp>(op))
      result = writeDecisions(weight, decisions);
    else if (auto cache = dyn_cast<gemma::KvCacheOp>(op))
      result = writeDecisions(cache, decisions);
    if (failed(result))
      return failure();
  }
  return decisions.expertSlots > 0 ? placeExperts(module, decisions.expertSlots) : success();
}

} // namespace gcompile
