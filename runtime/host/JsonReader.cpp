#include "runtime/host/JsonReader.h"

#include "runtime/core/Utf8.h"

#include <stdlib.h>
#include <string.h>

namespace gcompile::runtime {

struct JsonDocument::Block {
  Block *next;
  uint64_t used, bytes;
};

JsonDocument::~JsonDocument() {
  while (blocks) {
    Block *next = blocks->next;
    free(blocks);
    blocks = next;
  }
}

void *JsonDocument::allocate(uint64_t bytes) {
  bytes = (bytes + 7) / 8 * 8;
  if (!blocks || blocks->bytes - blocks->used < bytes) {
    constexpr uint64_t usual = 16384;
    uint64_t size = bytes > usual ? bytes : usual;
    auto *block = static_cast<Block *>(malloc(sizeof(Block) + size));
    if (!block)
      return nullptr;
    *block = {blocks, 0, size};
    blocks = block;
  }
  void *result = reinterpret_cast<char *>(blocks + 1) + blocks->used;
  blocks->used += bytes;
  return result;
}

bool JsonValue::equals(const char *string) const {
  return kind == Kind::String && bytes == strlen(string) && memcmp(text, string, bytes) == 0;
}

const JsonValue *JsonValue::get(const char *name) const {
  if (kind != Kind::Object)
    return nullptr;
  uint64_t length = strlen(name);
  for (const JsonValue *member = first; member; member = member->next)
    if (member->keyBytes == length && memcmp(member->key, name, length) == 0)
      return member;
  return nullptr;
}

bool JsonValue::isTrue() const {
  switch (kind) {
  case Kind::Null:
  case Kind::False:
    return false;
  case Kind::True:
    return true;
  case Kind::String:
    return bytes != 0;
  case Kind::Number:
    for (uint64_t i = 0; i < bytes && text[i] != 'e' && text[i] != 'E'; ++i)
      if (text[i] >= '1' && text[i] <= '9')
        return true;
    return false;
  case Kind::Array:
  case Kind::Object:
    return first != nullptr;
  }
  return false;
}

namespace {

uint8_t lower(char c) { return uint8_t(c >= 'A' && c <= 'Z' ? c + 32 : c); }

int compareKeys(const JsonValue &a, const JsonValue &b) {
  uint64_t common = a.keyBytes < b.keyBytes ? a.keyBytes : b.keyBytes;
  for (uint64_t i = 0; i < common; ++i)
    if (lower(a.key[i]) != lower(b.key[i]))
      return lower(a.key[i]) < lower(b.key[i]) ? -1 : 1;
  if (a.keyBytes != b.keyBytes)
    return a.keyBytes < b.keyBytes ? -1 : 1;
  return memcmp(a.key, b.key, common);
}

// Merges runs of one, two, four … members.
JsonValue *sortMembers(JsonValue *list) {
  for (uint64_t width = 1;; width *= 2) {
    JsonValue *rest = list, **tail = &list;
    uint64_t merges = 0;
    while (rest) {
      ++merges;
      JsonValue *left = rest, *right = rest;
      uint64_t leftCount = 0, rightCount = width;
      for (; leftCount < width && right; ++leftCount)
        right = right->next;
      while (leftCount || (rightCount && right)) {
        bool takesLeft = leftCount && (!rightCount || !right || compareKeys(*left, *right) <= 0);
        JsonValue *&from = takesLeft ? left : right;
        --(takesLeft ? leftCount : rightCount);
        *tail = from;
        tail = &from->next;
        from = from->next;
      }
      rest = right;
    }
    *tail = nullptr;
    if (merges <= 1)
      return list;
  }
}

} // namespace

class JsonParser {
public:
  JsonParser(JsonDocument &document, const char *text, uint64_t bytes, const char *what,
             Message &message)
      : document(document), begin(text), at(text), end(text + bytes), what(what), message(message) {
  }

  Status run(JsonValue *&root) {
    root = value(0);
    if (root) {
      skipSpace();
      if (at != end)
        root = bad("something follows its end");
    }
    return root ? GC_OK : status;
  }

private:
  static constexpr int maxDepth = 64;

