// A plan as a folder of safetensors that vLLM and transformers load (compressed-tensors; formats
// note 9.5, docs/export.md). Linear layers of the text model take the scheme that is nearest to
// their planned format; embeddings, norms and towers are copied. Codes of a quantized checkpoint
// are taken over where a scheme holds them.
#pragma once

#include "compiler/Export/Export.h"
#include "compiler/Import/ImportModel.h"
#include "compiler/Plan/Plan.h"

#include "llvm/ADT/StringRef.h"

namespace gcompile {

// `sourceFolder`: where the config.json of a safetensors checkpoint lies; it, the tokenizer and the
// template are taken over. Of a GGUF file they are written anew (TextModelFiles.h). `folder` is
// made; it has to be new or empty. Errors: no weights, made-up ones, no config.json, a plan for
// another model, a folder that cannot be written. After an error no model.safetensors is there.
llvm::Expected<ExportSummary> exportCompressedTensors(const ImportedModel &model, const Plan &plan,
                                                      llvm::StringRef sourceFolder,
                                                      llvm::StringRef folder,
                                                      const ExportOptions &options = {});

} // namespace gcompile
