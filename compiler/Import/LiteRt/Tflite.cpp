// The constants of a tflite model. Names, shapes and quantization are in tables of a FlatBuffer,
// data in the buffer itself or, in large files, behind it at stated offsets.
#include "compiler/Import/HostileJson.h"
#include "compiler/Import/LiteRt/FlatReader.h"
#include "compiler/Import/LiteRt/Litertlm.h"

#include "llvm/Support/CheckedArithmetic.h"

#include <limits>
#include <set>

using llvm::Error;
using llvm::Expected;
using llvm::MutableArrayRef;
using llvm::StringRef;
using llvm::Twine;

namespace gcompile {

namespace {

constexpr uint64_t mostTensors = 100000, mostRank = 8;

// Slots of the fields, by the order of the published schema.
namespace slot {
enum : unsigned { ModelSubgraphs = 2, ModelBuffers = 4 };
enum : unsigned { GraphTensors = 0 };
enum : unsigned { Shape = 0, Type = 1, Buffer = 2, Name = 3, Quantization = 4, External = 10 };
enum : unsigned { Data = 0, Offset = 1, Size = 2 };
enum : unsigned { Scale = 2, ZeroPoint = 3, DetailsType = 4, Details = 5, Dimension = 6 };
enum : unsigned { BlockScales = 0, BlockZeros = 1, BlockSize = 2 };
} // namespace slot
constexpr uint64_t blockwise = 2;

struct TypeFacts {
  uint64_t code;
  StringRef name;
  unsigned bits;
  TensorType type;
};
constexpr TypeFacts types[] = {
    {0, "F32", 32, TensorType::F32}, {1, "F16", 16, TensorType::F16},
    {2, "I32", 32, TensorType::I32}, {3, "U8", 8, TensorType::U8},
    {4, "I64", 64, TensorType::I64}, {6, "BOOL", 8, TensorType::Bool},
    {7, "I16", 16, TensorType::I16}, {9, "INT8", 8, TensorType::I8},
    {17, "INT4", 4, TensorType::I8}, {18, "BF16", 16, TensorType::BF16},
    {19, "INT2", 2, TensorType::I8},
};

struct Place {
  uint64_t offset = 0, bytes = 0;
};

class TfliteParser {
public:
  TfliteParser(const FileBytes &section, StringRef what)
      : section(section), reader(section.size, section.read, what.str()) {}

  Expected<std::vector<TfliteTensor>> run() {
    FlatReader::Table model = reader.root();
    buffers = reader.vector(model, slot::ModelBuffers, 4);
    FlatReader::Vector graphs = reader.vector(model, slot::ModelSubgraphs, 4);
    for (uint64_t graph = 0; graph < graphs.count && !reader.failed(); ++graph) {
      FlatReader::Vector list = reader.vector(reader.childAt(graphs, graph), slot::GraphTensors, 4);
      for (uint64_t i = 0; i < list.count && !reader.failed(); ++i)
        addTensor(list, i);
    }
    if (Error error = reader.takeError())
      return std::move(error);
    return std::move(tensors);
  }

private:
  // Of a buffer; none: it holds nothing, as those of computed tensors.
  Place placeOf(uint64_t buffer) {
    if (buffer >= buffers.count) {
      reader.fail("buffer " + Twine(buffer) + " of " + Twine(buffers.count));
      return {};
    }
    FlatReader::Table table = reader.childAt(buffers, buffer);
    FlatReader::Vector data = reader.vector(table, slot::Data, 1);
    if (data.count)
      return {data.at, data.count};
    Place place{reader.scalar(table, slot::Offset, 8), reader.scalar(table, slot::Size, 8)};
    if (place.offset <= 1 || place.bytes == 0) // 1: to be filled in by the writer
      return {};
    if (place.offset > section.size || place.bytes > section.size - place.offset)
      reader.fail("buffer " + Twine(buffer) + " has " + Twine(place.bytes) + " bytes at " +
                  Twine(place.offset) + " of " + Twine(section.size));
    return place;
  }

