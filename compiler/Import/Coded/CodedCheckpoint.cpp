#include "compiler/Import/Coded/CodedCheckpoint.h"

#include "compiler/Import/HostileJson.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/BLAKE3.h"

using llvm::Error;
using llvm::Expected;
using llvm::MutableArrayRef;
using llvm::StringRef;
using llvm::Twine;

namespace gcompile {

CodedCheckpoint::CodedCheckpoint(std::unique_ptr<Checkpoint> inner) : raw(std::move(inner)) {
  fileNames.assign(raw->files().begin(), raw->files().end());
}

Error CodedCheckpoint::addCoded(std::string name, llvm::ArrayRef<int64_t> shape,
                                CodedTensor tensor) {
  if (Error error = checkCodedTensor(tensor))
    return error;
  TensorInfo info;
  info.name = std::move(name);
  info.shape.assign(shape.begin(), shape.end());
  info.file = tensor.codes->file;
  info.offset = tensor.codes->offset;
  if (shape.back() != tensor.columns || info.elements() != tensor.rows * tensor.columns)
    return importError("weight " + inQuotes(info.name) + " of shape " + shapeString(shape) +
                       " has codes of shape " + Twine(tensor.rows) + "x" + Twine(tensor.columns));
  info.bytes = uint64_t(info.elements()) * sizeof(float);
  if (Error error = addTensor(std::move(info)))
    return error;
  entries.emplace_back().coded = std::move(tensor);
  return Error::success();
}

Error CodedCheckpoint::addPlain(const TensorInfo &tensor, std::string name) {
  TensorInfo info = tensor;
  info.name = std::move(name);
  if (Error error = addTensor(std::move(info)))
    return error;
  entries.emplace_back().plain = &tensor;
  return Error::success();
}

void CodedCheckpoint::setActivationScales(StringRef weight, StaticScales scales) {
  activations[weight.str()] = scales;
}

void CodedCheckpoint::setCacheScales(StringRef attention, CacheScales scales, CacheCodes codes) {
  // "….layers.7.self_attn"
  auto [before, after] = attention.rsplit("layers.");
  int64_t layer;
  if (after.split('.').first.getAsInteger(10, layer))
    return;
  StatedCacheScales &known = caches[layer];
  known.codes = codes;
  if (scales.key != 0)
    known.scales.key = scales.key;
  if (scales.value != 0)
    known.scales.value = scales.value;
}

// Rows of the matrix that a row of the tensor is made of: 1 for rank 2.
static int64_t matrixRows(const TensorInfo &tensor) {
  return tensor.columns() / tensor.shape.back();
}

Error CodedCheckpoint::readRowsAsFloat(const TensorInfo &tensor, int64_t firstRow, int64_t rowCount,
                                       MutableArrayRef<float> out) const {
  const Entry &entry = entryOf(tensor);
  if (entry.plain)
    return raw->readRowsAsFloat(*entry.plain, firstRow, rowCount, out);
  if (Error error = checkRows(tensor, firstRow, rowCount, out.size()))
    return error;
  int64_t unit = matrixRows(tensor);
  return decodeRows(*raw, entry.coded, firstRow * unit, rowCount * unit, out);
}

Error CodedCheckpoint::read(const TensorInfo &tensor, uint64_t offset,
                            MutableArrayRef<uint8_t> out) const {
  const Entry &entry = entryOf(tensor);
  return entry.plain ? raw->read(*entry.plain, offset, out) : readAsF32(tensor, offset, out);
}

std::optional<WeightFormat> CodedCheckpoint::nativeFormat(const TensorInfo &tensor) const {
  const Entry &entry = entryOf(tensor);
  if (entry.plain)
    return raw->nativeFormat(*entry.plain);
  std::call_once(entry.nativeOnce, [&] {
    Expected<std::optional<WeightFormat>> format = nativeFormatOf(*raw, entry.coded);
    if (format)
      entry.native = *format;
    else // the same error comes up, with a way to tell it, when the tensor is read
      llvm::consumeError(format.takeError());
  });
  return entry.native;
}

Error CodedCheckpoint::readRowsOnGrid(const TensorInfo &tensor, int64_t firstRow, int64_t rowCount,
                                      GridRows &out) const {
  const Entry &entry = entryOf(tensor);
  if (entry.plain)
    return raw->readRowsOnGrid(*entry.plain, firstRow, rowCount, out);
  std::optional<WeightFormat> format = nativeFormat(tensor);
  if (!format)
    return Checkpoint::readRowsOnGrid(tensor, firstRow, rowCount, out);
  if (Error error = checkRows(tensor, firstRow, rowCount, rowCount * tensor.columns()))
    return error;
  int64_t unit = matrixRows(tensor);
  out = {};
  out.format = *format;
  return appendRowsOnGrid(*raw, entry.coded, firstRow * unit, rowCount * unit, out);
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

void CodedCheckpoint::listHashPieces(const TensorInfo &tensor,
                                     std::vector<HashPiece> &pieces) const {
  const Entry &entry = entryOf(tensor);
  if (entry.plain)
    return raw->listHashPieces(*entry.plain, pieces);
  for (const TensorInfo *part : partsOf(entry.coded))
    raw->listHashPieces(*part, pieces);
}

Expected<std::string> CodedCheckpoint::contentHash(const TensorInfo &tensor,
                                                   const PieceHashes *known) const {
  const Entry &entry = entryOf(tensor);
  if (entry.plain)
    return raw->contentHash(*entry.plain, known);
  llvm::BLAKE3 hasher;
  hasher.update(StringRef("coded " + shapeString(tensor.shape) + "\n"));
  const CodedTensor &matrix = entry.coded;
  std::string text = std::to_string(int(matrix.order)) + " " + std::to_string(int(matrix.numbers)) +
                     " " + std::to_string(matrix.bits) + " " + std::to_string(matrix.groupColumns) +
                     " " + std::to_string(matrix.zeros.add) + "\n";
  hasher.update(StringRef(text));
  hasher.update({reinterpret_cast<const uint8_t *>(&matrix.factor), sizeof(float)});
  for (const TensorInfo *part : partsOf(matrix)) {
    Expected<std::string> hash = raw->contentHash(*part, known);
    if (!hash)
      return hash.takeError();
    hasher.update(StringRef(*hash));
  }
  return llvm::toHex(hasher.final<16>(), true);
}

Expected<bool> CodedCheckpoint::sameContent(const TensorInfo &a, const TensorInfo &b) const {
  const Entry &left = entryOf(a), &right = entryOf(b);
  if (left.plain && right.plain)
    return raw->sameContent(*left.plain, *right.plain);
  if (left.plain || right.plain)
    return Checkpoint::sameContent(a, b);
  const CodedTensor &x = left.coded, &y = right.coded;
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

StatedCacheScales CodedCheckpoint::cacheScales(int64_t layer) const {
  auto found = caches.find(layer);
  return found == caches.end() ? StatedCacheScales() : found->second;
}

} // namespace gcompile
