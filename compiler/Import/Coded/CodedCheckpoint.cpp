#include "compiler/Import/Coded/CodedCheckpoint.h"

#include "compiler/Import/HostileJson.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/BLAKE3.h"
#include "llvm/Support/raw_ostream.h"

#include <bit>

using llvm::Error;
using llvm::Expected;
using llvm::MutableArrayRef;
using llvm::StringRef;
using llvm::Twine;

namespace gcompile {

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
  coded.emplace_back().tensor = std::move(tensor);
  return addMade(std::move(info));
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

Error CodedCheckpoint::readMadeRows(const TensorInfo &tensor, int64_t firstRow, int64_t rowCount,
                                    MutableArrayRef<float> out) const {
  int64_t unit = matrixRows(tensor);
  return decodeRows(inner(), codedOf(tensor), firstRow * unit, rowCount * unit, out);
}

Error CodedCheckpoint::readMade(const TensorInfo &tensor, uint64_t offset,
                                MutableArrayRef<uint8_t> out) const {
  return readAsF32(tensor, offset, out);
}

std::optional<WeightFormat> CodedCheckpoint::nativeFormatOfMade(const TensorInfo &tensor) const {
  const Coded &entry = coded[madeIndex(tensor)];
  std::call_once(entry.nativeOnce, [&] {
    Expected<std::optional<WeightFormat>> format = nativeFormatOf(inner(), entry.tensor);
    if (format)
      entry.native = *format;
    else // the same error comes up, with a way to tell it, when the tensor is read
      llvm::consumeError(format.takeError());
  });
  return entry.native;
}

Error CodedCheckpoint::readMadeOnGrid(const TensorInfo &tensor, int64_t firstRow, int64_t rowCount,
                                      GridRows &out) const {
  int64_t unit = matrixRows(tensor);
  return appendRowsOnGrid(inner(), codedOf(tensor), firstRow * unit, rowCount * unit, out);
}

std::vector<const TensorInfo *> CodedCheckpoint::partsOfMade(const TensorInfo &tensor) const {
  const CodedTensor &matrix = codedOf(tensor);
  std::vector<const TensorInfo *> parts;
  for (const TensorInfo *part :
       {matrix.codes, matrix.scales.tensor, matrix.scales.nestedTable, matrix.scales.nestedScale,
        matrix.biases.tensor, matrix.zeros.tensor, matrix.groupIndex})
    if (part)
      parts.push_back(part);
  return parts;
}

// All that turns the bytes of the parts into values: equal forms of equal parts are equal values.
static std::string formOf(const CodedTensor &matrix) {
  std::string text;
  llvm::raw_string_ostream out(text);
  // Bits of floats, so that none is equal to another.
  auto bits = [](float value) { return std::bit_cast<uint32_t>(value); };
  out << matrix.rows << 'x' << matrix.columns << ' ' << matrix.bits << ' ' << int(matrix.order)
      << ' ' << int(matrix.numbers) << ' ' << matrix.groupColumns << ' ' << bits(matrix.factor)
      << ' ' << matrix.divideByFactor;
  for (const ScaleGrid *grid : {&matrix.scales, &matrix.biases})
    if (grid->tensor)
      out << "; " << int(grid->type) << ' ' << grid->rowsPerEntry << ' ' << grid->groups << ' '
          << grid->transposed << ' ' << bool(grid->nestedTable) << ' ' << grid->nestedBlock << ' '
          << bits(grid->nestedOffset);
    else
      out << "; none";
  if (matrix.zeros.tensor)
    out << "; zeros " << int(matrix.zeros.order) << ' ' << matrix.zeros.add;
  out << "; index " << bool(matrix.groupIndex) << "; table";
  for (size_t i = 0; matrix.table && i < matrix.table->size(); ++i)
    out << ' ' << bits((*matrix.table)[i]);
  return text;
}

Expected<std::string> CodedCheckpoint::hashOfMade(const TensorInfo &tensor,
                                                  const PieceHashes *known) const {
  llvm::BLAKE3 hasher;
  hasher.update(
      StringRef("coded " + shapeString(tensor.shape) + "\n" + formOf(codedOf(tensor)) + "\n"));
  for (const TensorInfo *part : partsOfMade(tensor)) {
    Expected<std::string> hash = inner().contentHash(*part, known);
    if (!hash)
      return hash.takeError();
    hasher.update(StringRef(*hash));
  }
  return llvm::toHex(hasher.final<16>(), true);
}

Expected<bool> CodedCheckpoint::sameMade(const TensorInfo &a, const TensorInfo &b) const {
  std::vector<const TensorInfo *> left = partsOfMade(a), right = partsOfMade(b);
  if (formOf(codedOf(a)) != formOf(codedOf(b)) || left.size() != right.size())
    return Checkpoint::sameContent(a, b);
  for (size_t i = 0; i < left.size(); ++i) {
    // Shapes may differ in spelling ([n] and [n, 1]); bytes decide.
    if (left[i]->type != right[i]->type || left[i]->bytes != right[i]->bytes)
      return Checkpoint::sameContent(a, b);
    Expected<bool> same = inner().sameBytes(*left[i], *right[i]);
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
