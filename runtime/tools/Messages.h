// A conversation as the command line gives it: -p or -f with --system, or --messages FILE.json, and
// --tools FILE.json.
#pragma once

#include "runtime/host/JsonReader.h"
#include "runtime/tools/Arguments.h"

namespace gcompile::tools {

gc_message message(gc_role role, const char *text, size_t bytes);

class Conversation {
public:
  Conversation() = default;
  Conversation(const Conversation &) = delete;
  Conversation &operator=(const Conversation &) = delete;
  ~Conversation();

  ExitCode read(const Arguments &arguments);

  gc_chat chat = {}; // points into this

private:
  ExitCode readMessages(const char *path);
  ExitCode add(const runtime::JsonValue &entry);
  ExitCode addResult(const runtime::JsonValue *content, const runtime::JsonValue *name);
  ExitCode content(const runtime::JsonValue *value, const char *&text, size_t &bytes);
  const runtime::JsonValue *nameOfCall(const runtime::JsonValue &id) const;
  ExitCode refuse(const char *why) const;

  runtime::JsonDocument document;
  const runtime::JsonValue *lastCalls = nullptr; // of the model's last message
  const char *path = nullptr;
  List<char> source, tools;
  List<gc_message> messages;
  List<char *> joined; // contents put together from parts
};

} // namespace gcompile::tools
