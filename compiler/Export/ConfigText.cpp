#include "compiler/Export/ConfigText.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/raw_ostream.h"

using namespace llvm;

namespace gcompile {
namespace {

// Takes a JSON text from the front, up to one of `ends` outside of strings and brackets.
StringRef takeUntil(StringRef &text, StringRef ends) {
  unsigned depth = 0;
  bool inString = false;
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (inString) {
      if (c == '\\')
        ++i;
      inString = c != '"';
      continue;
    }
    if (depth == 0 && ends.contains(c)) {
      StringRef taken = text.take_front(i);
      text = text.drop_front(i);
      return taken.trim();
    }
    inString = c == '"';
    depth += c == '{' || c == '[';
    depth -= c == '}' || c == ']';
  }
  StringRef taken = text;
  text = "";
  return taken.trim();
}

// The text of a key in quotes.
std::string keyOf(StringRef quoted) {
  Expected<json::Value> value = json::parse(quoted);
  if (!value) {
    consumeError(value.takeError());
    return "";
  }
  return value->getAsString().value_or("").str();
}

} // namespace

std::string withMember(StringRef object, ArrayRef<StringRef> dropped, StringRef key,
                       const json::Value &value) {
  StringRef rest = object.trim();
  std::string out = "{";
  for (rest.consume_front("{"); !rest.empty() && rest.ltrim().front() != '}';) {
    StringRef name = takeUntil(rest, ":");
    rest.consume_front(":");
    StringRef text = takeUntil(rest, ",}");
    rest.consume_front(",");
    if (!is_contained(dropped, keyOf(name)))
      out += ("\n  " + name + ": " + text + ",").str();
  }
  std::string added;
  raw_string_ostream(added) << formatv("{0:2}", value);
  raw_string_ostream(out) << "\n  " << json::Value(key) << ": ";
  for (char c : added)
    out += c == '\n' ? std::string("\n  ") : std::string(1, c);
  return out + "\n}\n";
}

} // namespace gcompile
