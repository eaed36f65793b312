#include "runtime/host/AnswerReader.h"

#include "runtime/core/Utf8.h"
#include "runtime/host/JsonReader.h"
#include "runtime/host/TrimSpace.h"

#include <stdio.h>

namespace gcompile::runtime {
namespace {

// Stands for the special token <|"|> inside of a call; no byte of UTF-8.
constexpr char quote = char(0xFF);
constexpr char thoughtName[] = "thought\n";
constexpr int mostLevels = 64; // as in JsonReader

bool isSpace(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

// As a JSON string.
void addQuoted(TextBuffer &out, const char *string, uint64_t length) {
  out.add("\"");
  auto *at = reinterpret_cast<const uint8_t *>(string), *end = at + length;
  while (at < end) {
    Utf8 c = decodeUtf8(at, uint64_t(end - at));
    if (c.bytes <= 0) {
      out.add("\xEF\xBF\xBD");
      ++at;
      continue;
    }
    char escaped[8];
    if (c.codePoint == '"' || c.codePoint == '\\') {
      escaped[0] = '\\';
      escaped[1] = char(c.codePoint);
      out.add(escaped, 2);
    } else if (c.codePoint < 0x20 || c.codePoint == 0x7F) {
      out.add(escaped, uint64_t(snprintf(escaped, sizeof escaped, "\\u%04x", c.codePoint)));
    } else {
      out.add(reinterpret_cast<const char *>(at), uint64_t(c.bytes));
    }
    at += c.bytes;
  }
  out.add("\"");
}

void addTrimmed(TextBuffer &out, const TextBuffer &text) {
  const char *begin = text.text;
  size_t bytes = text.bytes;
  if (bytes)
    trimSpace(begin, bytes);
  addQuoted(out, begin, bytes);
}

// Writes what stands between the braces of a call as JSON. It checks no more than it needs to find
// its way; the JSON is read afterwards by a strict reader.
class ArgumentsReader {
public:
  ArgumentsReader(const char *at, const char *end, TextBuffer &out) : at(at), end(end), out(out) {}

  // Null: all of it is one object; else what is wrong.
  const char *read() {
    space();
    if (at == end || *at != '{')
      return "its arguments do not begin with {";
    value(0);
    space();
    if (!fault && at != end)
      fault = "something follows its arguments";
    return fault;
  }

private:
  void space() {
    while (at < end && isSpace(*at))
      ++at;
  }
  bool fail(const char *why) {
    if (!fault)
      fault = why;
    return false;
  }

  bool value(int level) {
    if (level > mostLevels)
      return fail("its arguments are nested too deeply");
    space();
    if (at == end)
      return fail("its arguments end too early");
    if (*at == '{' || *at == '[')
      return container(level);
    return *at == quote || *at == '"' ? string() : word();
  }

  bool container(int level) {
    bool isObject = *at++ == '{';
    char close = isObject ? '}' : ']';
    out.add(isObject ? "{" : "[");
    space();
    if (at < end && *at == close) {
      ++at;
      out.add(&close, 1);
      return true;
    }
    for (;;) {
      if (isObject && !key())
        return false;
      if (!value(level + 1))
        return false;
      space();
      if (at == end)
        return fail("its arguments end too early");
      char next = *at++;
      if (next != ',' && next != close)
        return fail(isObject ? "a value is followed by neither , nor }"
                             : "a value is followed by neither , nor ]");
      out.add(&next, 1);
      if (next == close)
        return true;
    }
  }

  bool key() {
    space();
    if (at < end && (*at == quote || *at == '"')) {
      if (!string())
        return false;
      space();
    } else {
      const char *begin = at;
      while (at < end && *at != ':' && !isSpace(*at) && *at != quote && !strchr("{}[],\"", *at))
        ++at;
      if (at == begin)
        return fail("a value has no name");
      addQuoted(out, begin, uint64_t(at - begin));
      space();
    }
    if (at == end || *at != ':')
      return fail("a name is not followed by :");
    ++at;
    out.add(":");
    return true;
  }

  // Between two special tokens all is text. A string of JSON is taken over as it stands.
  bool string() {
    const char *begin = at++;
    if (*begin == quote) {
      auto *close = static_cast<const char *>(memchr(at, quote, size_t(end - at)));
      if (!close)
        return fail("a string does not end");
      addQuoted(out, at, uint64_t(close - at));
      at = close + 1;
      return true;
    }
    while (at < end && *at != '"' && *at != quote)
      at += *at == '\\' && end - at > 1 ? 2 : 1;
    if (at == end || *at != '"')
      return fail("a string does not end");
    ++at;
    out.add(begin, uint64_t(at - begin));
    return true;
  }

  // A number, true, false, null, or None, as older templates print null.
  bool word() {
    const char *begin = at;
    while (at < end && *at != quote && !isSpace(*at) && !strchr("{}[],:\"", *at))
      ++at;
    uint64_t length = uint64_t(at - begin);
    if (!length)
      return fail("a value is missing");
    if (length == 4 && memcmp(begin, "None", 4) == 0)
      out.add("null");
    else
      out.add(begin, length);
    return true;
  }

  const char *at, *end;
  TextBuffer &out;
  const char *fault = nullptr;
};

// What a call says, with its quotes as the model wrote them.
void addSource(TextBuffer &out, const TextBuffer &call) {
  TextBuffer source;
  for (uint64_t i = 0; i < call.bytes; ++i)
    if (call.text[i] == quote)
      source.add("<|\"|>");
    else
      source.add(call.text + i, 1);
  out.failed |= source.failed;
  addQuoted(out, source.text, source.bytes);
}

} // namespace

AnswerMark answerMark(const char *piece, uint64_t bytes) {
  static const struct {
    const char *text;
    AnswerMark mark;
  } marks[] = {
      {"<|channel>", AnswerMark::ThoughtOpens},
      {"<channel|>", AnswerMark::ThoughtCloses},
      {"<|tool_call>", AnswerMark::CallOpens},
      {"<tool_call|>", AnswerMark::CallCloses},
      {"<|\"|>", AnswerMark::Quote},
      {"<turn|>", AnswerMark::End},
      {"<|tool_response>", AnswerMark::End},
      {"<eos>", AnswerMark::End},
  };
  for (const auto &known : marks)
    if (bytes == strlen(known.text) && memcmp(piece, known.text, bytes) == 0)
      return known.mark;
  return AnswerMark::None;
}

void AnswerReader::add(const char *piece, uint64_t bytes, AnswerMark mark) {
  if (!started)
    state = inThought ? State::Thought : State::Content;
  started = true;
  switch (state) {
  case State::Over:
    return;
  case State::Content:
    if (mark == AnswerMark::ThoughtOpens) {
      state = State::ThoughtName;
      opened.bytes = 0;
      opened.add(piece, bytes);
    } else if (mark == AnswerMark::CallOpens) {
      state = State::Call;
      call.bytes = 0;
    } else if (mark == AnswerMark::End) {
      state = State::Over;
    } else {
      content.add(piece, bytes);
    }
    return;
  case State::ThoughtName: {
    // "thought" and a line break follow; of any other channel nothing is known: it is text.
    constexpr uint64_t open = sizeof "<|channel>" - 1, name = sizeof thoughtName - 1;
    bool isText = mark == AnswerMark::None;
    if (isText)
      opened.add(piece, bytes);
    uint64_t known = opened.bytes - open < name ? opened.bytes - open : name;
    if (opened.failed || memcmp(opened.text + open, thoughtName, known) != 0 ||
        (!isText && known < name)) {
      content.add(opened.text, opened.failed ? 0 : opened.bytes);
      state = State::Content;
      if (!isText)
        add(piece, bytes, mark);
    } else if (known == name) {
      state = State::Thought;
      thought.add(opened.text + open + name, opened.bytes - open - name);
    }
    return;
  }
  case State::Thought:
    if (mark == AnswerMark::ThoughtCloses)
      state = State::Content;
    else
      thought.add(piece, bytes);
    return;
  case State::Call:
    if (mark == AnswerMark::CallCloses) {
      callEnds();
      state = State::Content;
    } else if (mark == AnswerMark::Quote) {
      call.add(&quote, 1);
    } else {
      for (uint64_t i = 0; i < bytes; ++i)
        call.add(piece[i] == quote ? "?" : piece + i, 1);
    }
    return;
  }
}

// "call:NAME{…}"
void AnswerReader::callEnds() {
  const char *at = call.text, *end = at + call.bytes;
  constexpr char word[] = "call:";
  constexpr uint64_t length = sizeof word - 1;
  if (call.bytes < length || memcmp(at, word, length) != 0) {
    writeCall("", 0, nullptr, "it does not begin with call: and a name");
    return;
  }
  const char *name = at += length;
  while (at < end && *at != '{' && *at != '[' && *at != quote && !isSpace(*at))
    ++at;
  uint64_t nameBytes = uint64_t(at - name);
  TextBuffer arguments;
  const char *error = !nameBytes  ? "it has no name"
                      : isCallCut ? "the answer ends before it does"
                                  : ArgumentsReader(at, end, arguments).read();
  JsonDocument document;
  Message why;
  if (!error && document.parse(arguments.text, arguments.bytes, "its arguments", why) != GC_OK)
    error = why.c_str();
  calls.failed |= arguments.failed;
  writeCall(name, nameBytes, &arguments, error);
}

void AnswerReader::writeCall(const char *name, uint64_t nameBytes, const TextBuffer *arguments,
                             const char *error) {
  calls.add(calls.bytes ? "," : "");
  calls.add("{\"type\":\"function\",\"function\":{\"name\":");
  addQuoted(calls, name, nameBytes);
  calls.add(",\"arguments\":");
  if (error)
    calls.add("null");
  else
    calls.add(arguments->text, arguments->bytes);
  calls.add("}");
  if (error) {
    calls.add(",\"error\":");
    addQuoted(calls, error, strlen(error));
    calls.add(",\"text\":");
    addSource(calls, call);
  }
  calls.add("}");
}

Status AnswerReader::finish(TextBuffer &message) {
  if (state == State::Call) {
    isCallCut = true;
    callEnds();
  } else if (state == State::ThoughtName) {
    content.add(opened.text, opened.bytes);
  }
  state = State::Over;
  message.add("{\"role\":\"assistant\",\"content\":");
  addTrimmed(message, content);
  if (thought.bytes) {
    message.add(",\"reasoning\":");
    addTrimmed(message, thought);
  }
  if (calls.bytes) {
    message.add(",\"tool_calls\":[");
    message.add(calls.text, calls.bytes);
    message.add("]");
  }
  message.add("}");
  const TextBuffer *const buffers[] = {&content, &thought, &calls, &call, &opened};
  for (const TextBuffer *buffer : buffers)
    message.failed |= buffer->failed;
  return message.failed ? GC_NO_MEMORY : GC_OK;
}

} // namespace gcompile::runtime
