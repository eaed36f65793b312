// A plan as a GGUF file that stock llama.cpp loads: every tensor in the type of llama.cpp that is
// nearest to the planned format (docs/export.md). Codes of a quantized checkpoint that the plan
// keeps are taken over. KV formats, table placement and static activations have no place in such a
// file.
#pragma once

#include "compiler/Export/Export.h"
#include "compiler/Import/ImportModel.h"
#include "compiler/Plan/Plan.h"

#include "llvm/ADT/StringRef.h"

namespace gcompile {

// Errors: no weights, a plan for another model, an output that cannot be written; nothing is left
// behind then.
llvm::Expected<ExportSummary> exportGguf(const ImportedModel &model, const Plan &plan,
                                         llvm::StringRef path, const ExportOptions &options = {});

} // namespace gcompile
