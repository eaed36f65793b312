// `gcompile verify FILE --model PATH --text FILE`: how far an artifact's predictions are from those
// of the model that it was made of, on a text.
#pragma once

#include "compiler/Driver/CompilerInvocation.h"
#include "compiler/Measure/Divergence.h"

namespace gcompile {

// The original runs in f32 (bf16 when it is larger than 400 million parameters, whose weights lie
// so in the checkpoint); windows of 512 tokens, the second half of each is scored. Errors: no
// weights, another vocabulary, a text too short, an artifact that does not run here.
llvm::Expected<Divergence> klToOriginal(const std::string &artifact,
                                        const CompilerInvocation &options);

} // namespace gcompile
