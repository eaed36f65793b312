// Split GGUF files: how parts are called and what they say of themselves.
#pragma once

#include "compiler/Import/Gguf/GgufHeader.h"

#include <optional>

namespace gcompile {

// "PREFIX-00001-of-00003.gguf".
struct GgufSplitName {
  llvm::StringRef prefix;
  unsigned number = 0, count = 0; // from 1
};
std::optional<GgufSplitName> ggufSplitName(llvm::StringRef name);
std::string ggufPartName(llvm::StringRef prefix, unsigned number, unsigned count);

// A key of one whole number; −1: absent.
llvm::Expected<int64_t> ggufSplitKey(const GgufHeader &header, llvm::StringRef key,
                                     llvm::StringRef name);
// That the header says it is part `number` (from 0) of `count`.
llvm::Error checkGgufPart(const GgufHeader &header, llvm::StringRef name, int64_t number,
                          int64_t count);

} // namespace gcompile
