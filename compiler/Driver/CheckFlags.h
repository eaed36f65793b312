// Flags that contradict each other, or that the command does not know what to do with: better one
// line now than an answer to another question.
#pragma once

#include "compiler/Driver/CompilerInvocation.h"

namespace gcompile {

// One line; the exit code is BadFlags.
llvm::Error checkFlags(const CompilerInvocation &invocation);

} // namespace gcompile
