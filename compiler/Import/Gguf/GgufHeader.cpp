#include "compiler/Import/Gguf/GgufHeader.h"

#include "compiler/Import/HostileJson.h"

#include "llvm/ADT/StringSet.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/MathExtras.h"

#include <algorithm>
#include <bit>
#include <cstring>

using llvm::Error;
using llvm::Expected;
using llvm::StringRef;
using llvm::Twine;

namespace gcompile {

namespace {

constexpr int64_t maxTensors = 100000, maxKeys = 10000;
constexpr uint64_t maxStringBytes = uint64_t{1} << 26;
constexpr uint64_t maxArrayElements = uint64_t{1} << 22; // vocabularies have 2^18, merges 2^19
constexpr uint64_t maxMetadataBytes = uint64_t{1} << 28; // of all values together, in the file
constexpr uint64_t maxNameBytes = 63;                    // llama.cpp's own limit for tensors
constexpr uint32_t maxDimensions = 4;
constexpr uint64_t bufferBytes = uint64_t{1} << 18;

size_t sizeOf(GgufValueType type) {
  switch (type) {
  case GgufValueType::U8:
  case GgufValueType::I8:
  case GgufValueType::Bool:
    return 1;
  case GgufValueType::U16:
  case GgufValueType::I16:
    return 2;
  case GgufValueType::U32:
  case GgufValueType::I32:
  case GgufValueType::F32:
    return 4;
  default:
    return 8; // strings: their length
  }
}

// Reads forward through a buffer. The first fault is kept, and everything read after it is zero, so
// that parsing needs one check an entry.
class Cursor {
public:
  Cursor(const GgufSource &source, StringRef what) : source(source), what(what) {}

  template <typename T>
  T number() {
    T value{};
    bytes(&value, sizeof value);
    return value;
  }

  void bytes(void *out, uint64_t count) {
    if (failed() || count > left()) {
      std::memset(out, 0, count);
      fault("it ends inside its header");
      return;
    }
    auto *target = static_cast<uint8_t *>(out);
    while (count > 0) {
      if (position < start || position - start >= buffer.size())
        if (!refill())
          return;
      uint64_t offset = position - start;
      uint64_t part = std::min<uint64_t>(count, buffer.size() - offset);
      std::memcpy(target, buffer.data() + offset, part);
      target += part;
      position += part;
      count -= part;
    }
  }

  // Appends a string (length, bytes) to `text`; false after a fault.
  bool string(std::string &text, uint64_t most, StringRef subject) {
    auto length = number<uint64_t>();
    if (length > most || length > left()) {
      fault(subject + " has " + Twine(length) + " bytes; at most " + Twine(most) + " may be, and " +
            Twine(left()) + " are left in the file");
      return false;
    }
    size_t before = text.size();
    text.resize(before + length);
    bytes(text.data() + before, length);
    return !failed();
  }

  void fault(const Twine &text) {
    if (failure.empty())
      failure = (what + ": " + text).str();
  }
  bool failed() const { return !failure.empty(); }
  Error takeError() { return importError(failure); }
  uint64_t at() const { return position; }
  uint64_t left() const { return source.bytes - position; }

private:
  bool refill() {
    start = position;
    buffer.resize(std::min(bufferBytes, left()));
    if (Error error = source.read(start, buffer)) {
      failure = llvm::toString(std::move(error));
      buffer.clear();
      return false;
    }
    return true;
  }

  const GgufSource &source;
  StringRef what;
  std::vector<uint8_t> buffer;
  uint64_t start = 0, position = 0;
  std::string failure;
};

class Parser {
public:
  Parser(const GgufSource &source, StringRef what) : in(source, what), fileBytes(source.bytes) {}

  Expected<GgufHeader> parse() {
    readCounts();
    for (int64_t i = 0; i < keyCount && !in.failed(); ++i)
      readPair();
    readAlignment();
    for (int64_t i = 0; i < tensorCount && !in.failed(); ++i)
      readTensor();
    if (!in.failed())
      placeTensors();
    if (in.failed())
      return in.takeError();
    return std::move(header);
  }

private:
  void readCounts() {
    char magic[4];
    in.bytes(magic, 4);
    if (!in.failed() && !isGguf({magic, 4}))
      return in.fault("it does not begin with 'GGUF'");
    header.version = in.number<uint32_t>();
    if (in.failed())
      return;
    if ((header.version & 0xffff) == 0)
      return in.fault("it is big-endian; convert it with gguf-convert-endian of gguf-py");
    if (header.version != 2 && header.version != 3)
      return in.fault("it has version " + Twine(header.version) +
                      " of GGUF, supported are 2 and 3; convert the original again");
    tensorCount = in.number<int64_t>();
    keyCount = in.number<int64_t>();
    // The least that an entry needs bounds the counts by the file.
    if (tensorCount < 0 || tensorCount > maxTensors ||
        static_cast<uint64_t>(tensorCount) > fileBytes / 24)
      return in.fault("it states " + Twine(tensorCount) + " tensors, at most " + Twine(maxTensors) +
                      " may be, and the file has " + Twine(fileBytes) + " bytes");
    if (keyCount < 0 || keyCount > maxKeys || static_cast<uint64_t>(keyCount) > fileBytes / 13)
      return in.fault("it states " + Twine(keyCount) + " keys, at most " + Twine(maxKeys) +
                      " may be, and the file has " + Twine(fileBytes) + " bytes");
  }

