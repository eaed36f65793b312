// A checkpoint over another one: some of its tensors are tensors of the other, perhaps under other
// names, and are passed through; the rest are made of parts of it by the class that derives from
// this.
#pragma once

#include "compiler/Import/Checkpoint.h"

namespace gcompile {

class CheckpointView : public Checkpoint {
public:
  llvm::Error read(const TensorInfo &tensor, uint64_t offset,
                   llvm::MutableArrayRef<uint8_t> out) const final;
  llvm::Error readRowsAsFloat(const TensorInfo &tensor, int64_t firstRow, int64_t rowCount,
                              llvm::MutableArrayRef<float> out) const final;
  std::optional<WeightFormat> nativeFormat(const TensorInfo &tensor) const final;
  llvm::Error readRowsOnGrid(const TensorInfo &tensor, int64_t firstRow, int64_t rowCount,
                             GridRows &out) const final;
  llvm::Expected<std::string> contentHash(const TensorInfo &tensor,
                                          const PieceHashes *known) const final;
  void listHashPieces(const TensorInfo &tensor, std::vector<HashPiece> &pieces) const final;
  llvm::Expected<bool> sameContent(const TensorInfo &a, const TensorInfo &b) const final;
  void willRead(const TensorInfo &tensor, uint64_t offset, uint64_t bytes) const final;
  StaticScales activationScales(const TensorInfo &weight) const override;
  StatedCacheScales cacheScales(int64_t layer) const override;

  llvm::Error addPlain(const TensorInfo &tensor, std::string name);

protected:
  explicit CheckpointView(std::unique_ptr<Checkpoint> inner);
  const Checkpoint &inner() const { return *checkpoint; }
  llvm::Error addMade(TensorInfo tensor);
  // Made tensors are counted from 0 in the order of addMade.
  size_t madeIndex(const TensorInfo &tensor) const { return placeOf(tensor).made; }

  // What the functions above do for made tensors. Rows have been checked.
  virtual llvm::Error readMade(const TensorInfo &tensor, uint64_t offset,
                               llvm::MutableArrayRef<uint8_t> out) const = 0;
  virtual llvm::Error readMadeRows(const TensorInfo &tensor, int64_t firstRow, int64_t rowCount,
                                   llvm::MutableArrayRef<float> out) const = 0;
  virtual std::optional<WeightFormat> nativeFormatOfMade(const TensorInfo &tensor) const = 0;
  // `out` is empty but for its format.
  virtual llvm::Error readMadeOnGrid(const TensorInfo &tensor, int64_t firstRow, int64_t rowCount,
                                     GridRows &out) const = 0;
  virtual llvm::Expected<std::string> hashOfMade(const TensorInfo &tensor,
                                                 const PieceHashes *known) const = 0;
  virtual std::vector<const TensorInfo *> partsOfMade(const TensorInfo &tensor) const = 0;
  virtual llvm::Expected<bool> sameMade(const TensorInfo &a, const TensorInfo &b) const;

private:
  struct Place {
    const TensorInfo *plain = nullptr; // of the other checkpoint; null: made
    size_t made = 0;
  };
  const Place &placeOf(const TensorInfo &tensor) const {
    return places[static_cast<size_t>(&tensor - tensorList.data())];
  }

  std::unique_ptr<Checkpoint> checkpoint;
  std::vector<Place> places; // parallel to tensorList
  size_t madeCount = 0;
};

} // namespace gcompile
