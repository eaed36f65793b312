#include "runtime/host/ChatRenderer.h"

#include "runtime/core/Utf8.h"
#include "runtime/host/JsonReader.h"

#include <math.h>
#include <stdio.h>
#include <strings.h>

namespace gcompile::runtime {
namespace {

using Kind = JsonValue::Kind;

// What Python's str.strip() takes away, which is what the template's trim does.
bool isSpace(uint32_t c) {
  return (c >= 9 && c <= 13) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

const char *find(const char *text, const char *end, const char *wanted) {
  return static_cast<const char *>(memmem(text, size_t(end - text), wanted, strlen(wanted)));
}

// Words of a schema; a template may leave parameters of these names out.
constexpr const char *keywords[] = {"description", "type", "properties", "required", "nullable"};

enum class Keys { Plain, Quoted };

class ChatRenderer {
public:
  ChatRenderer(const gc_turn_form &form, const gc_chat &chat, Rendering &out, Message &message)
      : form(form), chat(chat), out(out), message(message) {}

  Status run() {
    bool thinks = chat.flags & GC_CHAT_THINK;
    if (thinks && !has(GC_TURN_THINKING))
      return bad("the model's chat template has no thinking");
    if (chat.flags & GC_CHAT_START) {
      out.markup(form.start);
      Status status = systemTurn(thinks);
      if (status != GC_OK)
        return status;
    }
    if (chat.flags & GC_CHAT_END_TURN)
      out.markup(form.turn_suffix);
    for (; next < chat.message_count && status == GC_OK; ++next)
      turn(chat.messages[next]);
    if (status == GC_OK && (chat.flags & GC_CHAT_GENERATE))
      generate(thinks);
    if (status == GC_OK && out.failed) {
      message.clear() << "no memory to render a conversation";
      return GC_NO_MEMORY;
    }
    return status;
  }

private:
  enum class Last { Other, Call, Result };

  bool has(uint32_t flag) const { return form.flags & flag; }

  Status bad(const char *why) {
    message.clear() << why;
    return status = GC_BAD_ARGUMENT;
  }
  Status badMessage(const char *why) {
    message.clear() << "message " << uint64_t(next) << " of the conversation " << why;
    return status = GC_BAD_ARGUMENT;
  }

  void header(gc_role role) {
    out.markup(form.role_prefix);
    out.markup(role == GC_ROLE_SYSTEM ? form.system_role
               : role == GC_ROLE_USER ? form.user_role
                                      : form.model_role);
    out.markup(form.role_suffix);
  }

  void content(const char *text, size_t bytes) {
    if (has(GC_TURN_TRIMS) && bytes)
      trimSpace(text, bytes);
    out.literal(text, bytes);
  }

  // The first system message, with what else belongs into its turn.
  Status systemTurn(bool thinks) {
    bool first = chat.message_count && chat.messages[0].role == GC_ROLE_SYSTEM;
    JsonDocument tools;
    if (chat.tools_bytes) {
      if (tools.parse(chat.tools, chat.tools_bytes, "the list of tools", message) != GC_OK)
        return GC_BAD_ARGUMENT;
      if (!tools.root().is(Kind::Array))
        return bad("the list of tools is no JSON array");
      if (tools.root().first && !has(GC_TURN_TOOLS))
        return bad("the model's chat template has no tools that could be compiled");
    }
    bool declares = chat.tools_bytes && tools.root().first;
    if (!first && !thinks && !declares)
      return GC_OK;
    header(GC_ROLE_SYSTEM);
    if (thinks)
      out.markup("<|think|>\n");
    if (first) {
      if (!chat.messages[0].text && chat.messages[0].bytes)
        return badMessage("has no text");
      content(chat.messages[0].text, chat.messages[0].bytes);
      next = 1;
    }
    for (const JsonValue *tool = declares ? tools.root().first : nullptr; tool; tool = tool->next)
      if (declaration(*tool) != GC_OK)
        return status;
    out.markup(form.turn_suffix);
    return GC_OK;
  }

  void turn(const gc_message &m) {
    if ((!m.text && m.bytes) || m.role < GC_ROLE_SYSTEM || m.role > GC_ROLE_TOOL) {
      badMessage("has no text or an unknown role");
      return;
    }
    if (m.role == GC_ROLE_TOOL) {
      badMessage("is a tool's result without a call of the model before it");
      return;
    }
    bool isModel = m.role == GC_ROLE_MODEL;
    if (!isModel && (m.calls_bytes || m.thought_bytes)) {
      badMessage("has thoughts or calls and is not the model's");
      return;
    }
    last = Last::Other;
    if (!(has(GC_TURN_JOINS) && isModel && previous == GC_ROLE_MODEL))
      header(m.role);
    JsonDocument calls;
    if (m.calls_bytes && !readCalls(m, calls))
      return;
    bool calling = m.calls_bytes && calls.root().first;
    if (m.thought_bytes && printsThought(calling)) {
      out.markup("<|channel>thought\n");
      out.literal(m.thought, m.thought_bytes);
      out.markup("\n<channel|>");
    }
    size_t results = 0;
    if (calling) {
      for (const JsonValue *item = calls.root().first; item; item = item->next)
        if (call(*item) != GC_OK)
          return;
      last = Last::Call;
      for (size_t at = next + 1; at < chat.message_count && chat.messages[at].role == GC_ROLE_TOOL;
           ++at, ++results)
        if (result(chat.messages[at]) != GC_OK)
          return;
      if (results)
        last = Last::Result;
    }
    uint64_t before = out.used;
    if (isModel && has(GC_TURN_STRIPS_THOUGHTS))
      withoutThoughts(m.text, m.bytes);
    else
      content(m.text, m.bytes);
    next += results;
    end(m, calling, results != 0, out.used != before);
    previous = m.role;
  }

  void end(const gc_message &m, bool calling, bool answered, bool said) {
    const gc_message *following =
        next + 1 < chat.message_count ? &chat.messages[next + 1] : nullptr;
    if (calling && !answered) {
      out.markup("<|tool_response>");
    } else if (has(GC_TURN_JOINS_LINES)) {
      if (m.role == GC_ROLE_MODEL && following && following->role == GC_ROLE_MODEL) {
        out.markup("\n");
      } else if (!answered || said || following) {
        out.markup(form.turn_suffix);
        last = Last::Other;
      }
    } else if (!answered || m.bytes) {
      out.markup(form.turn_suffix);
    }
  }

  void generate(bool thinks) {
    if (last == Last::Other && thinks)
      header(GC_ROLE_MODEL);
    else if (last == Last::Other)
      out.markup(form.generation_prompt);
    else if (last == Last::Result && thinks && has(GC_TURN_RESULT_OPENS_THOUGHT))
      out.markup("<|channel>thought\n");
  }

  bool printsThought(bool calling) const {
    bool afterUser = true;
    for (size_t i = next + 1; i < chat.message_count; ++i)
      afterUser &= chat.messages[i].role != GC_ROLE_USER;
    if (has(GC_TURN_THOUGHTS))
      return afterUser || (calling && (chat.flags & GC_CHAT_PRESERVE_THOUGHTS));
    return has(GC_TURN_THOUGHTS_OF_CALLS) && afterUser && calling;
  }

  // Text from <|channel> to <channel|> vanishes.
  void withoutThoughts(const char *text, size_t bytes) {
    auto *kept = static_cast<char *>(malloc(bytes + 1));
    if (!kept) {
      out.failed = true;
      return;
    }
    size_t count = 0;
    for (const char *at = text, *end = text + bytes; at < end;) {
      const char *close = find(at, end, "<channel|>");
      const char *partEnd = close ? close : end, *open = find(at, partEnd, "<|channel>");
      size_t length = size_t((open ? open : partEnd) - at);
      memcpy(kept + count, at, length);
      count += length;
      at = close ? close + strlen("<channel|>") : end;
    }
    const char *begin = kept;
    trimSpace(begin, count);
    out.literal(begin, count);
    free(kept);
  }

  bool readCalls(const gc_message &m, JsonDocument &calls) {
    if (!has(GC_TURN_TOOLS)) {
      bad("the model's chat template has no tools that could be compiled");
      return false;
    }
    status = calls.parse(m.calls, m.calls_bytes, "the list of calls", message);
    if (status == GC_OK && !calls.root().is(Kind::Array))
      badMessage("has calls that are no JSON array");
    return status == GC_OK;
  }

  // {"function": {…}} or {…} with a name.
  const JsonValue *function(const JsonValue &item, const JsonValue *&name) {
    const JsonValue *inner = item.get("function");
    if (!inner)
      inner = &item;
    name = inner->get("name");
    return name && name->is(Kind::String) ? inner : nullptr;
  }

  Status call(const JsonValue &item) {
    const JsonValue *name, *made = function(item, name);
    if (!made)
      return badMessage("has a call without a name");
    const JsonValue *arguments = made->get("arguments");
    JsonDocument written; // many programs keep arguments as a string of JSON
    if (arguments && arguments->is(Kind::String)) {
      status = written.parse(arguments->text, arguments->bytes, "a call's arguments", message);
      if (status != GC_OK)
        return status;
      arguments = &written.root();
    }
    if (arguments && !arguments->is(Kind::Object) && !arguments->is(Kind::Null))
      return badMessage("has a call whose arguments are no JSON object");
    out.markup("<|tool_call>call:");
    out.literal(name->text, name->bytes);
    out.markup("{");
    if (arguments)
      members(*arguments, Keys::Plain);
    out.markup("}<tool_call|>");
    return status;
  }

  Status result(const gc_message &m) {
    JsonDocument document;
    if (m.text_is_json &&
        (status = document.parse(m.text, m.bytes, "the result of a tool", message)) != GC_OK)
      return status;
    out.markup("<|tool_response>response:");
    if (m.name_bytes)
      out.literal(m.name, m.name_bytes);
    else
      out.literal("unknown", strlen("unknown"));
    out.markup("{");
    if (m.text_is_json && document.root().is(Kind::Object)) {
      members(document.root(), Keys::Plain);
    } else {
      out.markup("value:");
      if (m.text_is_json)
        value(document.root(), Keys::Plain);
      else
        quoted(m.text, m.bytes);
    }
    out.markup("}<tool_response|>");
    return status;
  }

  void quoted(const char *text, size_t bytes) {
    out.markup("<|\"|>");
    out.literal(text, bytes);
    out.markup("<|\"|>");
  }

  void members(const JsonValue &object, Keys keys) {
    for (const JsonValue *i = object.first; i; i = i->next) {
      if (keys == Keys::Quoted)
        quoted(i->key, i->keyBytes);
      else
        out.literal(i->key, i->keyBytes);
      out.markup(":");
      value(*i, keys);
      if (i->next)
        out.markup(",");
    }
  }

  void value(const JsonValue &v, Keys keys) {
    switch (v.kind) {
    case Kind::Null:
      out.markup(has(GC_TURN_PRINTS_NULL) ? "null" : "None");
      return;
    case Kind::False:
      out.markup("false");
      return;
    case Kind::True:
      out.markup("true");
      return;
    case Kind::Number:
      number(v);
      return;
    case Kind::String:
      quoted(v.text, v.bytes);
      return;
    case Kind::Object:
      out.markup("{");
      members(v, keys);
      out.markup("}");
      return;
    case Kind::Array:
      out.markup("[");
      for (const JsonValue *i = v.first; i; i = i->next) {
        value(*i, keys);
        if (i->next)
          out.markup(",");
      }
      out.markup("]");
      return;
    }
  }

  // As Python prints what its reader makes of it.
  void number(const JsonValue &v) {
    if (!memchr(v.text, '.', v.bytes) && !memchr(v.text, 'e', v.bytes) &&
        !memchr(v.text, 'E', v.bytes)) {
      bool isZero = v.bytes == 2 && v.text[0] == '-' && v.text[1] == '0';
      out.literal(isZero ? "0" : v.text, isZero ? 1 : v.bytes);
      return;
    }
    char source[64], text[64];
    size_t length = v.bytes < sizeof source ? v.bytes : sizeof source - 1;
    memcpy(source, v.text, length);
    source[length] = 0;
    double parsed = strtod(source, nullptr);
    if (isinf(parsed)) {
      out.markup(parsed < 0 ? "-inf" : "inf");
      return;
    }
    int digits = 1;
    do
      snprintf(text, sizeof text, "%.*e", digits - 1, parsed);
    while (strtod(text, nullptr) != parsed && ++digits <= 17);
    int exponent = atoi(strchr(text, 'e') + 1);
    if (exponent >= -4 && exponent < 16) {
      int decimals = digits - 1 - exponent;
      snprintf(text, sizeof text, "%.*f", decimals > 1 ? decimals : 1, parsed);
    }
    out.literal(text, strlen(text));
  }

  Status declaration(const JsonValue &tool);
  void parameters(const JsonValue &object, bool skipsKeys);
  void parameter(const JsonValue &schema);
  void items(const JsonValue &schema);
  void names(const JsonValue &list);
  void type(const JsonValue *given);

  const gc_turn_form &form;
  const gc_chat &chat;
  Rendering &out;
  Message &message;
  size_t next = 0;                 // message
  gc_role previous = GC_ROLE_TOOL; // of the last message that was none of a tool
  Last last = Last::Other;
  Status status = GC_OK;
};

// An upper-case type in its quotes; nothing between them when there is none.
void ChatRenderer::type(const JsonValue *given) {
  out.markup("<|\"|>");
  for (uint64_t i = 0; given && i < given->bytes; ++i) {
    char c = given->text[i];
    c = c >= 'a' && c <= 'z' ? char(c - 32) : c;
    out.literal(&c, 1);
  }
  out.markup("<|\"|>");
}

void ChatRenderer::names(const JsonValue &list) {
  out.markup("[");
  for (const JsonValue *i = list.first; i; i = i->next) {
    quoted(i->text, i->bytes);
    if (i->next)
      out.markup(",");
  }
  out.markup("]");
}

Status ChatRenderer::declaration(const JsonValue &tool) {
  const JsonValue *name, *declared = function(tool, name);
  if (!declared)
    return bad("a tool has no name");
  out.markup("<|tool>declaration:");
  out.literal(name->text, name->bytes);
  out.markup("{description:");
  const JsonValue *description = declared->get("description");
  quoted(description ? description->text : nullptr, description ? description->bytes : 0);
  const JsonValue *schema = declared->get("parameters");
  if (schema && schema->isTrue()) {
    out.markup(",parameters:{");
    const JsonValue *properties = schema->get("properties"), *required = schema->get("required"),
                    *kind = schema->get("type");
    if (properties && properties->isTrue()) {
      out.markup("properties:{");
      parameters(*properties, has(GC_TURN_SKIPS_KEYS));
      out.markup("},");
    }
    if (required && required->isTrue()) {
      out.markup("required:");
      names(*required);
      out.markup(",");
    }
    if (kind && kind->isTrue()) {
      out.markup("type:");
      type(kind);
      out.markup("}");
    }
  }
  if (const JsonValue *response = declared->get("response")) {
    out.markup(",response:{");
    const JsonValue *text = response->get("description"), *kind = response->get("type");
    if (text && text->isTrue()) {
      out.markup("description:");
      quoted(text->text, text->bytes);
      out.markup(",");
    }
    if (kind && kind->bytes == 6 && strncasecmp(kind->text, "object", 6) == 0) {
      out.markup("type:");
      type(kind);
      out.markup("}");
    }
  }
  out.markup("}<tool|>");
  return status;
}

void ChatRenderer::parameters(const JsonValue &object, bool skipsKeys) {
  bool first = true;
  for (const JsonValue *i = object.first; i && object.is(Kind::Object); i = i->next) {
    bool skipped = false;
    for (const char *word : keywords)
      skipped |= skipsKeys && i->keyBytes == strlen(word) && memcmp(i->key, word, i->keyBytes) == 0;
    if (skipped)
      continue;
    if (!first)
      out.markup(",");
    first = false;
    out.literal(i->key, i->keyBytes);
    out.markup(":{");
    parameter(*i);
    out.markup("}");
  }
}

void ChatRenderer::parameter(const JsonValue &schema) {
  const JsonValue *description = schema.get("description"), *kind = schema.get("type"),
                  *choices = schema.get("enum"), *nullable = schema.get("nullable"),
                  *properties = schema.get("properties"), *required = schema.get("required");
  auto isType = [&](const char *name) {
    return kind && kind->is(Kind::String) && kind->bytes == strlen(name) &&
           strncasecmp(kind->text, name, kind->bytes) == 0;
  };
  if (description && description->isTrue()) {
    out.markup("description:");
    quoted(description->text, description->bytes);
    out.markup(",");
  }
  if (isType("string") && choices && choices->isTrue()) {
    out.markup("enum:");
    value(*choices, Keys::Quoted);
    out.markup(",");
  }
  if (isType("array"))
    items(schema);
  if (nullable && nullable->isTrue())
    out.markup("nullable:true,");
  if (isType("object")) {
    out.markup("properties:{");
    if (properties && properties->is(Kind::Object))
      parameters(*properties, has(GC_TURN_SKIPS_KEYS));
    else
      parameters(schema, true);
    out.markup("},");
    if (required && required->isTrue()) {
      out.markup("required:");
      names(*required);
      out.markup(",");
    }
  }
  out.markup("type:");
  type(kind);
}

void ChatRenderer::items(const JsonValue &schema) {
  const JsonValue *list = schema.get("items");
  if (!list || !list->is(Kind::Object) || !list->first)
    return;
  out.markup("items:{");
  bool first = true;
  for (const JsonValue *i = list->first; i; i = i->next) {
    if (i->is(Kind::Null))
      continue;
    if (!first)
      out.markup(",");
    first = false;
    out.literal(i->key, i->keyBytes);
    out.markup(":");
    auto isKey = [&](const char *name) {
      return i->keyBytes == strlen(name) && memcmp(i->key, name, i->keyBytes) == 0;
    };
    if (isKey("properties")) {
      out.markup("{");
      parameters(*i, has(GC_TURN_SKIPS_KEYS));
      out.markup("}");
    } else if (isKey("required")) {
      names(*i);
    } else if (isKey("type") && i->is(Kind::String)) {
      type(i);
    } else if (isKey("type") && i->is(Kind::Array)) {
      out.markup("[");
      for (const JsonValue *one = i->first; one; one = one->next) {
        type(one);
        if (one->next)
          out.markup(",");
      }
      out.markup("]");
    } else {
      value(*i, Keys::Quoted);
    }
  }
  out.markup("},");
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

Status renderChat(const gc_turn_form &form, const gc_chat &chat, Rendering &out, Message &message) {
  return ChatRenderer(form, chat, out, message).run();
}

} // namespace gcompile::runtime
