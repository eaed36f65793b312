#include "compiler/Import/Coded/CodedCheckpoint.h"

#include "compiler/Import/HostileJson.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/BLAKE3.h"

#include <cstring>

using llvm::Error;
using llvm::Expected;
using llvm::MutableArrayRef;
using llvm::StringRef;
using llvm::Twine;

namespace gcompile {

CodedCheckpoint::CodedCheckpoint(std::unique_ptr<Checkpoint> inner) : raw(std::move(inner)) {
  fileNames.assign(raw->files().begin(), raw->files().end());
}

Expected<size_t> CodedCheckpoint::addMatrix(CodedTensor tensor) {
  if (Error error = checkCodedTensor(tensor))
    return std::move(error);
  matrices.push_back(std::move(tensor));
  natives.emplace_back();
  return matrices.size() - 1;
}

Error CodedCheckpoint::addCoded(std::string name, llvm::ArrayRef<int64_t> shape,
                                std::vector<CodedPiece> pieces) {
  const CodedTensor &first = matrices[pieces.front().coded];
  TensorInfo info;
  info.name = std::move(name);
  info.shape.assign(shape.begin(), shape.end());
  info.file = first.codes->file;
  info.offset = first.codes->offset;
  int64_t rows = 0, expected = 1;
  for (const CodedPiece &piece : pieces) {
    if (matrices[piece.coded].columns != shape.back())
      return importError("module " + inQuotes(matrices[piece.coded].module) + " has " +
                         Twine(matrices[piece.coded].columns) + " columns, " + inQuotes(info.name) +
                         " has " + Twine(shape.back()));
    rows += piece.rowCount;
  }
  for (int64_t extent : shape.drop_back())
    expected *= extent;
  if (rows != expected)
    return importError("weight " + inQuotes(info.name) + " of shape " + shapeString(shape) +
                       " is made of " + Twine(rows) + " rows");
  info.bytes = uint64_t(info.elements()) * sizeof(float);
  if (Error error = addTensor(std::move(info)))
    return error;
  entries.push_back({nullptr, std::move(pieces)});
  return Error::success();
}

Error CodedCheckpoint::addPlain(const TensorInfo &tensor, std::string name) {
  TensorInfo info = tensor;
  info.name = std::move(name);
  if (Error error = addTensor(std::move(info)))
    return error;
  entries.push_back({&tensor, {}});
  return Error::success();
}

void CodedCheckpoint::setActivationScales(StringRef weight, StaticScales scales) {
  activations[weight.str()] = scales;
}

void CodedCheckpoint::setCacheScales(StringRef attention, CacheScales scales) {
  // "….layers.7.self_attn"
  auto [before, after] = attention.rsplit("layers.");
  int64_t layer;
  if (after.split('.').first.getAsInteger(10, layer))
    return;
  CacheScales &known = caches[layer];
  if (scales.key)
    known.key = scales.key;
  if (scales.value)
    known.value = scales.value;
}

template <typename Sink>
Error CodedCheckpoint::forPieces(const Entry &entry, int64_t firstRow, int64_t rowCount,
                                 Sink sink) const {
  int64_t begin = 0, at = firstRow, end = firstRow + rowCount;
  for (const CodedPiece &piece : entry.pieces) {
    int64_t count = std::min(end, begin + piece.rowCount) - at;
    if (count > 0) {
      if (Error error = sink(piece.coded, piece.firstRow + at - begin, count))
        return error;
      at += count;
    }
    begin += piece.rowCount;
  }
  return Error::success();
}

namespace {

// Rows of the matrix that a row of the tensor is made of: 1 for rank 2.
int64_t matrixRows(const TensorInfo &tensor) { return tensor.columns() / tensor.shape.back(); }

Error checkRows(const TensorInfo &tensor, int64_t firstRow, int64_t rowCount) {
  if (firstRow >= 0 && rowCount >= 0 && firstRow <= tensor.rows() &&
      rowCount <= tensor.rows() - firstRow)
    return Error::success();
  return importError("tensor " + inQuotes(tensor.name) + ": rows " + Twine(firstRow) + " to " +
                     Twine(firstRow + rowCount) + " asked for, it has shape " +
                     shapeString(tensor.shape));
}

} // namespace

Error CodedCheckpoint::readRowsAsFloat(const TensorInfo &tensor, int64_t firstRow, int64_t rowCount,
                                       MutableArrayRef<float> out) const {
  const Entry &entry = entryOf(tensor);
  if (entry.plain)
    return raw->readRowsAsFloat(*entry.plain, firstRow, rowCount, out);
  if (Error error = gcompile::checkRows(tensor, firstRow, rowCount))
    return error;
  if (int64_t(out.size()) != rowCount * tensor.columns())
    return importError("tensor " + inQuotes(tensor.name) + ": " + Twine(rowCount) +
                       " rows asked into " + Twine(out.size()) + " values");
  float *target = out.data();
  int64_t unit = matrixRows(tensor);
  return forPieces(entry, firstRow * unit, rowCount * unit,
                   [&](size_t matrix, int64_t first, int64_t count) {
                     size_t values = count * tensor.shape.back();
                     MutableArrayRef<float> rows(target, values);
                     target += values;
                     return decodeRows(*raw, matrices[matrix], first, count, rows);
                   });
}

Error CodedCheckpoint::read(const TensorInfo &tensor, uint64_t offset,
                            MutableArrayRef<uint8_t> out) const {
  const Entry &entry = entryOf(tensor);
  if (entry.plain)
    return raw->read(*entry.plain, offset, out);
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

std::optional<WeightFormat> CodedCheckpoint::nativeOf(size_t matrix) const {
  Native &native = natives[matrix];
  std::call_once(native.once, [&] {
    Expected<std::optional<WeightFormat>> format = nativeFormatOf(*raw, matrices[matrix]);
    if (format)
      native.format = *format;
    else // the same error comes up, with a way to tell it, when the tensor is read
      llvm::consumeError(format.takeError());
  });
  return native.format;
}

std::optional<WeightFormat> CodedCheckpoint::nativeFormat(const TensorInfo &tensor) const {
  const Entry &entry = entryOf(tensor);
  if (entry.plain)
    return raw->nativeFormat(*entry.plain);
  std::optional<WeightFormat> format = nativeOf(entry.pieces.front().coded);
  for (const CodedPiece &piece : entry.pieces)
    if (nativeOf(piece.coded) != format)
      return std::nullopt;
  return format;
}

Error CodedCheckpoint::readRowsOnGrid(const TensorInfo &tensor, int64_t firstRow, int64_t rowCount,
                                      GridRows &out) const {
  const Entry &entry = entryOf(tensor);
  if (entry.plain)
    return raw->readRowsOnGrid(*entry.plain, firstRow, rowCount, out);
  std::optional<WeightFormat> format = nativeFormat(tensor);
  if (!format)
    return Checkpoint::readRowsOnGrid(tensor, firstRow, rowCount, out);
  if (Error error = gcompile::checkRows(tensor, firstRow, rowCount))
    return error;
  out.format = *format;
  out.rows = 0;
  out.columns = tensor.shape.back();
  for (auto *part : {&out.codes, &out.subScales, &out.subMins})
    part->clear();
  for (auto *part : {&out.scales, &out.minScales})
    part->clear();
  int64_t unit = matrixRows(tensor);
  return forPieces(entry, firstRow * unit, rowCount * unit,
                   [&](size_t matrix, int64_t first, int64_t count) {
                     return appendRowsOnGrid(*raw, matrices[matrix], first, count, out);
                   });
}

std::vector<const TensorInfo *> CodedCheckpoint::partsOf(const CodedTensor &matrix) const {
  std::vector<const TensorInfo *> parts;
  for (const TensorInfo *part :
       {matrix.codes, matrix.scales.tensor, matrix.scales.nestedTable, matrix.scales.nestedScale,
        matrix.biases.tensor, matrix.zeros.tensor, matrix.groupIndex})
    if (part)
      parts.push_back(part);
  return parts;
}

Expected<std::string> CodedCheckpoint::contentHash(const TensorInfo &tensor) const {
  const Entry &entry = entryOf(tensor);
  if (entry.plain)
    return raw->contentHash(*entry.plain);
  llvm::BLAKE3 hasher;
  hasher.update(StringRef("coded " + shapeString(tensor.shape) + "\n"));
  for (const CodedPiece &piece : entry.pieces) {
    const CodedTensor &matrix = matrices[piece.coded];
    std::string text =
        std::to_string(int(matrix.order)) + " " + std::to_string(int(matrix.numbers)) + " " +
        std::to_string(matrix.bits) + " " + std::to_string(matrix.groupColumns) + " " +
        std::to_string(matrix.zeros.add) + " " + std::to_string(piece.firstRow) + "\n";
    hasher.update(StringRef(text));
    hasher.update({reinterpret_cast<const uint8_t *>(&matrix.factor), sizeof(float)});
    for (const TensorInfo *part : partsOf(matrix)) {
      Expected<std::string> hash = raw->contentHash(*part);
      if (!hash)
        return hash.takeError();
      hasher.update(StringRef(*hash));
    }
  }
  return llvm::toHex(hasher.final<16>(), true);
}

Expected<bool> CodedCheckpoint::sameContent(const TensorInfo &a, const TensorInfo &b) const {
  const Entry &left = entryOf(a), &right = entryOf(b);
  if (left.plain && right.plain)
    return raw->sameContent(*left.plain, *right.plain);
  if (left.plain || right.plain || left.pieces.size() != 1 || right.pieces.size() != 1)
    return Checkpoint::sameContent(a, b);
  const CodedTensor &x = matrices[left.pieces[0].coded], &y = matrices[right.pieces[0].coded];
  std::vector<const TensorInfo *> xParts = partsOf(x), yParts = partsOf(y);
  if (x.rows != y.rows || x.columns != y.columns || x.bits != y.bits || x.order != y.order ||
      x.numbers != y.numbers || x.groupColumns != y.groupColumns || x.factor != y.factor ||
      xParts.size() != yParts.size())
    return Checkpoint::sameContent(a, b);
  for (size_t i = 0; i < xParts.size(); ++i) {
    // Shapes may differ in spelling ([n] and [n, 1]); bytes decide.
    if (xParts[i]->type != yParts[i]->type || xParts[i]->bytes != yParts[i]->bytes)
      return Checkpoint::sameContent(a, b);
    Expected<bool> same = raw->sameBytes(*xParts[i], *yParts[i]);
    if (!same || !*same)
      return same;
  }
  return true;
}

StaticScales CodedCheckpoint::activationScales(const TensorInfo &weight) const {
  auto found = activations.find(weight.name);
  return found == activations.end() ? StaticScales() : found->second;
}

CacheScales CodedCheckpoint::cacheScales(int64_t layer) const {
  auto found = caches.find(layer);
  return found == caches.end() ? CacheScales() : found->second;
}

} // namespace gcompile
