// What is known of the quality that formats cost a model, as deep as the user asks: from shapes
// alone, from the weights, from the inputs that its layers see on a text, or measured on it as KL.
// The last two are kept in the user's cache folder, for this device and every other.
#pragma once

#include "compiler/Driver/CompilerInvocation.h"
#include "compiler/Import/ImportModel.h"
#include "passes/Cost/QualityModel.h"

#include <memory>

namespace gcompile {

llvm::Expected<std::shared_ptr<const QualityModel>> modelQuality(const ImportedModel &model,
                                                                 const ModelShape &shape,
                                                                 const CompilerInvocation &options);

// Scales of static activations for a checkpoint that states none, measured on the text of
// --calibration.
llvm::Expected<std::map<std::string, ActivationScales>>
calibratedActivations(const ImportedModel &model, const CompilerInvocation &options);
// Likewise of caches.
llvm::Expected<std::map<int64_t, CacheScaleChoice>>
calibratedCaches(const ImportedModel &model, const CompilerInvocation &options);

} // namespace gcompile
