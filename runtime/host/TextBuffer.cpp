#include "runtime/host/TextBuffer.h"

namespace gcompile::runtime {

void TextBuffer::add(const char *string, uint64_t length) {
  if (bytes + length > capacity) {
    uint64_t wanted = (bytes + length) * 2 + 64;
    auto *more = static_cast<char *>(realloc(text, wanted));
    if (!more) {
      failed = true;
      return;
    }
    text = more;
    capacity = wanted;
  }
  if (length)
    memcpy(text + bytes, string, length);
  bytes += length;
}

} // namespace gcompile::runtime