  void readPair() {
    std::string key;
    if (!in.string(key, maxStringBytes, "a key"))
      return;
    uint64_t begin = in.at();
    GgufValue value;
    std::string subject = "key " + inQuotes(key);
    auto type = in.number<int32_t>();
    if (type == static_cast<int32_t>(GgufValueType::Array)) {
      value.isArray = true;
      type = in.number<int32_t>();
    }
    if (in.failed())
      return;
    if (type < 0 || type > static_cast<int32_t>(GgufValueType::F64) ||
        type == static_cast<int32_t>(GgufValueType::Array))
      return in.fault(subject + " has type " + Twine(type) +
                      (type == static_cast<int32_t>(GgufValueType::Array)
                           ? ", an array of arrays, which is not supported"
                           : ", which GGUF does not have"));
    value.type = static_cast<GgufValueType>(type);
    uint64_t count = value.isArray ? in.number<uint64_t>() : 1;
    if (count > maxArrayElements || count > in.left() / sizeOf(value.type))
      return in.fault(subject + " states " + Twine(count) + " elements; at most " +
                      Twine(maxArrayElements) + " may be, and " + Twine(in.left()) +
                      " bytes are left in the file");
    readElements(value, count, subject);
    metadataBytes += in.at() - begin;
    if (metadataBytes > maxMetadataBytes)
      return in.fault("its keys have more than " + Twine(maxMetadataBytes) + " bytes");
    if (in.failed())
      return;
    if (!header.values.try_emplace(key, std::move(value)).second)
      return in.fault(subject + " is there twice");
    header.keys.push_back(std::move(key));
  }

  void readElements(GgufValue &value, uint64_t count, StringRef subject) {
    if (value.type == GgufValueType::String) {
      value.ends.reserve(count);
      for (uint64_t i = 0; i < count; ++i) {
        if (!in.string(value.text, maxStringBytes, subject))
          return;
        if (value.text.size() > maxMetadataBytes)
          return in.fault(subject + " has more than " + Twine(maxMetadataBytes) + " bytes");
        value.ends.push_back(static_cast<uint32_t>(value.text.size()));
      }
      return;
    }
    if (value.isNumber())
      value.numbers.reserve(count);
    else
      value.integers.reserve(count);
    for (uint64_t i = 0; i < count && !in.failed(); ++i)
      readNumber(value, subject);
  }

  void readNumber(GgufValue &value, StringRef subject) {
    switch (value.type) {
    case GgufValueType::U8:
      return value.integers.push_back(in.number<uint8_t>());
    case GgufValueType::I8:
      return value.integers.push_back(in.number<int8_t>());
    case GgufValueType::U16:
      return value.integers.push_back(in.number<uint16_t>());
    case GgufValueType::I16:
      return value.integers.push_back(in.number<int16_t>());
    case GgufValueType::U32:
      return value.integers.push_back(in.number<uint32_t>());
    case GgufValueType::I32:
      return value.integers.push_back(in.number<int32_t>());
    case GgufValueType::I64:
      return value.integers.push_back(in.number<int64_t>());
    case GgufValueType::U64: {
      auto number = in.number<uint64_t>();
      if (number > static_cast<uint64_t>(INT64_MAX))
        in.fault(subject + " is " + Twine(number) + ", more than this program handles");
      return value.integers.push_back(static_cast<int64_t>(number));
    }
    case GgufValueType::Bool: {
      auto number = in.number<uint8_t>();
      if (number > 1)
        in.fault(subject + " has a truth value of " + Twine(unsigned(number)) +
                 ", expected 0 or 1");
      return value.integers.push_back(number);
    }
    case GgufValueType::F32:
      return value.numbers.push_back(in.number<float>());
    case GgufValueType::F64:
      return value.numbers.push_back(in.number<double>());
    default:
      return;
    }
  }

