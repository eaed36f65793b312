#include "compiler/Import/HostileJson.h"

#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSet.h"

#include <cmath>
#include <memory>
#include <vector>

using llvm::Expected;
using llvm::StringRef;
using llvm::Twine;

namespace gcompile {

llvm::Error importError(const Twine &text) {
  return llvm::createStringError(std::make_error_code(std::errc::invalid_argument), text);
}

std::string inQuotes(StringRef text) {
  constexpr size_t longest = 160;
  std::string result = "'";
  for (char character : text.take_front(longest)) {
    auto byte = static_cast<unsigned char>(character);
    if (byte < 0x20 || byte == 0x7f)
      result += "\\x" + llvm::utohexstr(byte, true, 2);
    else
      result += character;
  }
  if (text.size() > longest) {
    // Cut between characters: a half one would make the message invalid UTF-8.
    while (!result.empty() && (static_cast<unsigned char>(result.back()) & 0xC0) == 0x80)
      result.pop_back();
    if (!result.empty() && static_cast<unsigned char>(result.back()) >= 0xC0)
      result.pop_back();
    result += "…";
  }
  return llvm::json::fixUTF8(result) + "'";
}

namespace {

// One open bracket of the pre-scan.
struct Level {
  std::unique_ptr<llvm::StringSet<>> keys; // null: an array
  bool expectsKey = false;
};

// Walks the text once without recursion. Grammar is llvm::json's business; this finds what it would
// not mind.
llvm::Error scan(StringRef text, StringRef what, const JsonLimits &limits) {
  llvm::SmallVector<Level, 16> levels;
  size_t position = 0;
  while (position < text.size()) {
    char character = text[position];
    switch (character) {
    case '{':
    case '[':
      if (levels.size() >= limits.depth)
        return importError(what + ": nested deeper than " + Twine(limits.depth) +
                           " levels at byte " + Twine(position));
      levels.emplace_back();
      if (character == '{') {
        levels.back().keys = std::make_unique<llvm::StringSet<>>();
        levels.back().expectsKey = true;
      }
      ++position;
      break;
    case '}':
    case ']':
      if (!levels.empty())
        levels.pop_back();
      ++position;
      break;
    case ',':
      if (!levels.empty() && levels.back().keys)
        levels.back().expectsKey = true;
      ++position;
      break;
    case '"': {
      size_t end = position + 1;
      bool escaped = false;
      while (end < text.size() && text[end] != '"') {
        if (text[end] == '\\') {
          escaped = true;
          ++end;
        }
        ++end;
      }
      if (end >= text.size())
        return importError(what + ": a string that starts at byte " + Twine(position) +
                           " has no end");
      if (!levels.empty() && levels.back().expectsKey) {
        levels.back().expectsKey = false;
        StringRef raw = text.slice(position + 1, end);
        std::string decoded;
        if (escaped) { // "a" and "\u0061" are one key
          Expected<llvm::json::Value> value = llvm::json::parse(text.slice(position, end + 1));
          if (!value)
            return importError(what + ": " + llvm::toString(value.takeError()));
          decoded = value->getAsString().value_or("").str();
          raw = decoded;
        }
        if (!levels.back().keys->insert(raw).second)
          return importError(what + ": key " + inQuotes(raw) + " occurs twice in one object");
      }
      position = end + 1;
      break;
    }
    default:
      if (limits.numbers == JsonNumbers::IntegersOnly &&
          (llvm::isDigit(character) || character == '-')) {
        size_t start = position;
        while (position < text.size() &&
               (llvm::isAlnum(text[position]) || StringRef("+-.").contains(text[position])))
          ++position;
        StringRef number = text.slice(start, position);
        int64_t parsed;
        if (number.getAsInteger(10, parsed))
          return importError(what + ": number " + inQuotes(number) + " at byte " + Twine(start) +
                             " is not a 64-bit integer");
        break;
      }
      ++position;
    }
  }
  return llvm::Error::success();
}

std::string describe(const llvm::json::Value &value) {
  std::string text;
  llvm::raw_string_ostream(text) << value;
  return inQuotes(text);
}

} // namespace

Expected<llvm::json::Value> parseHostileJson(StringRef text, StringRef what,
                                             const JsonLimits &limits) {
  if (text.size() > limits.bytes)
    return importError(what + ": " + Twine(text.size()) + " bytes, more than the " +
                       Twine(limits.bytes) + " that such a file may have");
  if (llvm::Error error = scan(text, what, limits))
    return std::move(error);
  Expected<llvm::json::Value> value = llvm::json::parse(text);
  if (!value)
    return importError(what + ": not valid JSON: " + llvm::toString(value.takeError()));
  return value;
}

const llvm::json::Value *JsonReader::value(StringRef key) const {
  const llvm::json::Value *found = object.get(key);
  return found && found->kind() != llvm::json::Value::Null ? found : nullptr;
}

bool JsonReader::has(StringRef key) const { return value(key) != nullptr; }

std::string JsonReader::name(StringRef key) const { return what + ": " + key.str(); }

Expected<int64_t> JsonReader::integer(StringRef key, int64_t low, int64_t high) const {
  const llvm::json::Value *found = value(key);
  if (!found)
    return importError(name(key) + " is missing");
  std::optional<int64_t> number = found->getAsInteger();
  if (!number || *number < low || *number > high)
    return importError(name(key) + " is " + describe(*found) + ", expected an integer from " +
                       Twine(low) + " to " + Twine(high));
  return *number;
}

Expected<int64_t> JsonReader::integerOr(StringRef key, int64_t low, int64_t high,
                                        int64_t otherwise) const {
  if (!has(key))
    return otherwise;
  return integer(key, low, high);
}

Expected<double> JsonReader::numberOr(StringRef key, double low, double high,
                                      double otherwise) const {
  const llvm::json::Value *found = value(key);
  if (!found)
    return otherwise;
  std::optional<double> number = found->getAsNumber();
  if (!number || !(*number >= low && *number <= high))
    return importError(name(key) + " is " + describe(*found) + ", expected a number from " +
                       llvm::formatv("{0}", llvm::json::Value(low)).str() + " to " +
                       llvm::formatv("{0}", llvm::json::Value(high)).str());
  return *number;
}

Expected<bool> JsonReader::flagOr(StringRef key, bool otherwise) const {
  const llvm::json::Value *found = value(key);
  if (!found)
    return otherwise;
  std::optional<bool> flag = found->getAsBoolean();
  if (!flag)
    return importError(name(key) + " is " + describe(*found) + ", expected true or false");
  return *flag;
}

Expected<std::string> JsonReader::textOr(StringRef key, StringRef otherwise) const {
  const llvm::json::Value *found = value(key);
  if (!found)
    return otherwise.str();
  std::optional<StringRef> text = found->getAsString();
  if (!text)
    return importError(name(key) + " is " + describe(*found) + ", expected a string");
  return text->str();
}

Expected<std::vector<int64_t>> JsonReader::integers(StringRef key, int64_t low,
                                                    int64_t high) const {
  std::vector<int64_t> result;
  const llvm::json::Value *found = value(key);
  if (!found)
    return result;
  const llvm::json::Array *list = found->getAsArray();
  if (!list) {
    Expected<int64_t> one = integer(key, low, high);
    if (!one)
      return one.takeError();
    result.push_back(*one);
    return result;
  }
  for (const llvm::json::Value &entry : *list) {
    std::optional<int64_t> number = entry.getAsInteger();
    if (!number || *number < low || *number > high)
      return importError(name(key) + " contains " + describe(entry) + ", expected integers from " +
                         Twine(low) + " to " + Twine(high));
    result.push_back(*number);
  }
  return result;
}

Expected<const llvm::json::Object *> JsonReader::child(StringRef key) const {
  const llvm::json::Value *found = value(key);
  if (!found)
    return nullptr;
  const llvm::json::Object *result = found->getAsObject();
  if (!result)
    return importError(name(key) + " is " + describe(*found) + ", expected an object");
  return result;
}

} // namespace gcompile
