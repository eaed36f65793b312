#include "compiler/Import/Checkpoint.h"

#include "compiler/Import/HostileJson.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/BLAKE3.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/MathExtras.h"

#include <bit>
#include <cstring>

using llvm::Error;
using llvm::Expected;
using llvm::MutableArrayRef;
using llvm::StringRef;
using llvm::Twine;

static_assert(std::endian::native == std::endian::little,
              "checkpoints are little-endian and read without swapping");

namespace gcompile {

namespace {

constexpr uint64_t chunkBytes = uint64_t{1} << 20;
constexpr uint32_t exponentMask = 0x7f800000u;

// The converters return bits whose exponent field is all ones iff the value is not finite.
uint32_t bitsOfBf16(uint16_t bits) { return static_cast<uint32_t>(bits) << 16; }

uint32_t bitsOfF16(uint16_t bits) {
  // Moves exponent and mantissa into place; the product rescales the exponent bias, also for
  // subnormals.
  uint32_t magnitude = static_cast<uint32_t>(bits & 0x7fffu) << 13;
  uint32_t sign = static_cast<uint32_t>(bits & 0x8000u) << 16;
  float scaled = std::bit_cast<float>(magnitude) * 0x1p112f;
  uint32_t result =
      (bits & 0x7c00u) == 0x7c00u ? exponentMask | magnitude : std::bit_cast<uint32_t>(scaled);
  return result | sign;
}

// Converts and tells whether any value is not finite, without a branch per value.
template <typename Source, typename Convert>
bool convert(const uint8_t *bytes, MutableArrayRef<float> out, Convert toBits) {
  uint32_t bad = 0;
  for (size_t i = 0; i < out.size(); ++i) {
    Source value;
    std::memcpy(&value, bytes + i * sizeof(Source), sizeof(Source));
    uint32_t bits = toBits(value);
    bad |= static_cast<uint32_t>((bits & exponentMask) == exponentMask);
    out[i] = std::bit_cast<float>(bits);
  }
  return bad != 0;
}

bool convertAny(TensorType type, const uint8_t *bytes, MutableArrayRef<float> out) {
  switch (type) {
  case TensorType::BF16:
    return convert<uint16_t>(bytes, out, bitsOfBf16);
  case TensorType::F16:
    return convert<uint16_t>(bytes, out, bitsOfF16);
  default:
    return convert<uint32_t>(bytes, out, [](uint32_t bits) { return bits; });
  }
}

} // namespace

StringRef tensorTypeName(TensorType type) {
  switch (type) {
  case TensorType::F32:
    return "F32";
  case TensorType::BF16:
    return "BF16";
  case TensorType::F16:
    return "F16";
  case TensorType::F64:
    return "F64";
  case TensorType::I8:
    return "I8";
  case TensorType::U8:
    return "U8";
  case TensorType::I16:
    return "I16";
  case TensorType::U16:
    return "U16";
  case TensorType::I32:
    return "I32";
  case TensorType::U32:
    return "U32";
  case TensorType::I64:
    return "I64";
  case TensorType::U64:
    return "U64";
  case TensorType::Bool:
    return "BOOL";
  case TensorType::F8E4M3:
    return "F8_E4M3";
  case TensorType::F8E5M2:
    return "F8_E5M2";
  case TensorType::Encoded:
    return "ENCODED";
  case TensorType::F8E8M0:
    return "F8_E8M0";
  }
  return "?";
}

int64_t tensorTypeBytes(TensorType type) {
  switch (type) {
  case TensorType::F64:
  case TensorType::I64:
  case TensorType::U64:
    return 8;
  case TensorType::F32:
  case TensorType::I32:
  case TensorType::U32:
    return 4;
  case TensorType::BF16:
  case TensorType::F16:
  case TensorType::I16:
  case TensorType::U16:
    return 2;
  default:
    return 1;
  }
}

int64_t TensorInfo::elements() const {
  int64_t product = 1;
  for (int64_t extent : shape)
    product *= extent;
  return product;
}

int64_t TensorInfo::columns() const {
  int64_t product = 1;
  for (int64_t extent : llvm::ArrayRef(shape).drop_front(shape.empty() ? 0 : 1))
    product *= extent;
  return product;
}

std::string shapeString(llvm::ArrayRef<int64_t> shape) {
  if (shape.empty())
    return "scalar";
  std::string text;
  for (int64_t extent : shape)
    text += (text.empty() ? "" : "x") + std::to_string(extent);
  return text;
}

Checkpoint::~Checkpoint() = default;

const TensorInfo *Checkpoint::find(StringRef name) const {
  auto found = byName.find(name);
  return found == byName.end() ? nullptr : &tensorList[found->second];
}

Error Checkpoint::addTensor(TensorInfo tensor) {
  auto [position, isNew] = byName.try_emplace(tensor.name, tensorList.size());
  if (!isNew)
    return importError("tensor " + inQuotes(tensor.name) + " is both in " +
                       inQuotes(fileNames[tensorList[position->second].file]) + " and in " +
                       inQuotes(fileNames[tensor.file]));
  tensorList.push_back(std::move(tensor));
  return Error::success();
}

Error Checkpoint::checkRows(const TensorInfo &tensor, int64_t firstRow, int64_t rowCount,
                            size_t values) {
  int64_t rows = tensor.rows();
  if (firstRow < 0 || rowCount < 0 || firstRow > rows || rowCount > rows - firstRow ||
      static_cast<int64_t>(values) != rowCount * tensor.columns())
    return importError("tensor " + inQuotes(tensor.name) + ": rows " + Twine(firstRow) + " to " +
                       Twine(firstRow + rowCount) + " asked into " + Twine(values) +
                       " values, it has shape " + shapeString(tensor.shape));
  return Error::success();
}

Error Checkpoint::readRowsAsFloat(const TensorInfo &tensor, int64_t firstRow, int64_t rowCount,
                                  MutableArrayRef<float> out) const {
  if (Error error = checkRows(tensor, firstRow, rowCount, out.size()))
    return error;
  int64_t columns = tensor.columns();
  if (tensor.type != TensorType::F32 && tensor.type != TensorType::BF16 &&
      tensor.type != TensorType::F16)
    return importError("tensor " + inQuotes(tensor.name) + " has type " + tensor.typeText() +
                       ", expected F32, BF16 or F16");
  uint64_t size = tensorTypeBytes(tensor.type);
  uint64_t start = static_cast<uint64_t>(firstRow) * columns;
  llvm::SmallVector<uint8_t, 0> buffer;
  bool inPlace = tensor.type == TensorType::F32;
  if (!inPlace)
    buffer.resize_for_overwrite(std::min<uint64_t>(out.size() * size, chunkBytes));
  for (uint64_t done = 0; done < out.size();) {
    uint64_t count = std::min<uint64_t>(out.size() - done, chunkBytes / size);
    auto *bytes = inPlace ? reinterpret_cast<uint8_t *>(out.data() + done) : buffer.data();
    if (Error error = read(tensor, (start + done) * size, {bytes, count * size}))
      return error;
    MutableArrayRef<float> target = out.slice(done, count);
    if (convertAny(tensor.type, bytes, target))
      for (uint64_t i = 0; i < count; ++i)
        if ((std::bit_cast<uint32_t>(target[i]) & exponentMask) == exponentMask)
          return importError("weight " + inQuotes(tensor.name) + " has " +
                             (target[i] != target[i] ? "NaN" : "infinity") + " at element " +
                             Twine(start + done + i) + " (row " +
                             Twine((start + done + i) / columns) + ", column " +
                             Twine((start + done + i) % columns) + ")");
    done += count;
  }
  return Error::success();
}

Error Checkpoint::readAsF32(const TensorInfo &tensor, uint64_t offset,
                            MutableArrayRef<uint8_t> out) const {
  if (offset > tensor.bytes || out.size() > tensor.bytes - offset)
    return importError("tensor " + inQuotes(tensor.name) + " has " + Twine(tensor.bytes) +
                       " bytes, asked for " + Twine(out.size()) + " at " + Twine(offset));
  uint64_t rowBytes = tensor.columns() * sizeof(float);
  std::vector<float> row(tensor.columns());
  while (!out.empty()) {
    uint64_t index = offset / rowBytes, start = offset % rowBytes;
    if (Error error = readRowsAsFloat(tensor, int64_t(index), 1, row))
      return error;
    uint64_t count = std::min<uint64_t>(out.size(), rowBytes - start);
    std::memcpy(out.data(), reinterpret_cast<const uint8_t *>(row.data()) + start, count);
    out = out.drop_front(count);
    offset += count;
  }
  return Error::success();
}

std::optional<WeightFormat> Checkpoint::nativeFormat(const TensorInfo &) const {
  return std::nullopt;
}

llvm::Error Checkpoint::readRowsOnGrid(const TensorInfo &tensor, int64_t, int64_t,
                                       GridRows &) const {
  return llvm::createStringError("internal: tensor '" + tensor.name +
                                 "' has no grid to be read on");
}

StaticScales Checkpoint::activationScales(const TensorInfo &) const { return {}; }
StatedCacheScales Checkpoint::cacheScales(int64_t) const { return {}; }

Expected<bool> Checkpoint::sameBytes(const TensorInfo &a, const TensorInfo &b) const {
  if (a.bytes != b.bytes)
    return false;
  std::vector<uint8_t> left(std::min(a.bytes, chunkBytes)), right(left.size());
  for (uint64_t done = 0; done < a.bytes; done += left.size()) {
    uint64_t count = std::min<uint64_t>(left.size(), a.bytes - done);
    if (Error error = read(a, done, {left.data(), count}))
      return std::move(error);
    if (Error error = read(b, done, {right.data(), count}))
      return std::move(error);
    if (std::memcmp(left.data(), right.data(), count) != 0)
      return false;
  }
  return true;
}

Expected<bool> Checkpoint::sameContent(const TensorInfo &a, const TensorInfo &b) const {
  if (a.type != b.type || a.shape != b.shape)
    return false;
  return sameBytes(a, b);
}

Expected<std::vector<float>> Checkpoint::readAllAsFloat(const TensorInfo &tensor) const {
  std::vector<float> values(tensor.elements());
  if (Error error = readRowsAsFloat(tensor, 0, tensor.rows(), values))
    return std::move(error);
  return values;
}

Expected<std::string> Checkpoint::contentHash(const TensorInfo &tensor,
                                              const PieceHashes *known) const {
  llvm::BLAKE3 hasher;
  hasher.update(tensor.typeText());
  hasher.update(StringRef(" "));
  hasher.update(StringRef(shapeString(tensor.shape)));
  hasher.update(StringRef("\n"));
  std::vector<HashPiece> pieces;
  Checkpoint::listHashPieces(tensor, pieces);
  for (const HashPiece &piece : pieces) {
    std::optional<PieceDigest> digest = known ? known->find(piece) : std::nullopt;
    if (!digest) {
      Expected<PieceDigest> read = digestOf(piece);
      if (!read)
        return read.takeError();
      digest = *read;
    }
    hasher.update(*digest);
  }
  return llvm::toHex(hasher.final<16>(), true);
}

void Checkpoint::listHashPieces(const TensorInfo &tensor, std::vector<HashPiece> &pieces) const {
  constexpr uint64_t pieceBytes = uint64_t{1} << 22;
  for (uint64_t offset = 0; offset < tensor.bytes; offset += pieceBytes)
    pieces.push_back({this, &tensor, offset, std::min(pieceBytes, tensor.bytes - offset)});
}

} // namespace gcompile
