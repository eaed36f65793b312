#include "compiler/Import/Gguf/GgufSplit.h"

#include "compiler/Import/Gguf/GgufCheckpoint.h"
#include "compiler/Import/HostileJson.h"

#include "llvm/Support/Path.h"

using llvm::Error;
using llvm::Expected;
using llvm::StringRef;
using llvm::Twine;

namespace gcompile {

std::optional<GgufSplitName> ggufSplitName(StringRef name) {
  constexpr size_t tail = StringRef("-00001-of-00003").size();
  if (!name.consume_back(".gguf") || name.size() <= tail)
    return std::nullopt;
  GgufSplitName result{name.drop_back(tail)};
  StringRef rest = name.take_back(tail);
  if (!rest.consume_front("-") || rest.take_front(5).getAsInteger(10, result.number) ||
      rest.substr(5, 4) != "-of-" || rest.drop_front(9).getAsInteger(10, result.count))
    return std::nullopt;
  return result;
}

std::string ggufPartName(StringRef prefix, unsigned number, unsigned count) {
  auto digits = [](unsigned value) {
    std::string text = std::to_string(value);
    return std::string(5 - std::min<size_t>(5, text.size()), '0') + text;
  };
  return (prefix + "-" + digits(number) + "-of-" + digits(count) + ".gguf").str();
}

Expected<int64_t> ggufSplitKey(const GgufHeader &header, StringRef key, StringRef name) {
  const GgufValue *value = header.find(key);
  if (!value)
    return -1;
  if (value->isArray || !value->isInteger() || value->integers[0] < 0)
    return importError(inQuotes(name) + ": " + key + " is not a whole number");
  return value->integers[0];
}

Error checkGgufPart(const GgufHeader &header, StringRef name, int64_t number, int64_t count) {
  Expected<int64_t> statedCount = ggufSplitKey(header, "split.count", name);
  if (!statedCount)
    return statedCount.takeError();
  Expected<int64_t> statedNumber = ggufSplitKey(header, "split.no", name);
  if (!statedNumber)
    return statedNumber.takeError();
  if (*statedCount != count || *statedNumber != number)
    return importError(inQuotes(name) + " says that it is part " + Twine(*statedNumber + 1) +
                       " of " + Twine(*statedCount) + ", expected part " + Twine(number + 1) +
                       " of " + Twine(count));
  return Error::success();
}

StringRef ggufStem(StringRef path) {
  StringRef name = llvm::sys::path::filename(path);
  if (std::optional<GgufSplitName> split = ggufSplitName(name))
    return split->prefix;
  name.consume_back(".gguf");
  return name;
}

} // namespace gcompile
