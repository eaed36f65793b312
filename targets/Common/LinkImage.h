// An ELF object to one flat, position-independent block of code and constants, as the runtime maps
// it: no relocations, no undefined symbols, nothing writable. ld.lld does the linking; what it made
// is checked here, and refused when any of these promises is broken.
#pragma once

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace gcompile {

struct CodeImage {
  std::vector<uint8_t> bytes;              // mapped at a page border, read-only and executable
  std::map<std::string, uint64_t> symbols; // byte offset of each export
};

llvm::Expected<CodeImage> linkImage(llvm::StringRef object, llvm::ArrayRef<std::string> exports);

// The path of ld.lld: beside LLVM's tools, then in PATH.
llvm::Expected<std::string> findLinker();

} // namespace gcompile