  void readAlignment() {
    const GgufValue *value = header.find("general.alignment");
    if (in.failed() || !value)
      return;
    int64_t stated = value->isInteger() && !value->isArray ? value->integers[0] : 0;
    if (value->type != GgufValueType::U32 || stated <= 0 || !llvm::isPowerOf2_64(stated) ||
        stated > (int64_t{1} << 24))
      return in.fault("general.alignment is not a power of two of type u32");
    alignment = static_cast<uint64_t>(stated);
  }

  void readTensor() {
    GgufTensor tensor;
    if (!in.string(tensor.name, maxNameBytes, "the name of a tensor"))
      return;
    std::string subject = "tensor " + inQuotes(tensor.name);
    auto dimensions = in.number<uint32_t>();
    if (dimensions > maxDimensions)
      return in.fault(subject + " has " + Twine(dimensions) + " dimensions, at most " +
                      Twine(maxDimensions) + " may be");
    uint64_t elements = 1;
    for (uint32_t i = 0; i < dimensions; ++i) {
      auto extent = in.number<int64_t>();
      if (in.failed())
        return;
      bool overflow = extent <= 0;
      if (!overflow)
        elements =
            llvm::SaturatingMultiply<uint64_t>(elements, static_cast<uint64_t>(extent), &overflow);
      if (overflow || elements > static_cast<uint64_t>(INT64_MAX) / 8)
        return in.fault(subject + " has an extent of " + Twine(extent) +
                        ", expected positive ones whose product fits 60 bits");
      tensor.extents.push_back(extent);
    }
    auto type = in.number<uint32_t>();
    tensor.offset = in.number<uint64_t>();
    if (in.failed())
      return;
    tensor.type = findGgufType(type);
    if (!tensor.type)
      return in.fault(subject + " has type " + ggufTypeFault(type));
    uint64_t row = tensor.extents.empty() ? 1 : tensor.extents.front();
    if (row % tensor.type->blockValues != 0)
      return in.fault(subject + " has rows of " + Twine(row) + " values, which blocks of " +
                      Twine(tensor.type->blockValues) + " (" + tensor.type->name + ") do not fill");
    bool overflow = false;
    tensor.bytes = llvm::SaturatingMultiply<uint64_t>(elements / tensor.type->blockValues,
                                                      tensor.type->blockBytes, &overflow);
    if (overflow || tensor.bytes > fileBytes)
      return in.fault(subject + " needs " + Twine(tensor.bytes) + " bytes, the file has " +
                      Twine(fileBytes) + "; it is cut or its header is wrong");
    if (!names.insert(tensor.name).second)
      return in.fault(subject + " is there twice");
    header.tensors.push_back(std::move(tensor));
  }

  // Offsets are the running sum of the aligned sizes; llama.cpp refuses anything else too.
  void placeTensors() {
    uint64_t dataStart = llvm::alignTo(in.at(), alignment), expected = 0;
    for (GgufTensor &tensor : header.tensors) {
      std::string subject = "tensor " + inQuotes(tensor.name);
      if (tensor.offset != expected)
        return in.fault(subject + " is at byte " + Twine(tensor.offset) +
                        " of the data, expected " + Twine(expected));
      // Sizes are at most the file's, so this sum of at most 100000 does not overflow.
      if (dataStart + expected + tensor.bytes > fileBytes)
        return in.fault(subject + " ends at byte " + Twine(dataStart + expected + tensor.bytes) +
                        ", the file has " + Twine(fileBytes) + "; it is cut");
      tensor.offset += dataStart;
      expected += llvm::alignTo(tensor.bytes, alignment);
    }
  }

  Cursor in;
  uint64_t fileBytes;
  GgufHeader header;
  llvm::StringSet<> names;
  int64_t tensorCount = 0, keyCount = 0;
  uint64_t alignment = 32, metadataBytes = 0;
};

} // namespace

size_t GgufValue::size() const {
  return type == GgufValueType::String ? ends.size()
         : isNumber()                  ? numbers.size()
                                       : integers.size();
}

StringRef GgufValue::string(size_t index) const {
  size_t begin = index ? ends[index - 1] : 0;
  return StringRef(text).slice(begin, ends[index]);
}

int64_t GgufTensor::elements() const {
  int64_t product = 1;
  for (int64_t extent : extents)
    product *= extent;
  return product;
}

const GgufValue *GgufHeader::find(StringRef key) const {
  auto found = values.find(key);
  return found == values.end() ? nullptr : &found->second;
}

StringRef GgufHeader::text(StringRef key) const {
  const GgufValue *value = find(key);
  return value && !value->isArray && value->type == GgufValueType::String ? value->string(0)
                                                                          : StringRef();
}

Expected<GgufHeader> parseGgufHeader(const GgufSource &source, StringRef what) {
  return Parser(source, what).parse();
}

bool isGguf(StringRef firstBytes) { return firstBytes.starts_with("GGUF"); }

} // namespace gcompile
