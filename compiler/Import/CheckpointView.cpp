#include "compiler/Import/CheckpointView.h"

using llvm::Error;
using llvm::Expected;
using llvm::MutableArrayRef;

namespace gcompile {

CheckpointView::CheckpointView(std::unique_ptr<Checkpoint> inner) : checkpoint(std::move(inner)) {
  fileNames.assign(checkpoint->files().begin(), checkpoint->files().end());
}

Error CheckpointView::addPlain(const TensorInfo &tensor, std::string name) {
  TensorInfo info = tensor;
  info.name = std::move(name);
  if (Error error = addTensor(std::move(info)))
    return error;
  places.push_back({&tensor, 0});
  return Error::success();
}

Error CheckpointView::addMade(TensorInfo tensor) {
  if (Error error = addTensor(std::move(tensor)))
    return error;
  places.push_back({nullptr, madeCount++});
  return Error::success();
}

Error CheckpointView::read(const TensorInfo &tensor, uint64_t offset,
                           MutableArrayRef<uint8_t> out) const {
  const TensorInfo *plain = placeOf(tensor).plain;
  return plain ? checkpoint->read(*plain, offset, out) : readMade(tensor, offset, out);
}

Error CheckpointView::readRowsAsFloat(const TensorInfo &tensor, int64_t firstRow, int64_t rowCount,
                                      MutableArrayRef<float> out) const {
  if (const TensorInfo *plain = placeOf(tensor).plain)
    return checkpoint->readRowsAsFloat(*plain, firstRow, rowCount, out);
  if (Error error = checkRows(tensor, firstRow, rowCount, out.size()))
    return error;
  return readMadeRows(tensor, firstRow, rowCount, out);
}

std::optional<WeightFormat> CheckpointView::nativeFormat(const TensorInfo &tensor) const {
  const TensorInfo *plain = placeOf(tensor).plain;
  return plain ? checkpoint->nativeFormat(*plain) : nativeFormatOfMade(tensor);
}

Error CheckpointView::readRowsOnGrid(const TensorInfo &tensor, int64_t firstRow, int64_t rowCount,
                                     GridRows &out) const {
  if (const TensorInfo *plain = placeOf(tensor).plain)
    return checkpoint->readRowsOnGrid(*plain, firstRow, rowCount, out);
  std::optional<WeightFormat> format = nativeFormatOfMade(tensor);
  if (!format)
    return Checkpoint::readRowsOnGrid(tensor, firstRow, rowCount, out);
  if (Error error =
          checkRows(tensor, firstRow, rowCount, static_cast<size_t>(rowCount * tensor.columns())))
    return error;
  out = {};
  out.format = *format;
  return readMadeOnGrid(tensor, firstRow, rowCount, out);
}

Expected<std::string> CheckpointView::contentHash(const TensorInfo &tensor,
                                                  const PieceHashes *known) const {
  const TensorInfo *plain = placeOf(tensor).plain;
  return plain ? checkpoint->contentHash(*plain, known) : hashOfMade(tensor, known);
}

void CheckpointView::listHashPieces(const TensorInfo &tensor,
                                    std::vector<HashPiece> &pieces) const {
  if (const TensorInfo *plain = placeOf(tensor).plain)
    return checkpoint->listHashPieces(*plain, pieces);
  for (const TensorInfo *part : partsOfMade(tensor))
    checkpoint->listHashPieces(*part, pieces);
}

Expected<bool> CheckpointView::sameContent(const TensorInfo &a, const TensorInfo &b) const {
  const TensorInfo *left = placeOf(a).plain, *right = placeOf(b).plain;
  if (left && right)
    return checkpoint->sameContent(*left, *right);
  return left || right ? Checkpoint::sameContent(a, b) : sameMade(a, b);
}

Expected<bool> CheckpointView::sameMade(const TensorInfo &a, const TensorInfo &b) const {
  return Checkpoint::sameContent(a, b);
}

void CheckpointView::willRead(const TensorInfo &tensor, uint64_t offset, uint64_t bytes) const {
  if (const TensorInfo *plain = placeOf(tensor).plain) // parts are told of one by one
    checkpoint->willRead(*plain, offset, bytes);
}

StaticScales CheckpointView::activationScales(const TensorInfo &weight) const {
  const TensorInfo *plain = placeOf(weight).plain;
  return plain ? checkpoint->activationScales(*plain) : StaticScales();
}

StatedCacheScales CheckpointView::cacheScales(int64_t layer) const {
  return checkpoint->cacheScales(layer);
}

} // namespace gcompile
