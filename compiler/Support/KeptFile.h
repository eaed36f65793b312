// Files that runs of gcompile leave for later runs in the user's cache folder: calibrations,
// sensitivities, rounding errors, the bandwidth of this machine. Any of them may be deleted at any
// time, lie there from another version, or be written by two runs at once.
#pragma once

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <optional>
#include <string>

namespace gcompile {

// $GCOMPILE_CACHE, else gcompile/ in the user's cache folder ($XDG_CACHE_HOME, ~/.cache). Empty
// when there is none.
std::string cacheFolder();

// 128-bit hash of `text`, 32 hex digits: names files after all that their content depends on.
std::string hashOf(llvm::StringRef text);

// A regular file of at most `mostBytes` bytes, whole.
llvm::Expected<std::string> readKeptFile(llvm::StringRef path, uint64_t mostBytes);

// Replaces the file whole or not at all. The error starts with the path.
llvm::Error replaceFile(llvm::StringRef path, llvm::StringRef content);

// The same; makes the folder first.
llvm::Error writeKeptFile(llvm::StringRef path, llvm::StringRef text);

// Text with its own hash in front, so that damage shows; and back: none when the hash is not that
// of the rest.
std::string sealed(llvm::StringRef text);
std::optional<std::string> unsealed(llvm::StringRef text);

} // namespace gcompile
