// The static scales of a plan (docs/decisions/0011): those that the checkpoint states, those of a
// plan that is replayed, or new ones, measured on the text of --calibration; and what they cost.
#pragma once

#include "compiler/Driver/CompilerInvocation.h"
#include "compiler/Import/ImportModel.h"
#include "passes/Cost/QualityModel.h"

namespace gcompile {

struct PlannedScales {
  Activations activations = Activations::Dynamic;
  std::map<std::string, ActivationScales> byTensor; // of activations
  std::map<int64_t, CacheScaleChoice> caches;       // by layer

  std::string hash() const; // of all scales, bit for bit
};
PlannedScales scalesOf(const Plan &plan);

// Scales of a plan that the model has no place for, in words; empty: there are none.
std::string strayScales(const ModelShape &shape, const Plan &plan);

// Static where the checkpoint states scales, unless flags or `replayed` (null: none) say otherwise.
// Errors: scales that nobody states and no text to measure them on; a plan with stray scales.
llvm::Expected<PlannedScales> chooseScales(const ImportedModel &model, const ModelShape &shape,
                                           const CompilerInvocation &options, const Plan *replayed);

// Measures on the text of --calibration what `scales` cost beside what `quality` knows, which is of
// the model as it was made: prices of caches become those of their scales, the cost of activations
// is the result. None: there is no text, or nothing static to count.
llvm::Expected<std::optional<StaticCost>> priceScales(const ImportedModel &model,
                                                      const CompilerInvocation &options,
                                                      const PlannedScales &scales,
                                                      QualityModel &quality);

} // namespace gcompile
