#include "ir/Format/CacheLayout.h"

#include <algorithm>

namespace gcompile {

KvLayout valueOnlyLayout(KvFormat v, int64_t heads, int64_t headDim, int64_t capacity) {
  // V's half of the whole layout, moved to the front; it begins and ends at multiples of 64.
  KvLayout layout = kvLayout(v, v, heads, headDim, capacity);
  int64_t begin = layout.dataV;
  layout.headDataBytesK = 0;
  layout.dataK = layout.scalesK = -1;
  layout.dataV = 0;
  if (layout.scalesV >= 0)
    layout.scalesV -= begin;
  layout.bytes -= begin;
  return layout;
}

std::optional<KvLayout> cacheLayout(std::string_view k, std::string_view v, int64_t heads,
                                    int64_t headDim, int64_t capacity) {
  std::optional<KvFormat> key = parseKvFormat(k), value = parseKvFormat(v);
  if (!value || (!key && !isDerived(k)))
    return std::nullopt;
  return key ? kvLayout(*key, *value, heads, headDim, capacity)
             : valueOnlyLayout(*value, heads, headDim, capacity);
}

int64_t rotaryTableColumns(int64_t headDim, int64_t pairs) {
  return std::min(headDim / 2, (pairs + 15) / 16 * 16);
}

} // namespace gcompile
