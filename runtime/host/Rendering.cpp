#include "runtime/host/Rendering.h"

namespace gcompile::runtime {

void Rendering::markup(const char *string) {
  size_t length = strlen(string);
  if (!length)
    return;
  // Neighbours become one range, so that a token may lie across two pieces of the form.
  if (rangeCount && ranges[rangeCount - 1].end == text.bytes) {
    ranges[rangeCount - 1].end += length;
  } else {
    auto *more = static_cast<ByteRange *>(realloc(ranges, (rangeCount + 1) * sizeof(ByteRange)));
    if (!more) {
      text.failed = true;
      return;
    }
    ranges = more;
    ranges[rangeCount++] = {text.bytes, text.bytes + length};
  }
  text.add(string, length);
}

} // namespace gcompile::runtime
