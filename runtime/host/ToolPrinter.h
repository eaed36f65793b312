// Declarations of tools, calls and results in the syntax that the templates of the family share
// (docs/chat.md). They differ in what GC_TURN_* says. Nothing here can fail: whoever calls has read
// and checked the JSON.
#pragma once

#include "runtime/abi/gc_artifact.h"
#include "runtime/host/JsonReader.h"
#include "runtime/host/Rendering.h"

namespace gcompile::runtime {

class ToolPrinter {
public:
  // `flags`: GC_TURN_* of the form.
  ToolPrinter(uint32_t flags, Rendering &out) : flags(flags), out(out) {}

  void declaration(const JsonValue &name, const JsonValue &declared);
  void call(const JsonValue &name, const JsonValue *arguments);
  // `name` may be empty. `value` null: the result is `text`.
  void result(const char *name, size_t nameBytes, const JsonValue *value, const char *text,
              size_t textBytes);

private:
  enum class Keys { Plain, Quoted };

  bool has(uint32_t flag) const { return flags & flag; }
  void quoted(const char *text, size_t bytes);
  void members(const JsonValue &object, Keys keys);
  void value(const JsonValue &v, Keys keys);
  void number(const JsonValue &v);
  void type(const JsonValue *given);
  void names(const JsonValue &list);
  void response(const JsonValue &schema);
  void parameters(const JsonValue &object, bool skipsKeys);
  void parameter(const JsonValue &schema);
  void items(const JsonValue &schema);

  uint32_t flags;
  Rendering &out;
};

} // namespace gcompile::runtime
