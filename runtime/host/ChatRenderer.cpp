#include "runtime/host/ChatRenderer.h"

#include "runtime/host/ToolPrinter.h"
#include "runtime/host/TrimSpace.h"

namespace gcompile::runtime {
namespace {

using Kind = JsonValue::Kind;

const char *find(const char *text, const char *end, const char *wanted) {
  return static_cast<const char *>(memmem(text, size_t(end - text), wanted, strlen(wanted)));
}

class ChatRenderer {
public:
  ChatRenderer(const gc_turn_form &form, const gc_chat &chat, Rendering &out, Message &message)
      : form(form), chat(chat), out(out), printer(form.flags, out), message(message) {}

  Status run() {
    if (checkMessages() != GC_OK)
      return status;
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
    if (status == GC_OK && out.failed()) {
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

  // Once, for results too, which are printed with the call before them.
  Status checkMessages() {
    for (; next < chat.message_count; ++next) {
      const gc_message &m = chat.messages[next];
      if ((!m.text && m.bytes) || m.role < GC_ROLE_SYSTEM || m.role > GC_ROLE_TOOL)
        return badMessage("has no text or an unknown role");
      if ((!m.name && m.name_bytes) || (!m.thought && m.thought_bytes) ||
          (!m.calls && m.calls_bytes))
        return badMessage("counts bytes of a name, a thought or calls, and points to none");
    }
    next = 0;
    return GC_OK;
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
      status = tools.parse(chat.tools, chat.tools_bytes, "the list of tools", message);
      if (status != GC_OK)
        return status;
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
      content(chat.messages[0].text, chat.messages[0].bytes);
      next = 1;
    }
    for (const JsonValue *tool = declares ? tools.root().first : nullptr; tool; tool = tool->next) {
      const JsonValue *name, *declared = function(*tool, name);
      if (!declared)
        return bad("a tool has no name");
      printer.declaration(*name, *declared);
    }
    out.markup(form.turn_suffix);
    return GC_OK;
  }

  void turn(const gc_message &m) {
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
    uint64_t before = out.text.bytes;
    if (isModel && has(GC_TURN_STRIPS_THOUGHTS))
      withoutThoughts(m.text, m.bytes);
    else
      content(m.text, m.bytes);
    next += results;
    end(m, calling, results != 0, out.text.bytes != before);
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
      out.text.failed = true;
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
    printer.call(*name, arguments);
    return status;
  }

  Status result(const gc_message &m) {
    JsonDocument document;
    if (m.text_is_json)
      status = document.parse(m.text, m.bytes, "the result of a tool", message);
    if (status == GC_OK)
      printer.result(m.name, m.name_bytes, m.text_is_json ? &document.root() : nullptr, m.text,
                     m.bytes);
    return status;
  }

  const gc_turn_form &form;
  const gc_chat &chat;
  Rendering &out;
  ToolPrinter printer;
  Message &message;
  size_t next = 0;                 // message
  gc_role previous = GC_ROLE_TOOL; // of the last message that was none of a tool
  Last last = Last::Other;
  Status status = GC_OK;
};

} // namespace

Status renderChat(const gc_turn_form &form, const gc_chat &chat, Rendering &out, Message &message) {
  return ChatRenderer(form, chat, out, message).run();
}

} // namespace gcompile::runtime