  void addTensor(const FlatReader::Vector &graph, uint64_t index) {
    FlatReader::Table table = reader.childAt(graph, index);
    uint64_t buffer = reader.scalar(table, slot::Buffer, 4);
    TfliteTensor tensor;
    bool isExternal = reader.scalar(table, slot::External, 4) != 0;
    if (!isExternal) {
      if (buffer == 0 || seen.count(buffer)) // 0: always empty; prefill and decode share the rest
        return;
      Place place = placeOf(buffer);
      if (place.bytes == 0)
        return;
      seen.insert(buffer);
      tensor.offset = place.offset;
      tensor.bytes = place.bytes;
    }
    if (tensors.size() >= mostTensors)
      return reader.fail("more than " + Twine(mostTensors) + " constants");
    tensor.name = reader.text(table, slot::Name);
    describe(table, tensor);
    if (isExternal)
      tensor.unread = "its data lie in another section (external buffers are not read)";
    else if (tensor.unread.empty())
      readQuantization(graph, table, tensor);
    if (tensor.unread.empty() && tensor.bits < 8 && !tensor.isCoded())
      tensor.unread = "it has no scales";
    tensors.push_back(std::move(tensor));
  }

  void describe(FlatReader::Table table, TfliteTensor &tensor) {
    uint64_t code = reader.scalar(table, slot::Type, 1);
    const TypeFacts *facts =
        llvm::find_if(types, [&](const TypeFacts &each) { return each.code == code; });
    bool known = facts != std::end(types);
    tensor.typeText = known ? facts->name.str() : "type " + std::to_string(code);
    FlatReader::Vector shape = reader.vector(table, slot::Shape, 4);
    if (shape.count > mostRank)
      return reader.fail("tensor " + inQuotes(tensor.name) + " has " + Twine(shape.count) +
                         " dimensions");
    int64_t elements = 1;
    for (uint64_t i = 0; i < shape.count; ++i) {
      tensor.shape.push_back(static_cast<int32_t>(reader.scalarAt(shape, i, 4)));
      auto product = llvm::checkedMul(elements, tensor.shape.back());
      if (tensor.shape.back() <= 0 || !product || *product > int64_t{1} << 48) {
        tensor.unread = "its shape is " + shapeString(tensor.shape);
        return;
      }
      elements = *product;
    }
    if (!known) {
      tensor.unread = "its type is not one of weights";
      return;
    }
    tensor.bits = facts->bits;
    tensor.type = facts->type;
    uint64_t wanted = (static_cast<uint64_t>(elements) * tensor.bits + 7) / 8;
    if (tensor.bytes && tensor.bytes != wanted)
      reader.fail("tensor " + inQuotes(tensor.name) + " has " + Twine(tensor.bytes) +
                  " bytes, expected " + Twine(wanted) + " for shape " + shapeString(tensor.shape) +
                  " of " + tensor.typeText);
  }

  void readQuantization(const FlatReader::Vector &graph, FlatReader::Table table,
                        TfliteTensor &tensor);
  void readBlocks(const FlatReader::Vector &graph, FlatReader::Table details, TfliteTensor &tensor);

