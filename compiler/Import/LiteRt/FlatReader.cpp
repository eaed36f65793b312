#include "compiler/Import/LiteRt/FlatReader.h"

#include "compiler/Import/HostileJson.h"

#include <algorithm>
#include <cstring>

using llvm::Error;
using llvm::Twine;

namespace gcompile {

namespace {

constexpr uint64_t windowBytes = 4096, mostReads = uint64_t{1} << 26, mostText = 4096;

} // namespace

FlatReader::FlatReader(uint64_t bytes, Read read, std::string what)
    : size(bytes), read(std::move(read)), what(std::move(what)) {}

void FlatReader::fail(const Twine &why) {
  if (message.empty())
    message = (what + ": " + why).str();
}

Error FlatReader::takeError() const { return failed() ? importError(message) : Error::success(); }

uint64_t FlatReader::get(uint64_t at, unsigned bytes) {
  if (failed())
    return 0;
  if (at > size || bytes > size - at) {
    fail("an offset leads to byte " + Twine(at) + " of " + Twine(size));
    return 0;
  }
  if (++spent > mostReads) {
    fail("its tables are too many, or the same ones again and again");
    return 0;
  }
  if (at < windowStart || at + bytes > windowStart + window.size()) {
    windowStart = at / windowBytes * windowBytes;
    window.resize(std::min(2 * windowBytes, size - windowStart));
    if (Error error = read(windowStart, window)) {
      window.clear();
      fail(llvm::toString(std::move(error)));
      return 0;
    }
  }
  uint64_t value = 0;
  std::memcpy(&value, window.data() + (at - windowStart), bytes);
  return value;
}

uint64_t FlatReader::follow(uint64_t at) {
  uint64_t offset = get(at, 4);
  if (!failed() && (offset == 0 || offset > size - at))
    fail("the offset at byte " + Twine(at) + " leads to byte " + Twine(at + offset) + " of " +
         Twine(size));
  return failed() ? 0 : at + offset;
}

FlatReader::Table FlatReader::root() { return follow(0); }

// A table begins with the distance back to its list of fields, which says where each lies.
uint64_t FlatReader::field(Table table, unsigned slot, unsigned bytes) {
  if (table == 0)
    return 0;
  int32_t back = static_cast<int32_t>(get(table, 4));
  int64_t fields = static_cast<int64_t>(table) - back;
  if (failed())
    return 0;
  if (fields < 0) {
    fail("the table at byte " + Twine(table) + " has its fields before the beginning");
    return 0;
  }
  uint64_t listBytes = get(static_cast<uint64_t>(fields), 2);
  uint64_t tableBytes = get(static_cast<uint64_t>(fields) + 2, 2);
  uint64_t entry = 4 + 2 * uint64_t(slot);
  if (failed() || entry + 2 > listBytes)
    return 0;
  uint64_t offset = get(static_cast<uint64_t>(fields) + entry, 2);
  if (offset == 0)
    return 0;
  if (offset + bytes > tableBytes) {
    fail("field " + Twine(slot) + " of the table at byte " + Twine(table) + " lies behind its end");
    return 0;
  }
  return table + offset;
}

uint64_t FlatReader::scalar(Table table, unsigned slot, unsigned bytes, uint64_t otherwise) {
  uint64_t at = field(table, slot, bytes);
  return at ? get(at, bytes) : otherwise;
}

FlatReader::Table FlatReader::child(Table table, unsigned slot) {
  uint64_t at = field(table, slot, 4);
  return at ? follow(at) : 0;
}

FlatReader::Vector FlatReader::vector(Table table, unsigned slot, unsigned elementBytes) {
  uint64_t at = child(table, slot);
  if (at == 0)
    return {};
  uint64_t count = get(at, 4);
  if (!failed() && count > (size - at - 4) / elementBytes)
    fail("the list at byte " + Twine(at) + " has " + Twine(count) +
         " elements, which is beyond the end");
  return failed() ? Vector() : Vector{at + 4, count};
}

std::string FlatReader::text(Table table, unsigned slot) {
  Vector letters = vector(table, slot, 1);
  if (letters.count > mostText)
    fail("the text at byte " + Twine(letters.at) + " has " + Twine(letters.count) +
         " bytes, expected at most " + Twine(mostText));
  std::string text;
  for (uint64_t i = 0; i < letters.count && !failed(); ++i)
    text += static_cast<char>(get(letters.at + i, 1));
  return failed() ? std::string() : text;
}

FlatReader::Table FlatReader::childAt(const Vector &vector, uint64_t index) {
  return index < vector.count ? follow(vector.at + 4 * index) : 0;
}

uint64_t FlatReader::scalarAt(const Vector &vector, uint64_t index, unsigned bytes) {
  return index < vector.count ? get(vector.at + bytes * index, bytes) : 0;
}

} // namespace gcompile
