// An invocation as the command that gives it again, with its resolved options: sizes as numbers of
// bytes, the model that was chosen. For reports.
#pragma once

#include "compiler/Driver/CompilerInvocation.h"

#include <string>

namespace gcompile {

// `model`: path or preset, when the invocation names none. Quoted for a POSIX shell.
std::string commandLine(const CompilerInvocation &invocation, llvm::StringRef model,
                        int64_t budgetBytes);

// One word for a POSIX shell.
std::string shellQuoted(llvm::StringRef word);

} // namespace gcompile
