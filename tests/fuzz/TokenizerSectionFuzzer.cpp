// The tokenizer section of a .gpk and a text to encode with it. Input: two bytes with the section's
// length (little-endian), the section, the text. Whatever open() accepts must encode any text to
// its own pieces and decode them again within the promised room.
#include "runtime/core/Tokenizer.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <vector>

using namespace gcompile::runtime;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size) {
  if (size < 2)
    return 0;
  size_t sectionBytes = std::min<size_t>(input[0] | input[1] << 8, size - 2);
  // On the heap and no larger than it is, so that reads past it are seen; malloc aligns as a
  // mapping does.
  auto *section = static_cast<uint8_t *>(malloc(std::max<size_t>(sectionBytes, 1)));
  memcpy(section, input + 2, sectionBytes);
  auto *text = reinterpret_cast<const char *>(input + 2 + sectionBytes);
  size_t textBytes = size - 2 - sectionBytes;
  Tokenizer tokenizer;
  Message message;
  if (Tokenizer::open(section, sectionBytes, tokenizer, message) == GC_OK) {
    std::vector<int32_t> tokens(3 * textBytes + 1);
    TokenSink sink{tokens.data(), tokens.size()};
    Scratch scratch{realloc};
    ByteRange markup[] = {{0, textBytes / 2}, {textBytes / 2 + 1, UINT64_MAX}};
    if (tokenizer.encode(text, textBytes, markup, 2, scratch, sink, message) != GC_OK)
      abort();
    free(scratch.data);
    if (sink.count > tokens.size())
      abort();
    gc_text_state state = {};
    std::vector<char> piece(tokenizer.longestOutput());
    for (uint64_t i = 0; i < sink.count; ++i) {
      if (uint32_t(tokens[i]) >= tokenizer.pieceCount())
        abort();
      if (tokenizer.decode(state, uint32_t(tokens[i]), Tokenizer::Specials::Show, piece.data()) >
          piece.size())
        abort();
    }
    Tokenizer::finish(state, piece.data());
  }
  free(section);
  return 0;
}
