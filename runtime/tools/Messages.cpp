#include "runtime/tools/Messages.h"

#include "runtime/tools/Run.h"

namespace gcompile::tools {

using runtime::JsonValue;
using Kind = JsonValue::Kind;

gc_message message(gc_role role, const char *text, size_t bytes) {
  gc_message result = {};
  result.role = role;
  result.text = text;
  result.bytes = bytes;
  return result;
}

Conversation::~Conversation() {
  for (size_t i = 0; i < joined.count(); ++i)
    free(joined[i]);
}

ExitCode Conversation::read(const Arguments &a) {
  ExitCode code = ExitDone;
  if (a.messages) {
    code = readMessages(a.messages);
  } else {
    code = promptText(a, source);
    if (a.system)
      messages.add(message(GC_ROLE_SYSTEM, a.system, strlen(a.system)));
    messages.add(message(GC_ROLE_USER, source.data(), source.count()));
  }
  if (code == ExitDone && a.tools)
    code = readText(a.tools, tools);
  if (a.tools) {
    chat.tools = tools.data();
    chat.tools_bytes = tools.count();
  }
  chat.messages = messages.data();
  chat.message_count = messages.count();
  chat.flags = GC_CHAT_START | GC_CHAT_GENERATE | (a.think ? uint32_t(GC_CHAT_THINK) : 0);
  return code;
}

ExitCode Conversation::refuse(const char *why) const {
  return badInput("'%s': message %zu %s", path, messages.count(), why);
}

// An array of messages, or an object with "messages" and perhaps "tools".
ExitCode Conversation::readMessages(const char *file) {
  path = file;
  ExitCode code = readText(path, source);
  if (code != ExitDone)
    return code;
  runtime::Message why;
  if (document.parse(source.data(), source.count(), "the conversation", why) != GC_OK)
    return badInput("'%s': %s", path, why.c_str());
  const JsonValue *list = &document.root();
  if (list->is(Kind::Object)) {
    if (const JsonValue *declared = list->get("tools")) {
      chat.tools = declared->source;
      chat.tools_bytes = declared->sourceBytes;
    }
    list = list->get("messages");
  }
  if (!list || !list->is(Kind::Array))
    return badInput("'%s' is neither an array of messages nor an object with \"messages\"", path);
  for (const JsonValue *entry = list->first; entry && code == ExitDone; entry = entry->next)
    code = add(*entry);
  return code;
}

ExitCode Conversation::add(const JsonValue &entry) {
  const JsonValue *role = entry.get("role"), *said = entry.get("content");
  if (!role || !role->is(Kind::String))
    return refuse("has no role");
  if (role->equals("tool")) {
    const JsonValue *name = entry.get("name"), *id = entry.get("tool_call_id");
    const JsonValue *called = id ? nameOfCall(*id) : nullptr;
    return addResult(said, called ? called : name);
  }
  bool isModel = role->equals("assistant") || role->equals("model");
  bool isSystem = role->equals("system") || (role->equals("developer") && !messages.count());
  if (!isModel && !isSystem && !role->equals("user"))
    return refuse("has a role that is none of system, user, assistant, tool");
  gc_message m = message(isModel    ? GC_ROLE_MODEL
                         : isSystem ? GC_ROLE_SYSTEM
                                    : GC_ROLE_USER,
                         nullptr, 0);
  ExitCode code = content(said, m.text, m.bytes);
  if (code != ExitDone)
    return code;
  lastCalls = isModel ? entry.get("tool_calls") : nullptr;
  if (lastCalls && lastCalls->is(Kind::Null))
    lastCalls = nullptr;
  const JsonValue *thought = entry.get("reasoning");
  if (!thought || !thought->isTrue())
    thought = entry.get("reasoning_content");
  if (isModel && thought && thought->is(Kind::String)) {
    m.thought = thought->text;
    m.thought_bytes = thought->bytes;
  }
  if (lastCalls) {
    m.calls = lastCalls->source;
    m.calls_bytes = lastCalls->sourceBytes;
  }
  messages.add(m);
  const JsonValue *results = isModel ? entry.get("tool_responses") : nullptr;
  for (const JsonValue *i = results ? results->first : nullptr; i && code == ExitDone; i = i->next)
    code = addResult(i->get("response"), i->get("name"));
  return code;
}

ExitCode Conversation::addResult(const JsonValue *value, const JsonValue *name) {
  gc_message m = message(GC_ROLE_TOOL, nullptr, 0);
  if (name && name->is(Kind::String)) {
    m.name = name->text;
    m.name_bytes = name->bytes;
  }
  if (value && !value->is(Kind::String) && !value->is(Kind::Array)) {
    m.text = value->source;
    m.bytes = value->sourceBytes;
    m.text_is_json = 1;
  } else if (ExitCode code = content(value, m.text, m.bytes); code != ExitDone) {
    return code;
  }
  messages.add(m);
  return ExitDone;
}

// A string, or parts of text put together.
ExitCode Conversation::content(const JsonValue *value, const char *&text, size_t &bytes) {
  text = "";
  bytes = 0;
  if (!value || value->is(Kind::Null))
    return ExitDone;
  if (value->is(Kind::String)) {
    text = value->text;
    bytes = value->bytes;
    return ExitDone;
  }
  if (!value->is(Kind::Array))
    return refuse("has a content that is neither a string nor a list of parts");
  auto *buffer = static_cast<char *>(malloc(value->sourceBytes + 1)); // more than all its strings
  if (!buffer)
    return badInput("no memory for a message");
  joined.add(buffer);
  for (const JsonValue *part = value->first; part; part = part->next) {
    const JsonValue *kind = part->get("type"), *said = part->get("text");
    if (!kind || !kind->equals("text") || !said || !said->is(Kind::String))
      return refuse("has a part that is no text, which is all that this runtime takes");
    memcpy(buffer + bytes, said->text, said->bytes);
    bytes += said->bytes;
  }
  text = buffer;
  return ExitDone;
}

const JsonValue *Conversation::nameOfCall(const JsonValue &id) const {
  for (const JsonValue *call = lastCalls ? lastCalls->first : nullptr; call; call = call->next) {
    const JsonValue *own = call->get("id"), *made = call->get("function");
    if (own && made && own->is(Kind::String) && id.is(Kind::String) && own->bytes == id.bytes &&
        memcmp(own->text, id.text, id.bytes) == 0)
      return made->get("name");
  }
  return nullptr;
}

// --render: the prompt as text.
ExitCode runRender(Run &run) {
  Conversation conversation;
  ExitCode code = conversation.read(run.arguments);
  if (code != ExitDone)
    return code;
  size_t bytes = 0;
  gc_status status = gc_chat_text(run.model, &conversation.chat, nullptr, 0, &bytes);
  List<char> text;
  text.resize(bytes);
  if (status == GC_OK)
    status = gc_chat_text(run.model, &conversation.chat, text.data(), bytes, &bytes);
  if (status != GC_OK)
    return report(status);
  if (run.arguments.json)
    Json(stdout).open('{').key("prompt").string(text.data(), bytes).close('}').end();
  else
    fwrite(text.data(), 1, bytes, stdout);
  return ExitDone;
}

} // namespace gcompile::tools