  JsonValue *bad(const char *why) {
    uint64_t line = 1;
    for (const char *i = begin; i < at; ++i)
      line += *i == '\n';
    message.clear() << what << " is no JSON: line " << line << ": " << why;
    status = GC_BAD_ARGUMENT;
    return nullptr;
  }
  JsonValue *noMemory() {
    message.clear() << "no memory to read " << what;
    status = GC_NO_MEMORY;
    return nullptr;
  }
  void skipSpace() {
    while (at < end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r'))
      ++at;
  }
  bool take(char c) {
    if (at == end || *at != c)
      return false;
    ++at;
    return true;
  }

  JsonValue *value(int depth) {
    skipSpace();
    if (at == end)
      return bad("a value is missing");
    if (depth > maxDepth)
      return bad("it is nested too deep");
    void *memory = document.allocate(sizeof(JsonValue));
    if (!memory)
      return noMemory();
    auto &v = *static_cast<JsonValue *>(memory);
    v = JsonValue();
    v.source = at;
    bool good = *at == '{'   ? container(v, depth, '}')
                : *at == '[' ? container(v, depth, ']')
                : *at == '"' ? string(v.text, v.bytes)
                             : scalar(v);
    if (!good)
      return nullptr;
    if (*v.source == '"')
      v.kind = JsonValue::Kind::String;
    v.sourceBytes = uint64_t(at - v.source);
    return &v;
  }

  bool container(JsonValue &v, int depth, char close) {
    bool isObject = close == '}';
    v.kind = isObject ? JsonValue::Kind::Object : JsonValue::Kind::Array;
    ++at;
    skipSpace();
    if (take(close))
      return true;
    JsonValue **tail = &v.first;
    do {
      const char *key = nullptr;
      uint64_t keyBytes = 0;
      if (isObject) {
        skipSpace();
        if (at == end || *at != '"')
          return bad("a key is missing");
        if (!string(key, keyBytes))
          return false;
        skipSpace();
        if (!take(':'))
          return bad("':' is missing after a key");
      }
      JsonValue *item = value(depth + 1);
      if (!item)
        return false;
      item->key = key;
      item->keyBytes = keyBytes;
      *tail = item;
      tail = &item->next;
      skipSpace();
    } while (take(','));
    if (!take(close))
      return bad("',' or a closing bracket is missing");
    if (isObject) {
      v.first = sortMembers(v.first);
      for (const JsonValue *i = v.first; i && i->next; i = i->next)
        if (i->keyBytes == i->next->keyBytes && memcmp(i->key, i->next->key, i->keyBytes) == 0)
          return bad("a key stands twice in an object");
    }
    return true;
  }

  bool scalar(JsonValue &v) {
    struct Word {
      const char *text;
      JsonValue::Kind kind;
    };
    static const Word words[] = {{"null", JsonValue::Kind::Null},
                                 {"true", JsonValue::Kind::True},
                                 {"false", JsonValue::Kind::False}};
    for (const Word &word : words) {
      uint64_t length = strlen(word.text);
      if (uint64_t(end - at) < length || memcmp(at, word.text, length) != 0)
        continue;
      v.kind = word.kind;
      at += length;
      return true;
    }
    v.kind = JsonValue::Kind::Number;
    v.text = at;
    take('-');
    if (!take('0') && !digits())
      return bad("a value is none of JSON's");
    if (take('.') && !digits())
      return bad("a number lacks digits after its point");
    if (at < end && (*at == 'e' || *at == 'E')) {
      ++at;
      if (!take('+'))
        take('-');
      if (!digits())
        return bad("a number lacks digits in its exponent");
    }
    v.bytes = uint64_t(at - v.text);
    return true;
  }
  bool digits() {
    const char *from = at;
    while (at < end && *at >= '0' && *at <= '9')
      ++at;
    return at > from;
  }

  bool hex(uint32_t &code) {
    if (end - at < 4)
      return false;
    code = 0;
    for (int i = 0; i < 4; ++i) {
      uint8_t c = lower(*at++);
      int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
      if (digit < 0)
        return false;
      code = code << 4 | uint32_t(digit);
    }
    return true;
  }

  bool string(const char *&text, uint64_t &bytes) {
    const char *close = ++at;
    while (close < end && *close != '"')
      close += *close == '\\' ? 2 : 1;
    if (close >= end)
      return bad("a string has no end");
    // Escapes never grow.
    auto *out = static_cast<char *>(document.allocate(uint64_t(close - at) + 1));
    if (!out)
      return noMemory();
    text = out;
    while (at < close) {
      auto c = uint8_t(*at);
      if (c == '\\') {
        ++at;
        if (!escape(out))
          return bad("an escape in a string is none of JSON's");
        continue;
      }
      if (c < 0x20)
        return bad("a control character stands in a string");
      Utf8 character = decodeUtf8(reinterpret_cast<const uint8_t *>(at), uint64_t(close - at));
      if (character.bytes <= 0)
        return bad("a string is no UTF-8");
      memcpy(out, at, size_t(character.bytes));
      out += character.bytes;
      at += character.bytes;
    }
    bytes = uint64_t(out - text);
    *out = 0;
    ++at;
    return true;
  }

  bool escape(char *&out) {
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    char c = *at++;
    if (c != 'u') {
      const char *found = c ? strchr(names, c) : nullptr;
      if (found)
        *out++ = values[found - names];
      return found != nullptr;
    }
    uint32_t code, low;
    if (!hex(code) || (code >= 0xDC00 && code < 0xE000))
      return false;
    if (code >= 0xD800 && code < 0xDC00) {
      if (end - at < 6 || at[0] != '\\' || at[1] != 'u')
        return false;
      at += 2;
      if (!hex(low) || low < 0xDC00 || low >= 0xE000)
        return false;
      code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    }
    auto put = [&](uint32_t byte) { *out++ = char(byte); };
    if (code < 0x80) {
      put(code);
    } else if (code < 0x800) {
      put(0xC0 | code >> 6);
      put(0x80 | (code & 0x3F));
    } else if (code < 0x10000) {
      put(0xE0 | code >> 12);
      put(0x80 | (code >> 6 & 0x3F));
      put(0x80 | (code & 0x3F));
    } else {
      put(0xF0 | code >> 18);
      put(0x80 | (code >> 12 & 0x3F));
      put(0x80 | (code >> 6 & 0x3F));
      put(0x80 | (code & 0x3F));
    }
    return true;
  }

  JsonDocument &document;
  const char *begin, *at, *end, *what;
  Message &message;
  Status status = GC_OK;
};

Status JsonDocument::parse(const char *text, uint64_t bytes, const char *what, Message &message) {
  return JsonParser(*this, text, bytes, what, message).run(top);
}

} // namespace gcompile::runtime
