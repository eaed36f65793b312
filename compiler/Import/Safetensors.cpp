#include "compiler/Import/Safetensors.h"

#include "compiler/Import/HostileJson.h"

#include "llvm/ADT/StringSwitch.h"
#include "llvm/Support/MathExtras.h"

#include <algorithm>
#include <optional>

using llvm::Error;
using llvm::Expected;
using llvm::StringRef;
using llvm::Twine;

namespace gcompile {

namespace {

constexpr size_t maxHeaderBytes = 100 * 1000 * 1000; // the reference reader's limit
constexpr size_t maxIndexBytes = size_t{1} << 26;
constexpr unsigned maxDepth = 8;
constexpr size_t maxRank = 8;

std::optional<TensorType> typeOf(StringRef name) {
  return llvm::StringSwitch<std::optional<TensorType>>(name)
      .Case("F32", TensorType::F32)
      .Case("BF16", TensorType::BF16)
      .Case("F16", TensorType::F16)
      .Case("F64", TensorType::F64)
      .Case("I8", TensorType::I8)
      .Case("U8", TensorType::U8)
      .Case("I16", TensorType::I16)
      .Case("U16", TensorType::U16)
      .Case("I32", TensorType::I32)
      .Case("U32", TensorType::U32)
      .Case("I64", TensorType::I64)
      .Case("U64", TensorType::U64)
      .Case("BOOL", TensorType::Bool)
      .Case("F8_E4M3", TensorType::F8E4M3)
      .Case("F8_E5M2", TensorType::F8E5M2)
      .Case("F8_E8M0", TensorType::F8E8M0)
      .Default(std::nullopt);
}

Expected<TensorInfo> parseEntry(StringRef name, const llvm::json::Object &entry, uint64_t dataBytes,
                                const Twine &what) {
  TensorInfo tensor;
  tensor.name = name.str();
  std::string subject = (what + ": tensor " + inQuotes(name)).str();
  StringRef typeName = entry.getString("dtype").value_or("");
  std::optional<TensorType> type = typeOf(typeName);
  if (!type)
    return importError(subject + " has dtype " + inQuotes(typeName) + ", which is not supported");
  tensor.type = *type;
  const llvm::json::Array *shape = entry.getArray("shape");
  if (!shape || shape->size() > maxRank)
    return importError(subject + " has no shape of at most " + Twine(maxRank) + " dimensions");
  uint64_t bytes = tensorTypeBytes(*type);
  for (const llvm::json::Value &value : *shape) {
    std::optional<int64_t> extent = value.getAsInteger();
    if (!extent || *extent < 0)
      return importError(subject + " has a shape that is not made of integers from 0");
    bool overflow = false;
    bytes = llvm::SaturatingMultiply<uint64_t>(bytes, static_cast<uint64_t>(*extent), &overflow);
    if (overflow)
      return importError(subject + " has a shape whose size does not fit 64 bits");
    tensor.shape.push_back(*extent);
  }
  const llvm::json::Array *offsets = entry.getArray("data_offsets");
  std::optional<int64_t> begin, end;
  if (offsets && offsets->size() == 2) {
    begin = (*offsets)[0].getAsInteger();
    end = (*offsets)[1].getAsInteger();
  }
  if (!begin || !end || *begin < 0 || *end < *begin)
    return importError(subject + " has no data_offsets [begin, end] with 0 <= begin <= end");
  if (static_cast<uint64_t>(*end) > dataBytes)
    return importError(subject + " ends at byte " + Twine(*end) + " of the data, which has " +
                       Twine(dataBytes) + "; the file is cut or its header is wrong");
  if (static_cast<uint64_t>(*end - *begin) != bytes)
    return importError(subject + " has " + Twine(*end - *begin) + " bytes, expected " +
                       Twine(bytes) + " for shape " + shapeString(tensor.shape) + " of " +
                       typeName);
  tensor.offset = *begin;
  tensor.bytes = bytes;
  return tensor;
}

} // namespace

Expected<std::vector<TensorInfo>> parseSafetensorsHeader(StringRef header, uint64_t dataBytes,
                                                         StringRef what) {
  JsonLimits limits{maxHeaderBytes, maxDepth, JsonNumbers::IntegersOnly};
  Expected<llvm::json::Value> value = parseHostileJson(header, what, limits);
  if (!value)
    return value.takeError();
  const llvm::json::Object *entries = value->getAsObject();
  if (!entries)
    return importError(what + ": the header is not an object");
  std::vector<TensorInfo> tensors;
  tensors.reserve(entries->size());
  for (const auto &[key, entry] : *entries) {
    StringRef name = key;
    const llvm::json::Object *object = entry.getAsObject();
    if (name == "__metadata__" && entry.kind() == llvm::json::Value::Null)
      continue; // MLX writes it so when it has nothing to say
    if (!object)
      return importError(what + ": entry " + inQuotes(name) + " is not an object");
    if (name == "__metadata__") {
      for (const auto &[field, text] : *object)
        if (!text.getAsString())
          return importError(what + ": metadata " + inQuotes(StringRef(field)) +
                             " is not a string");
      continue;
    }
    Expected<TensorInfo> tensor = parseEntry(name, *object, dataBytes, what);
    if (!tensor)
      return tensor.takeError();
    tensors.push_back(std::move(*tensor));
  }
  // File order, and by it: no overlap, no hole, nothing left over. Empty tensors sort before what
  // starts at the same byte.
  std::sort(tensors.begin(), tensors.end(), [](const TensorInfo &a, const TensorInfo &b) {
    return std::tie(a.offset, a.bytes, a.name) < std::tie(b.offset, b.bytes, b.name);
  });
  uint64_t expected = 0;
  for (const TensorInfo &tensor : tensors) {
    if (tensor.offset != expected)
      return importError(
          what + ": tensor " + inQuotes(tensor.name) + " starts at byte " + Twine(tensor.offset) +
          " of the data, expected " + Twine(expected) +
          (tensor.offset < expected ? "; it overlaps another" : "; there is a hole before it"));
    expected += tensor.bytes;
  }
  if (expected != dataBytes)
    return importError(what + ": the tensors have " + Twine(expected) + " bytes, the data has " +
                       Twine(dataBytes));
  return tensors;
}

Expected<std::vector<std::pair<std::string, std::string>>> parseSafetensorsIndex(StringRef text,
                                                                                 StringRef what) {
  Expected<llvm::json::Value> value =
      parseHostileJson(text, what, {maxIndexBytes, maxDepth, JsonNumbers::Any});
  if (!value)
    return value.takeError();
  const llvm::json::Object *object = value->getAsObject();
  const llvm::json::Object *map = object ? object->getObject("weight_map") : nullptr;
  if (!map || map->empty())
    return importError(what + ": there is no weight_map that names the shards");
  std::vector<std::pair<std::string, std::string>> result;
  for (const auto &[tensor, fileValue] : *map) {
    std::optional<StringRef> file = fileValue.getAsString();
    if (!file)
      return importError(what + ": tensor " + inQuotes(StringRef(tensor)) + " has no file name");
    bool plain = !file->empty() && file->size() <= 255 && !file->starts_with(".") &&
                 file->find_first_of(StringRef("/\\\0", 3)) == StringRef::npos &&
                 file->ends_with(".safetensors");
    if (!plain)
      return importError(what + ": " + inQuotes(*file) +
                         " is not a plain name of a .safetensors file in the same folder");
    result.emplace_back(StringRef(tensor).str(), file->str());
  }
  std::sort(result.begin(), result.end());
  return result;
}

} // namespace gcompile
