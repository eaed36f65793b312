// Plans of several modalities: each tower is a phase of its own, in which text weights and tables
// need not be in memory (they are mapped, clean pages, read again afterwards), and after which the
// tower is dropped. The peak is the largest phase. Towers are planned, not compiled.
#pragma once

#include "compiler/Plan/Plan.h"
#include "passes/Cost/ModelShape.h"

#include "llvm/ADT/ArrayRef.h"
#include "llvm/Support/Error.h"

#include <string>

namespace gcompile {

// Refuses modalities that the model has not, and contexts that one image and one clip fill.
llvm::Error checkModalities(const ModelShape &model, llvm::ArrayRef<std::string> modalities,
                            int64_t context);

// Decides the format of each tower (the largest that fits the budget), and adds the phases to a
// plan whose `memory` is that of text so far. The answer is the largest encoding phase in bytes;
// where that is more than the budget, no format helped, and the plan is of no use.
int64_t addEncoderPhases(const ModelShape &model, Plan &plan);

} // namespace gcompile
