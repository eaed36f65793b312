// Writes JSON to standard output: commas, escapes and invalid UTF-8 (as U+FFFD) are taken care of,
// nesting is the caller's. Numbers that JSON cannot hold (NaN, infinities) become null.
#pragma once

#include "runtime/core/Utf8.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

namespace gcompile::tools {

class Json {
public:
  explicit Json(FILE *file) : file(file) {}

  Json &open(char bracket) {
    separate();
    fputc(bracket, file);
    first = true;
    return *this;
  }
  Json &close(char bracket) {
    fputc(bracket, file);
    first = false;
    return *this;
  }
  Json &key(const char *name) {
    string(name);
    fputc(':', file);
    first = true; // no comma before the value
    return *this;
  }
  Json &string(const char *text) { return string(text, strlen(text)); }
  Json &string(const char *text, size_t bytes) {
    separate();
    fputc('"', file);
    auto *at = reinterpret_cast<const uint8_t *>(text), *end = at + bytes;
    while (at < end) {
      runtime::Utf8 c = runtime::decodeUtf8(at, uint64_t(end - at));
      if (c.bytes <= 0) {
        fputs("\xEF\xBF\xBD", file);
        ++at;
      } else if (c.codePoint == '"' || c.codePoint == '\\') {
        fprintf(file, "\\%c", int(c.codePoint));
        ++at;
      } else if (c.codePoint == '\n') {
        fputs("\\n", file);
        ++at;
      } else if (c.codePoint < 0x20 || c.codePoint == 0x7F) {
        fprintf(file, "\\u%04x", c.codePoint);
        ++at;
      } else {
        fwrite(at, 1, size_t(c.bytes), file);
        at += c.bytes;
      }
    }
    fputc('"', file);
    return *this;
  }
  // JSON as it stands.
  Json &raw(const char *text, size_t bytes) {
    separate();
    fwrite(text, 1, bytes, file);
    return *this;
  }
  Json &integer(int64_t value) {
    separate();
    fprintf(file, "%lld", static_cast<long long>(value));
    return *this;
  }
  Json &number(double value, int digits = 12) {
    separate();
    if (isfinite(value))
      fprintf(file, "%.*g", digits, value);
    else
      fputs("null", file);
    return *this;
  }
  // Nine digits bring any float back exactly.
  Json &number(float value) { return number(double(value), 9); }
  Json &boolean(int value) {
    separate();
    fputs(value ? "true" : "false", file);
    return *this;
  }
  Json &integers(const int32_t *values, size_t count) {
    open('[');
    for (size_t i = 0; i < count; ++i)
      integer(values[i]);
    return close(']');
  }
  void end() {
    fputc('\n', file);
    fflush(file);
  }

private:
  void separate() {
    if (!first)
      fputc(',', file);
    first = false;
  }
  FILE *file;
  bool first = true;
};

} // namespace gcompile::tools
