// A strict reader of small JSON texts (RFC 8259): UTF-8, no duplicate keys, no lone surrogates, at
// most 64 levels. For conversations and tool declarations; input is hostile.
#pragma once

#include "runtime/core/Status.h"

namespace gcompile::runtime {

struct JsonValue {
  enum class Kind : uint8_t { Null, False, True, Number, String, Array, Object };
  Kind kind = Kind::Null;
  // Strings: decoded, may hold zeros. Numbers: as written. Others: none.
  const char *text = nullptr;
  uint64_t bytes = 0;
  const char *source = nullptr; // where it stands in the input
  uint64_t sourceBytes = 0;
  // Of arrays in order; of objects by key, without regard to the case of ASCII letters.
  JsonValue *first = nullptr, *next = nullptr;
  const char *key = nullptr; // of a member
  uint64_t keyBytes = 0;

  bool is(Kind wanted) const { return kind == wanted; }
  bool equals(const char *string) const; // a string with this content
  // Member of an object; null: there is none, or this is no object.
  const JsonValue *get(const char *name) const;
  // As Python sees it: not null, false, zero, or empty.
  bool isTrue() const;
};

// Owns its values; the input has to outlive it.
class JsonDocument {
public:
  JsonDocument() = default;
  JsonDocument(const JsonDocument &) = delete;
  JsonDocument &operator=(const JsonDocument &) = delete;
  ~JsonDocument();

  // `what` names the text in messages. GC_BAD_ARGUMENT or GC_NO_MEMORY.
  Status parse(const char *text, uint64_t bytes, const char *what, Message &message);
  const JsonValue &root() const { return *top; }

private:
  friend class JsonParser;
  void *allocate(uint64_t bytes); // null: no memory
  struct Block;
  Block *blocks = nullptr;
  JsonValue *top = nullptr;
};

} // namespace gcompile::runtime
