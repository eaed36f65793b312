// Layouts of KV caches whose formats are names, as the IR and plans hold them. Besides the formats
// of ir/Format/Format.h, K may be "derived": such a cache holds V alone, and attention forms K from
// it (docs/decisions/0007). Sizes are bytes. Standard library only.
#pragma once

#include "ir/Format/Format.h"

namespace gcompile {

inline constexpr std::string_view derivedKeys = "derived";
inline bool isDerived(std::string_view kFormat) { return kFormat == derivedKeys; }

// A cache of V alone: `dataK` and `scalesK` are −1, `headDataBytesK` is 0.
KvLayout valueOnlyLayout(KvFormat v, int64_t heads, int64_t headDim, int64_t capacity);

// Of a cache with these formats; none when the registry does not know one of them.
std::optional<KvLayout> cacheLayout(std::string_view k, std::string_view v, int64_t heads,
                                    int64_t headDim, int64_t capacity);

// Columns of the table of cosines and sines that derived keys are rotated with: the `pairs` that
// rotate, rounded up to whole vectors of 16, never more than a head has.
int64_t rotaryTableColumns(int64_t headDim, int64_t pairs);

} // namespace gcompile
