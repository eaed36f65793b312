// The text of --calibration, and the windows of it on which a model is measured.
#pragma once

#include "compiler/Driver/CompilerInvocation.h"
#include "compiler/Import/ImportModel.h"

namespace gcompile {

// Windows that are scored, tokens each.
constexpr int64_t calibrationWindows = 6, calibrationWindow = 512;

// Errors name the file.
llvm::Expected<std::string> calibrationText(const CompilerInvocation &options);

// The windows as token ids, cut with the tokenizer of `model`.
llvm::Expected<std::vector<std::vector<int32_t>>>
calibrationTokens(const ImportedModel &model, llvm::StringRef text,
                  const CompilerInvocation &options);

} // namespace gcompile
