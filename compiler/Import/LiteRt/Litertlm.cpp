#include "compiler/Import/LiteRt/Litertlm.h"

#include "compiler/Import/Coded/CodedCheckpoint.h"
#include "compiler/Import/HostileJson.h"
#include "compiler/Import/InputFile.h"
#include "compiler/Import/LiteRt/FlatReader.h"

#include "llvm/Support/Path.h"

#include <cstring>

using llvm::Error;
using llvm::Expected;
using llvm::MutableArrayRef;
using llvm::StringRef;
using llvm::Twine;

namespace gcompile {

namespace {

constexpr StringRef magic = "LITERTLM";
constexpr uint64_t fixedBytes = 32, mostHeaderBytes = uint64_t{1} << 24, mostSections = 1024;
constexpr uint8_t tfliteSection = 3;

// Slots of the fields, by the order of the published schema.
namespace slot {
enum : unsigned { Sections = 1, Objects = 0 };                    // of the root; of its sections
enum : unsigned { Items = 0, Begin = 1, End = 2, DataType = 3 };  // of a section
enum : unsigned { Key = 0, ValueType = 1, Value = 2, Inner = 0 }; // of an item; of its value
} // namespace slot
constexpr uint64_t textValue = 9;

constexpr StringRef typeNames[] = {
    "none",         "bytes",          "deprecated",     "TFLite model",       "SentencePiece",
    "LlmMetadata",  "tokenizer.json", "TFLite weights", "embedding metadata", "executor metadata",
    "TTS metadata", "ASR metadata"};

} // namespace

StringRef sectionTypeName(uint8_t type) {
  return type < std::size(typeNames) ? typeNames[type] : StringRef("unknown");
}

std::string LitertlmSection::model() const {
  auto found = items.find("model_type");
  return type != tfliteSection ? "" : found == items.end() ? "model" : found->second;
}

bool isLitertlm(StringRef firstBytes) { return firstBytes.starts_with(magic); }

bool isLitertlmFile(StringRef path) {
  uint8_t first[8] = {};
  Expected<InputFile> file = InputFile::open(path, path);
  if (file && file->size() >= sizeof first) {
    Error error = file->read(0, first);
    if (!error)
      return isLitertlm({reinterpret_cast<const char *>(first), sizeof first});
    llvm::consumeError(std::move(error));
  } else if (!file) {
    llvm::consumeError(file.takeError());
  }
  return false;
}

Expected<LitertlmHeader> parseLitertlm(const FileBytes &file, StringRef what) {
  uint8_t first[fixedBytes] = {};
  if (file.size < fixedBytes)
    return importError(what + " has " + Twine(file.size) +
                       " bytes, a LiteRT-LM file has at least " + Twine(fixedBytes));
  if (Error error = file.read(0, first))
    return std::move(error);
  LitertlmHeader header;
  uint64_t headerEnd = 0;
  std::memcpy(header.version, first + 8, sizeof header.version);
  std::memcpy(&headerEnd, first + 24, sizeof headerEnd);
  if (!isLitertlm({reinterpret_cast<const char *>(first), fixedBytes}))
    return importError(what + " is no LiteRT-LM file");
  if (header.version[0] != 1)
    return importError(what + " is a LiteRT-LM file of version " + Twine(header.version[0]) +
                       ", which is not read; 1 is");
  if (headerEnd <= fixedBytes || headerEnd > file.size || headerEnd > mostHeaderBytes)
    return importError(what + ": the header ends at byte " + Twine(headerEnd) + " of " +
                       Twine(file.size));
  FlatReader reader(
      headerEnd - fixedBytes,
      [&](uint64_t offset, MutableArrayRef<uint8_t> out) {
        return file.read(fixedBytes + offset, out);
      },
      (what + ": header").str());
  FlatReader::Vector objects =
      reader.vector(reader.child(reader.root(), slot::Sections), slot::Objects, 4);
  if (objects.count > mostSections)
    reader.fail(Twine(objects.count) + " sections, expected at most " + Twine(mostSections));
  for (uint64_t i = 0; i < objects.count && !reader.failed(); ++i) {
    FlatReader::Table object = reader.childAt(objects, i);
    LitertlmSection section;
    section.begin = reader.scalar(object, slot::Begin, 8);
    section.end = reader.scalar(object, slot::End, 8);
    section.type = static_cast<uint8_t>(reader.scalar(object, slot::DataType, 1));
    if (section.begin < headerEnd || section.end < section.begin || section.end > file.size)
      reader.fail("section " + Twine(i) + " lies at bytes " + Twine(section.begin) + " to " +
                  Twine(section.end) + "; the header ends at " + Twine(headerEnd) +
                  ", the file at " + Twine(file.size));
    for (const LitertlmSection &other : header.sections)
      if (section.begin < other.end && other.begin < section.end)
        reader.fail("section " + Twine(i) + " lies over another");
    FlatReader::Vector items = reader.vector(object, slot::Items, 4);
    if (items.count > mostSections)
      reader.fail("section " + Twine(i) + " has " + Twine(items.count) + " items");
    for (uint64_t item = 0; item < items.count && !reader.failed(); ++item) {
      FlatReader::Table pair = reader.childAt(items, item);
      if (reader.scalar(pair, slot::ValueType, 1) == textValue)
        section.items[reader.text(pair, slot::Key)] =
            reader.text(reader.child(pair, slot::Value), slot::Inner);
    }
    header.sections.push_back(std::move(section));
  }
  if (Error error = reader.takeError())
    return std::move(error);
  if (header.sections.empty())
    return importError(what + " has no sections");
  return header;
}

namespace {

// Codes, scales and zero points as they lie in the file.
class LitertlmParts : public Checkpoint {
public:
  LitertlmParts(FileBytes file, StringRef name) : file(std::move(file)) {
    fileNames.push_back(name.str());
  }
  Error add(std::string name, TensorType type, llvm::SmallVector<int64_t, 4> shape,
            uint64_t offset) {
    TensorInfo info;
    info.name = std::move(name);
    info.type = type;
    info.shape = std::move(shape);
    info.offset = offset;
    info.bytes = static_cast<uint64_t>(info.elements() * tensorTypeBytes(type));
    return addTensor(std::move(info));
  }
  Error read(const TensorInfo &tensor, uint64_t offset,
             MutableArrayRef<uint8_t> out) const override {
    if (offset > tensor.bytes || out.size() > tensor.bytes - offset)
      return importError("tensor " + inQuotes(tensor.name) + " has " + Twine(tensor.bytes) +
                         " bytes, asked for " + Twine(out.size()) + " at " + Twine(offset));
    return file.read(tensor.offset + offset, out);
  }

private:
  FileBytes file;
};

const std::string scalesTail = " scales", zerosTail = " zero points";

Error addParts(LitertlmParts &parts, const LitertlmTensor &entry, uint64_t base) {
  const TfliteTensor &tensor = entry.tensor;
  if (!tensor.isCoded())
    return parts.add(entry.name, tensor.type, tensor.shape, base + tensor.offset);
  if (Error error =
          parts.add(entry.name, TensorType::U8, {int64_t(tensor.bytes)}, base + tensor.offset))
    return error;
  if (Error error = parts.add(entry.name + scalesTail, tensor.scaleType,
                              {int64_t(tensor.scaleCount)}, base + tensor.scaleOffset))
    return error;
  return tensor.zeroCount ? parts.add(entry.name + zerosTail, TensorType::I64,
                                      {int64_t(tensor.zeroCount)}, base + tensor.zeroOffset)
                          : Error::success();
}

Error addWeights(CodedCheckpoint &weights, const LitertlmTensor &entry) {
  const Checkpoint &parts = weights.rawTensors();
  const TfliteTensor &tensor = entry.tensor;
  const TensorInfo &codes = *parts.find(entry.name);
  if (!tensor.isCoded())
    return weights.addPlain(codes, entry.name);
  CodedTensor coded;
  coded.module = entry.name;
  coded.codes = &codes;
  coded.order = CodeOrder::FlatStream;
  coded.numbers = CodeNumbers::TwosComplement;
  coded.bits = tensor.bits;
  coded.columns = tensor.shape.back();
  coded.rows = 1;
  for (int64_t extent : llvm::ArrayRef(tensor.shape).drop_back())
    coded.rows *= extent;
  coded.groupColumns = tensor.block ? tensor.block : coded.columns;
  coded.scales.tensor = parts.find(entry.name + scalesTail);
  coded.scales.type = tensor.scaleType;
  coded.scales.groups = tensor.block ? coded.columns / tensor.block : 1;
  if (!tensor.block) // one for all, or one for each index of dimension 0
    coded.scales.rowsPerEntry = coded.rows / static_cast<int64_t>(tensor.scaleCount);
  coded.zeros.tensor = parts.find(entry.name + zerosTail);
  return weights.addCoded(entry.name, tensor.shape, std::move(coded));
}

} // namespace

Expected<LitertlmFile> openLitertlm(FileBytes file, StringRef name) {
  std::string what = inQuotes(name);
  LitertlmFile result;
  result.bytes = file.size;
  Expected<LitertlmHeader> header = parseLitertlm(file, what);
  if (!header)
    return header.takeError();
  result.header = std::move(*header);
  auto parts = std::make_unique<LitertlmParts>(file, name);
  for (size_t i = 0; i < result.header.sections.size(); ++i) {
    const LitertlmSection &section = result.header.sections[i];
    if (section.type != tfliteSection)
      continue;
    FileBytes inner{section.end - section.begin,
                    [&, begin = section.begin](uint64_t offset, MutableArrayRef<uint8_t> out) {
                      return file.read(begin + offset, out);
                    }};
    Expected<std::vector<TfliteTensor>> tensors =
        parseTflite(inner, what + ": section " + std::to_string(i));
    if (!tensors)
      return tensors.takeError();
    for (TfliteTensor &tensor : *tensors) {
      LitertlmTensor entry{i, std::move(tensor), section.model() + "/"};
      entry.name += entry.tensor.name;
      if (parts->find(entry.name)) // names need not differ in a graph, places do
        entry.name += "#" + std::to_string(section.begin + entry.tensor.offset);
      if (entry.tensor.unread.empty())
        if (Error error = addParts(*parts, entry, section.begin))
          return std::move(error);
      result.tensors.push_back(std::move(entry));
    }
  }
  auto weights = std::make_unique<CodedCheckpoint>(std::move(parts));
  for (LitertlmTensor &entry : result.tensors)
    if (entry.tensor.unread.empty())
      if (Error error = addWeights(*weights, entry))
        return std::move(error);
  result.weights = std::move(weights);
  return result;
}

Expected<LitertlmFile> openLitertlm(StringRef path) {
  StringRef name = llvm::sys::path::filename(path);
  Expected<InputFile> input = InputFile::open(path, name);
  if (!input)
    return input.takeError();
  auto file = std::make_shared<InputFile>(std::move(*input));
  FileBytes bytes{file->size(), [file](uint64_t offset, MutableArrayRef<uint8_t> out) {
                    return file->read(offset, out);
                  }};
  return openLitertlm(std::move(bytes), name);
}

} // namespace gcompile
