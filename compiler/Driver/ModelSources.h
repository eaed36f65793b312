// Which models a run may be about: the one that was named, or those that are found on this machine,
// or the published sizes.
#pragma once

#include "compiler/Import/ImportModel.h"
#include "passes/Cost/ModelShape.h"

#include "llvm/Support/Error.h"

#include <string>
#include <vector>

namespace gcompile {

// Checkpoint folders in $GCOMPILE_MODELS, else in the Hugging Face cache ($HF_HOME,
// ~/.cache/huggingface), sorted.
std::vector<std::string> findCheckpoints();

// Orders models of which no benchmark results are published (PublishedQuality.h has the rest):
// grows with the logarithm of the parameters that work per token, falls with the KL of the plan. A
// guess.
double unpublishedQuality(const ModelShape &model, double kl);

} // namespace gcompile
