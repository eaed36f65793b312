// Runs other programs such that a signal which ends this process ends them too: an orphaned linker
// would write its output after everything else was tidied up.
#pragma once

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"

#include <optional>
#include <string>

namespace gcompile {

// As llvm::sys::ExecuteAndWait: the exit code, negative where the program could not be run or died
// (then `why` says so).
int runProgram(llvm::StringRef program, llvm::ArrayRef<llvm::StringRef> arguments,
               llvm::ArrayRef<std::optional<llvm::StringRef>> redirects, std::string &why);

// Ends the programs that runProgram waits for, and waits until they are gone. Async-signal-safe,
// for handlers that end the process.
void stopRunningPrograms();

} // namespace gcompile
