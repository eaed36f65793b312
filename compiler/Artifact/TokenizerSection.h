// Lays a tokenizer out as the section that the runtime searches in place
// (runtime/abi/gc_tokenizer.h).
//
// The same data gives the same bytes. Expects what parseTokenizerJson guarantees: dense ids, merges
// of known pieces with a known result. Where a pair stands in the merge list twice, the later one
// counts, as in the reference library.
#pragma once

#include "compiler/Import/TokenizerData.h"

#include "llvm/Support/Error.h"

#include <cstdint>
#include <vector>

namespace gcompile {

// Fails when the tokenizer is larger than the section's fields can say, or names an id that is no
// piece.
llvm::Expected<std::vector<uint8_t>> serializeTokenizer(const TokenizerData &tokenizer);

} // namespace gcompile
