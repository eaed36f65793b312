// Names of modules as quantizers' configurations give them: the part of Python's regular
// expressions that is met there (literals, . \. \d \w, classes, groups, alternation, * + ?, ^ $).
// Anything else is refused by name. Matching takes time linear in name times pattern, whatever the
// pattern.
#pragma once

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <bitset>
#include <vector>

namespace gcompile {

class ModulePattern {
public:
  static llvm::Expected<ModulePattern> parse(llvm::StringRef pattern);

  bool matchesStart(llvm::StringRef name) const; // Python's re.match
  bool foundIn(llvm::StringRef name) const;      // re.search
  // Where the leftmost match of re.search begins; npos: there is none.
  size_t foundAt(llvm::StringRef name) const;
  llvm::StringRef text() const { return source; }

private:
  friend class PatternParser;
  enum class Kind : uint8_t { Set, Split, Begin, End, Match };
  struct Step {
    Kind kind;
    std::bitset<256> set;         // of Set
    uint32_t next = 0, other = 0; // other: the second way of Split
  };
  bool run(llvm::StringRef name, size_t from, bool anywhere) const;
  void follow(uint32_t step, size_t at, size_t end, std::vector<uint32_t> &states,
              std::vector<bool> &seen) const;
  std::string source;
  std::vector<Step> steps;
  uint32_t start = 0;
};

} // namespace gcompile