  const FileBytes &section;
  FlatReader reader;
  FlatReader::Vector buffers;
  std::set<uint64_t> seen; // buffers
  std::vector<TfliteTensor> tensors;
};

void TfliteParser::readBlocks(const FlatReader::Vector &graph, FlatReader::Table details,
                              TfliteTensor &tensor) {
  auto size = static_cast<int32_t>(reader.scalar(details, slot::BlockSize, 4));
  uint64_t index = reader.scalar(details, slot::BlockScales, 4);
  if (size <= 0 || index >= graph.count || tensor.shape.back() % size != 0)
    return reader.fail("tensor " + inQuotes(tensor.name) + " of shape " +
                       shapeString(tensor.shape) + " has blocks of " + Twine(size) +
                       " with scales in tensor " + Twine(index) + " of " + Twine(graph.count));
  FlatReader::Table scales = reader.childAt(graph, index);
  Place place = placeOf(reader.scalar(scales, slot::Buffer, 4));
  int64_t elements = 1;
  for (int64_t extent : tensor.shape)
    elements *= extent;
  uint64_t type = reader.scalar(scales, slot::Type, 1);
  uint64_t count = static_cast<uint64_t>(elements / size);
  if (type > 1 || place.bytes != count * (type == 0 ? 4 : 2))
    return reader.fail("tensor " + inQuotes(tensor.name) + " has scales of " + Twine(place.bytes) +
                       " bytes, expected F32 or F16 for " + Twine(count) + " blocks");
  auto zeros = static_cast<int32_t>(reader.scalar(details, slot::BlockZeros, 4));
  if (zeros > 0) {
    tensor.unread = "its blocks have zero points";
    return;
  }
  tensor.block = size;
  tensor.scaleOffset = place.offset;
  tensor.scaleCount = count;
  tensor.scaleType = type == 0 ? TensorType::F32 : TensorType::F16;
}

void TfliteParser::readQuantization(const FlatReader::Vector &graph, FlatReader::Table table,
                                    TfliteTensor &tensor) {
  FlatReader::Table quantization = reader.child(table, slot::Quantization);
  if (tensor.type != TensorType::I8 || quantization == 0)
    return;
  if (tensor.shape.empty())
    return;
  uint64_t kind = reader.scalar(quantization, slot::DetailsType, 1);
  if (kind == blockwise)
    return readBlocks(graph, reader.child(quantization, slot::Details), tensor);
  if (kind != 0) {
    tensor.unread = "its quantization is of kind " + std::to_string(kind);
    return;
  }
  FlatReader::Vector scales = reader.vector(quantization, slot::Scale, 4);
  FlatReader::Vector zeros = reader.vector(quantization, slot::ZeroPoint, 8);
  auto dimension = static_cast<int32_t>(reader.scalar(quantization, slot::Dimension, 4));
  if (scales.count == 0)
    return;
  if (dimension < 0 || static_cast<uint64_t>(dimension) >= tensor.shape.size() ||
      (scales.count != 1 && scales.count != static_cast<uint64_t>(tensor.shape[dimension])) ||
      (zeros.count != 0 && zeros.count != scales.count))
    return reader.fail("tensor " + inQuotes(tensor.name) + " of shape " +
                       shapeString(tensor.shape) + " has " + Twine(scales.count) + " scales and " +
                       Twine(zeros.count) + " zero points along dimension " + Twine(dimension));
  if (scales.count != 1 && dimension != 0) {
    tensor.unread = "its scales run along dimension " + std::to_string(dimension);
    return;
  }
  bool anyZero = false;
  for (uint64_t i = 0; i < zeros.count && !anyZero; ++i)
    anyZero = reader.scalarAt(zeros, i, 8) != 0;
  if (anyZero && zeros.count != 1 && tensor.shape.size() != 2) {
    tensor.unread = "its zero points are not those of a matrix";
    return;
  }
  tensor.scaleOffset = scales.at;
  tensor.scaleCount = scales.count;
  tensor.zeroOffset = zeros.at;
  tensor.zeroCount = anyZero ? zeros.count : 0;
}

struct RoleName {
  StringRef part, role;
};
// By reports on the published files; the longer names first, as others are parts of them.
constexpr RoleName roleNames[] = {
    {"per_layer_embedding_gate", "per_layer_gate"},
    {"per_layer_embedding_projection", "per_layer_projection"},
    {"attn_vec_einsum", "output"},
    {"q_einsum", "query"},
    {"k_einsum", "key"},
    {"v_einsum", "value"},
    {"gating_einsum1", "gate"},
    {"gating_einsum2", "up"},
    {"mlp/linear", "down"},
    {"decode_softmax", "head"},
};

} // namespace

Expected<std::vector<TfliteTensor>> parseTflite(const FileBytes &section, StringRef what) {
  char mark[8] = {};
  if (section.size < sizeof mark)
    return importError(what + " has " + Twine(section.size) + " bytes, which is no tflite model");
  if (Error error = section.read(0, {reinterpret_cast<uint8_t *>(mark), sizeof mark}))
    return std::move(error);
  if (StringRef(mark + 4, 4) != "TFL3")
    return importError(what + " is no tflite model: its mark is " + inQuotes({mark + 4, 4}) +
                       ", not 'TFL3' (models compiled for one NPU are not read)");
  return TfliteParser(section, what).run();
}

StringRef litertRole(StringRef name) {
  for (const RoleName &each : roleNames)
    if (name.contains(each.part))
      return each.role;
  return "other";
}

} // namespace gcompile
