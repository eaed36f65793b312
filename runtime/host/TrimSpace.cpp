#include "runtime/host/TrimSpace.h"

#include "runtime/core/Utf8.h"

namespace gcompile::runtime {
namespace {

bool isSpace(uint32_t c) {
  return (c >= 9 && c <= 13) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

} // namespace

void trimSpace(const char *&text, size_t &bytes) {
  auto *begin = reinterpret_cast<const uint8_t *>(text), *end = begin + bytes;
  while (begin < end) {
    Utf8 c = decodeUtf8(begin, uint64_t(end - begin));
    if (c.bytes <= 0 || !isSpace(c.codePoint))
      break;
    begin += c.bytes;
  }
  while (begin < end) {
    const uint8_t *last = end - 1;
    while (last > begin && end - last < 4 && (*last & 0xC0) == 0x80)
      --last;
    Utf8 c = decodeUtf8(last, uint64_t(end - last));
    if (c.bytes != end - last || !isSpace(c.codePoint))
      break;
    end = last;
  }
  text = reinterpret_cast<const char *>(begin);
  bytes = size_t(end - begin);
}

} // namespace gcompile::runtime
