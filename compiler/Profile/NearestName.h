// The name that a mistyped one probably meant, for messages: at most two edits away, or a third of
// its length.
#pragma once

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"

#include <algorithm>
#include <string>

namespace gcompile {

// Empty when nothing is near.
inline std::string nearestName(llvm::StringRef name, llvm::ArrayRef<std::string> known) {
  unsigned best = std::max<unsigned>(2, unsigned(name.size()) / 3);
  std::string found;
  for (const std::string &candidate : known) {
    unsigned distance = llvm::StringRef(candidate).edit_distance_insensitive(name);
    if (distance <= best && (found.empty() || distance < best)) {
      best = distance;
      found = candidate;
    }
  }
  return found;
}

// "; did you mean 'x'?", or nothing.
inline std::string didYouMean(llvm::StringRef name, llvm::ArrayRef<std::string> known) {
  std::string near = nearestName(name, known);
  return near.empty() ? "" : "; did you mean '" + near + "'?";
}

} // namespace gcompile
