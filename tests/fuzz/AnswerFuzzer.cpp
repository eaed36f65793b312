// Answers of a model: the first byte says whether the prompt opened a thought; in the rest, bytes 1
// to 7 stand for special tokens. What comes out is JSON that the strict reader takes, whatever goes
// in.
#include "runtime/host/AnswerReader.h"
#include "runtime/host/JsonReader.h"

using namespace gcompile::runtime;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size) {
  static const char *const pieces[] = {"<|channel>", "<channel|>", "<|tool_call>", "<tool_call|>",
                                       "<|\"|>",     "<turn|>",    "call:f{"};
  if (size < 1)
    return 0;
  AnswerReader reader(input[0] & 1);
  for (size_t i = 1; i < size; ++i) {
    auto *byte = reinterpret_cast<const char *>(input + i);
    bool isMark = input[i] >= 1 && input[i] <= 7;
    const char *piece = isMark ? pieces[input[i] - 1] : byte;
    uint64_t bytes = isMark ? strlen(piece) : 1;
    reader.add(piece, bytes, answerMark(piece, bytes));
  }
  TextBuffer message;
  if (reader.finish(message) != GC_OK)
    return 0;
  JsonDocument document;
  Message why;
  if (document.parse(message.text, message.bytes, "an answer", why) != GC_OK ||
      !document.root().get("content"))
    abort();
  return 0;
}
