// gc_tokenize, gc_detokenize and gc_chat_tokens: the tokenizer and the turn form behind the C API.
#include "runtime/host/AnswerReader.h"
#include "runtime/host/ChatRenderer.h"

using namespace gcompile::runtime;

namespace {

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
  else {
    auto specials =
        flags & GC_TEXT_SHOW_SPECIALS ? Tokenizer::Specials::Show : Tokenizer::Specials::Hide;
    *bytes = flags & GC_TEXT_BYTES
                 ? model->tokenizer.decodeBytes(uint32_t(token), specials, out)
                 : model->tokenizer.decode(*state, uint32_t(token), specials, out);
  }
  return GC_OK;
}

size_t gc_longest_piece(const gc_model *model) {
  return model->manifest().has_tokenizer ? model->tokenizer.longestOutput() : 0;
}

namespace {

gc_status render(const gc_model *model, const gc_chat *chat, Rendering &out) {
  if (!model || !chat || (!chat->messages && chat->message_count) ||
      (!chat->tools && chat->tools_bytes) || (chat->flags & ~uint32_t(GC_CHAT_ALL)))
    return fail(GC_BAD_ARGUMENT, "a conversation must have a model, messages and known flags");
  gc_status status = needTokenizer(model);
  if (status != GC_OK)
    return status;
  const gc_turn_form &form = model->manifest().turns;
  if (!form.present)
    return fail(
        GC_NO_CHAT,
        "the model has no chat template that could be compiled: give the prompt as plain text");
  return renderChat(form, *chat, out, threadMessage());
}

} // namespace

gc_status gc_chat_tokens(const gc_model *model, const gc_chat *chat, int32_t *tokens,
                         size_t capacity, size_t *count) {
  if ((!tokens && capacity) || !count)
    return fail(GC_BAD_ARGUMENT, "gc_chat_tokens: tokens and count must not be null");
  Rendering rendering;
  gc_status status = render(model, chat, rendering);
  if (status != GC_OK)
    return status;
  TokenSink sink{tokens, capacity};
  status = encodeAll(model, rendering.text.text, rendering.text.bytes, rendering.ranges,
                     rendering.rangeCount, sink);
  if (status == GC_OK)
    *count = sink.count;
  return status;
}

gc_status gc_chat_text(const gc_model *model, const gc_chat *chat, char *text, size_t capacity,
                       size_t *bytes) {
  if ((!text && capacity) || !bytes)
    return fail(GC_BAD_ARGUMENT, "gc_chat_text: text and bytes must not be null");
  Rendering rendering;
  gc_status status = render(model, chat, rendering);
  if (status != GC_OK)
    return status;
  size_t written = rendering.text.bytes < capacity ? rendering.text.bytes : capacity;
  if (written)
    memcpy(text, rendering.text.text, written);
  *bytes = rendering.text.bytes;
  return GC_OK;
}

namespace {

// Tokens one by one, with special tokens apart from the text before them.
template <typename Use>
gc_status eachPiece(const gc_model *model, const int32_t *tokens, size_t count, Use use) {
  const Tokenizer &tokenizer = model->tokenizer;
  auto *piece = static_cast<char *>(malloc(tokenizer.longestOutput()));
  if (!piece)
    return fail(GC_NO_MEMORY, "no memory to read an answer");
  gc_text_state state = {};
  gc_status status = GC_OK;
  for (size_t i = 0; i < count && status == GC_OK; ++i) {
    int32_t token = tokens[i];
    if (token < 0 || token >= int32_t(model->manifest().vocabulary)) {
      status = fail(GC_BAD_ARGUMENT, "token ", token, " is not in the vocabulary of ",
                    model->manifest().vocabulary);
    } else if (uint32_t(token) < tokenizer.pieceCount()) {
      uint64_t bytes = tokenizer.decodeBytes(uint32_t(token), Tokenizer::Specials::Show, piece);
      AnswerMark mark = answerMark(piece, bytes);
      if (mark == AnswerMark::None) {
        bytes = tokenizer.decode(state, uint32_t(token), Tokenizer::Specials::Hide, piece);
      } else if (uint64_t before = Tokenizer::finish(state, piece)) {
        use(piece, before, AnswerMark::None);
        bytes = tokenizer.decodeBytes(uint32_t(token), Tokenizer::Specials::Show, piece);
      }
      use(piece, bytes, mark);
    }
  }
  use(piece, Tokenizer::finish(state, piece), AnswerMark::None);
  free(piece);
  return status;
}

} // namespace

gc_status gc_answer(const gc_model *model, const int32_t *prompt, size_t prompt_count,
                    const int32_t *tokens, size_t token_count, char *json, size_t capacity,
                    size_t *bytes) {
  if (!model || (!prompt && prompt_count) || (!tokens && token_count) || (!json && capacity) ||
      !bytes)
    return fail(GC_BAD_ARGUMENT, "gc_answer: model, tokens and bytes must not be null");
  gc_status status = needTokenizer(model);
  if (status != GC_OK)
    return status;
  bool inThought = false;
  status = eachPiece(model, prompt, prompt_count, [&](const char *, uint64_t, AnswerMark mark) {
    if (mark != AnswerMark::None)
      inThought = mark == AnswerMark::ThoughtOpens;
  });
  if (status != GC_OK)
    return status;
  AnswerReader reader(inThought);
  status = eachPiece(model, tokens, token_count,
                     [&](const char *piece, uint64_t length, AnswerMark mark) {
                       if (length)
                         reader.add(piece, length, mark);
                     });
  if (status != GC_OK)
    return status;
  TextBuffer message;
  if (reader.finish(message) != GC_OK)
    return fail(GC_NO_MEMORY, "no memory to take an answer of ", uint64_t(token_count),
                " tokens apart");
  size_t written = message.bytes < capacity ? message.bytes : capacity;
  if (written)
    memcpy(json, message.text, written);
  *bytes = message.bytes;
  return GC_OK;
}
