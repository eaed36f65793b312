// What is known of the quality that formats cost a model, as deep as the user asks: from shapes
// alone, from the weights, from the inputs that its layers see on a text, or measured on it as KL.
// The last two are kept in the user's cache folder, for this device and every other.
#pragma once

#include "compiler/Driver/CompilerInvocation.h"
#include "compiler/Import/ImportModel.h"
#include "passes/Cost/QualityModel.h"

#include <memory>

namespace gcompile {

// Of the model as it was made: with the static activations that the checkpoint states, if any. What
// a plan's own scales change comes on top (compiler/Driver/PlannedScales.h).
llvm::Expected<std::shared_ptr<QualityModel>> modelQuality(const ImportedModel &model,
                                                           const ModelShape &shape,
                                                           const CompilerInvocation &options);

// The tensors whose inputs are rounded to static scales: integer kernels round nothing more there.
std::set<std::string> staticInputsOf(const std::map<std::string, ActivationScales> &scales);

} // namespace gcompile
