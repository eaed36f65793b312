// JSON from files that nobody vouches for: size, nesting depth and duplicate keys are checked
// before llvm::json (which recurses and lets the last of two equal keys win) sees the text. Also
// the few typed look-ups that give errors naming key and value.
#pragma once

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/ADT/Twine.h"
#include "llvm/Support/Error.h"
#include "llvm/Support/JSON.h"

#include <cstdint>
#include <limits>
#include <string>

namespace gcompile {

enum class JsonNumbers : uint8_t { Any, IntegersOnly };

struct JsonLimits {
  size_t bytes = size_t{1} << 24;
  unsigned depth = 64;
  JsonNumbers numbers = JsonNumbers::Any;
};

// An error with this text; every error of the import is made here.
llvm::Error importError(const llvm::Twine &text);

// Text from a file, fit for a message: quoted, control characters escaped, long ones cut.
std::string inQuotes(llvm::StringRef text);

// `what` names the text in messages ("config.json").
llvm::Expected<llvm::json::Value> parseHostileJson(llvm::StringRef text, llvm::StringRef what,
                                                   const JsonLimits &limits = {});

// Typed access to one object. A key that is null counts as absent.
class JsonReader {
public:
  JsonReader(const llvm::json::Object &object, llvm::StringRef what) : object(object), what(what) {}

  bool has(llvm::StringRef key) const;
  llvm::Expected<int64_t> integer(llvm::StringRef key, int64_t low, int64_t high) const;
  llvm::Expected<int64_t> integerOr(llvm::StringRef key, int64_t low, int64_t high,
                                    int64_t otherwise) const;
  llvm::Expected<double> numberOr(llvm::StringRef key, double low, double high,
                                  double otherwise) const;
  llvm::Expected<bool> flagOr(llvm::StringRef key, bool otherwise) const;
  llvm::Expected<std::string> textOr(llvm::StringRef key, llvm::StringRef otherwise) const;
  // A list of integers, or one integer as a list of one; absent: empty.
  llvm::Expected<std::vector<int64_t>> integers(llvm::StringRef key, int64_t low,
                                                int64_t high) const;
  // Null when absent; an error when it is something else than an object.
  llvm::Expected<const llvm::json::Object *> child(llvm::StringRef key) const;

  const llvm::json::Value *value(llvm::StringRef key) const; // null: absent or null
  std::string name(llvm::StringRef key) const;               // "config.json: hidden_size"

private:
  const llvm::json::Object &object;
  std::string what;
};

} // namespace gcompile
