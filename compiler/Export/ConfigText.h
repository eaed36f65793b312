// config.json of an exported folder. What the checkpoint states stays as it is written: readers are
// strict about types, and llvm::json would print 30.0 as 30.
#pragma once

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/JSON.h"

#include <string>

namespace gcompile {

// The object without the members in `dropped`, and with this one at its end. `object` is the text
// of a JSON object, which a parser has accepted.
std::string withMember(llvm::StringRef object, llvm::ArrayRef<llvm::StringRef> dropped,
                       llvm::StringRef key, const llvm::json::Value &value);

} // namespace gcompile
