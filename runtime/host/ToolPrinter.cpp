#include "runtime/host/ToolPrinter.h"

#include <math.h>
#include <stdio.h>
#include <strings.h>

namespace gcompile::runtime {
namespace {

using Kind = JsonValue::Kind;

// Words of a schema; a template may leave parameters of these names out.
constexpr const char *keywords[] = {"description", "type", "properties", "required", "nullable"};

} // namespace

void ToolPrinter::quoted(const char *text, size_t bytes) {
  out.markup("<|\"|>");
  out.literal(text, bytes);
  out.markup("<|\"|>");
}

void ToolPrinter::members(const JsonValue &object, Keys keys) {
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

void ToolPrinter::value(const JsonValue &v, Keys keys) {
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
void ToolPrinter::number(const JsonValue &v) {
  if (!memchr(v.text, '.', v.bytes) && !memchr(v.text, 'e', v.bytes) &&
      !memchr(v.text, 'E', v.bytes)) {
    bool isZero = v.bytes == 2 && v.text[0] == '-' && v.text[1] == '0';
    out.literal(isZero ? "0" : v.text, isZero ? 1 : v.bytes);
    return;
  }
  TextBuffer source; // a number may be longer than any that is fixed, and has no zero behind it
  source.add(v.text, v.bytes);
  source.add("", 1);
  if (source.failed) {
    out.text.failed = true;
    return;
  }
  char text[64];
  double parsed = strtod(source.text, nullptr);
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

// An upper-case type in its quotes; nothing between them when there is none.
void ToolPrinter::type(const JsonValue *given) {
  out.markup("<|\"|>");
  for (uint64_t i = 0; given && i < given->bytes; ++i) {
    char c = given->text[i];
    c = c >= 'a' && c <= 'z' ? char(c - 32) : c;
    out.literal(&c, 1);
  }
  out.markup("<|\"|>");
}

void ToolPrinter::names(const JsonValue &list) {
  out.markup("[");
  for (const JsonValue *i = list.first; i; i = i->next) {
    quoted(i->text, i->bytes);
    if (i->next)
      out.markup(",");
  }
  out.markup("]");
}

void ToolPrinter::declaration(const JsonValue &name, const JsonValue &declared) {
  out.markup("<|tool>declaration:");
  out.literal(name.text, name.bytes);
  out.markup("{description:");
  const JsonValue *description = declared.get("description");
  quoted(description ? description->text : nullptr, description ? description->bytes : 0);
  const JsonValue *schema = declared.get("parameters");
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
  if (const JsonValue *schema = declared.get("response"))
    response(*schema);
  out.markup("}<tool|>");
}

void ToolPrinter::response(const JsonValue &schema) {
  out.markup(",response:{");
  const JsonValue *text = schema.get("description"), *kind = schema.get("type");
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

void ToolPrinter::call(const JsonValue &name, const JsonValue *arguments) {
  out.markup("<|tool_call>call:");
  out.literal(name.text, name.bytes);
  out.markup("{");
  if (arguments)
    members(*arguments, Keys::Plain);
  out.markup("}<tool_call|>");
}

void ToolPrinter::result(const char *name, size_t nameBytes, const JsonValue *given,
                         const char *text, size_t textBytes) {
  out.markup("<|tool_response>response:");
  out.literal(nameBytes ? name : "unknown", nameBytes ? nameBytes : strlen("unknown"));
  out.markup("{");
  if (given && given->is(Kind::Object)) {
    members(*given, Keys::Plain);
  } else {
    out.markup("value:");
    if (given)
      value(*given, Keys::Plain);
    else
      quoted(text, textBytes);
  }
  out.markup("}<tool_response|>");
}

void ToolPrinter::parameters(const JsonValue &object, bool skipsKeys) {
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

void ToolPrinter::parameter(const JsonValue &schema) {
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

void ToolPrinter::items(const JsonValue &schema) {
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

} // namespace gcompile::runtime
