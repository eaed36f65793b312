// gc_tokenize, gc_detokenize and gc_chat_tokens: the tokenizer and the turn form behind the C API.
#include "runtime/core/Utf8.h"
#include "runtime/host/Model.h"

#include <stdlib.h>
#include <string.h>

using namespace gcompile::runtime;

namespace {

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

// What Python's str.strip() takes away, which is what the template's trim does.
bool isSpace(uint32_t c) {
  return (c >= 9 && c <= 13) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

void trim(const char *&text, size_t &bytes) {
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

gc_status encodeAll(const gc_model *model, const char *text, uint64_t bytes,
                    const ByteRange *markup, uint64_t markupCount, TokenSink &sink) {
  Scratch scratch{realloc};
  gc_status status =
      model->tokenizer.encode(text, bytes, markup, markupCount, scratch, sink, threadMessage());
  free(scratch.data);
  return status;
}

gc_status needTokenizer(const gc_model *model) {
  if (model->manifest().has_tokenizer)
    return GC_OK;
  return fail(GC_NO_TOKENIZER,
              "the model was compiled without a tokenizer: give token numbers instead of text");
}

} // namespace

gc_status gc_tokenize(const gc_model *model, const char *text, size_t bytes, uint32_t flags,
                      int32_t *tokens, size_t capacity, size_t *count) {
  if (!model || (!text && bytes) || (!tokens && capacity) || !count ||
      (flags & ~uint32_t(GC_TEXT_SPECIALS | GC_TEXT_BOS)))
    return fail(GC_BAD_ARGUMENT,
                "gc_tokenize: model, text, tokens and count must not be null, flags known");
  gc_status status = needTokenizer(model);
  if (status != GC_OK)
    return status;
  ByteRange all = {0, bytes};
  TokenSink sink{tokens, capacity};
  status = encodeAll(model, text, bytes, &all, flags & GC_TEXT_SPECIALS ? 1 : 0, sink);
  if (status != GC_OK)
    return status;
  int32_t bos = model->manifest().bos_token;
  if ((flags & GC_TEXT_BOS) && bos >= 0 && sink.first != bos) {
    if (capacity) {
      size_t kept = sink.count < capacity ? sink.count : capacity - 1;
      memmove(tokens + 1, tokens, kept * sizeof *tokens);
      tokens[0] = bos;
    }
    ++sink.count;
  }
  *count = sink.count;
  return GC_OK;
}

gc_status gc_detokenize(const gc_model *model, gc_text_state *state, int32_t token, uint32_t flags,
                        char *out, size_t capacity, size_t *bytes) {
  if (!model || !state || !out || !bytes)
    return fail(GC_BAD_ARGUMENT, "gc_detokenize: model, state, out and bytes must not be null");
  gc_status status = needTokenizer(model);
  if (status != GC_OK)
    return status;
  if (capacity < gc_longest_piece(model))
    return fail(GC_BAD_ARGUMENT, "gc_detokenize: out has ", uint64_t(capacity),
                " bytes, gc_longest_piece says ", uint64_t(gc_longest_piece(model)));
  if (token < -1 || token >= int32_t(model->manifest().vocabulary))
    return fail(GC_BAD_ARGUMENT, "token ", token, " is not in the vocabulary of ",
                model->manifest().vocabulary);
  if (token == -1)
    *bytes = Tokenizer::finish(*state, out);
  else if (uint32_t(token) >= model->tokenizer.pieceCount())
    *bytes = 0; // rows of the embedding that pad the vocabulary
  else
    *bytes = model->tokenizer.decode(
        *state, uint32_t(token),
        flags & GC_TEXT_SHOW_SPECIALS ? Tokenizer::Specials::Show : Tokenizer::Specials::Hide, out);
  return GC_OK;
}

size_t gc_longest_piece(const gc_model *model) {
  return model->manifest().has_tokenizer ? model->tokenizer.longestOutput() : 0;
}

gc_status gc_chat_tokens(const gc_model *model, const gc_message *messages, size_t messageCount,
                         uint32_t flags, int32_t *tokens, size_t capacity, size_t *count) {
  if (!model || (!messages && messageCount) || (!tokens && capacity) || !count)
    return fail(GC_BAD_ARGUMENT,
                "gc_chat_tokens: model, messages, tokens and count must not be null");
  gc_status status = needTokenizer(model);
  if (status != GC_OK)
    return status;
  const gc_turn_form &form = model->manifest().turns;
  if (!form.present)
    return fail(
        GC_NO_CHAT,
        "the model has no chat template that could be compiled: give the prompt as plain text");
  Rendering rendering;
  if (flags & GC_CHAT_START)
    rendering.markup(form.start);
  if (flags & GC_CHAT_END_TURN)
    rendering.markup(form.turn_suffix);
  for (size_t i = 0; i < messageCount; ++i) {
    const char *text = messages[i].text;
    size_t bytes = messages[i].bytes;
    if ((!text && bytes) || messages[i].role < GC_ROLE_SYSTEM || messages[i].role > GC_ROLE_MODEL)
      return fail(GC_BAD_ARGUMENT, "gc_chat_tokens: message ", uint64_t(i),
                  " has no text or an unknown role");
    if (form.trim_content && bytes)
      trim(text, bytes);
    rendering.markup(form.role_prefix);
    rendering.markup(messages[i].role == GC_ROLE_SYSTEM ? form.system_role
                     : messages[i].role == GC_ROLE_USER ? form.user_role
                                                        : form.model_role);
    rendering.markup(form.role_suffix);
    rendering.literal(text, bytes);
    rendering.markup(form.turn_suffix);
  }
  if (flags & GC_CHAT_GENERATE)
    rendering.markup(form.generation_prompt);
  if (rendering.failed)
    return fail(GC_NO_MEMORY, "no memory to render a conversation");
  TokenSink sink{tokens, capacity};
  status = encodeAll(model, rendering.text, rendering.used, rendering.ranges, rendering.rangeCount,
                     sink);
  if (status == GC_OK)
    *count = sink.count;
  return status;
}
