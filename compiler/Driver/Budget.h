// Sizes on the command line: "1GB" = 10^9, "1GiB" = 2^30, "500 mb", "123456" (bytes), "0". Units
// are case-insensitive.
#pragma once

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <cstdint>

namespace gcompile {

// Refuses what is no size: signs, unknown units, more than 2^62 bytes.
llvm::Expected<int64_t> parseByteSize(llvm::StringRef text);

} // namespace gcompile
