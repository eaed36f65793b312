// Renders a conversation in Gemma's turn form, as the checkpoint's template would
// (runtime/abi/gc_artifact.h says what was found in it).
#pragma once

#include "runtime/core/Tokenizer.h"
#include "runtime/host/Model.h"

#include <stdlib.h>
#include <string.h>

namespace gcompile::runtime {

// A growing text with the ranges where special tokens count.
class Rendering {
public:
  ~Rendering() {
    free(text);
    free(ranges);
  }
  void markup(const char *string) {
    size_t length = strlen(string);
    if (!length)
      return;
    // Neighbours become one range, so that a token may lie across two pieces of the form.
    if (rangeCount && ranges[rangeCount - 1].end == used) {
      ranges[rangeCount - 1].end += length;
    } else {
      auto *more = static_cast<ByteRange *>(realloc(ranges, (rangeCount + 1) * sizeof(ByteRange)));
      if (!more) {
        failed = true;
        return;
      }
      ranges = more;
      ranges[rangeCount++] = {used, used + length};
    }
    literal(string, length);
  }
  void literal(const char *string, size_t bytes) {
    if (used + bytes > capacity) {
      uint64_t wanted = (used + bytes) * 2;
      auto *more = static_cast<char *>(realloc(text, wanted));
      if (!more) {
        failed = true;
        return;
      }
      text = more;
      capacity = wanted;
    }
    if (bytes)
      memcpy(text + used, string, bytes);
    used += bytes;
  }

  char *text = nullptr;
  ByteRange *ranges = nullptr;
  uint64_t used = 0, capacity = 0, rangeCount = 0;
  bool failed = false;
};

// Appends the conversation. GC_BAD_ARGUMENT: something in it has no form; GC_NO_MEMORY.
Status renderChat(const gc_turn_form &form, const gc_chat &chat, Rendering &out, Message &message);

// Takes white space off both ends, as the template's trim does.
void trimSpace(const char *&text, size_t &bytes);

} // namespace gcompile::runtime
