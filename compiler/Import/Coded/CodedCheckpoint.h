// A checkpoint of coded tensors over the raw tensors of its files: logical names and shapes
// outside, codes and scales inside. Coded tensors show as F32 (their values are exact in it); the
// others are passed through.
#pragma once

#include "compiler/Import/Coded/CodedTensor.h"

#include <deque>
#include <map>
#include <mutex>

namespace gcompile {

class CodedCheckpoint : public Checkpoint {
public:
  explicit CodedCheckpoint(std::unique_ptr<Checkpoint> raw);

  // While a form is recognised.
  const Checkpoint &rawTensors() const { return *raw; }
  // Checked. `shape`'s last dimension is the columns, the others together are the rows.
  llvm::Error addCoded(std::string name, llvm::ArrayRef<int64_t> shape, CodedTensor tensor);
  llvm::Error addPlain(const TensorInfo &tensor, std::string name);
  void setActivationScales(llvm::StringRef weight, StaticScales scales);
  void setCacheScales(llvm::StringRef attention, CacheScales scales, CacheCodes codes);
  void addNote(std::string note) { noteList.push_back(std::move(note)); }

  // Bytes of the decoded floats.
  llvm::Error read(const TensorInfo &tensor, uint64_t offset,
                   llvm::MutableArrayRef<uint8_t> out) const override;
  llvm::Error readRowsAsFloat(const TensorInfo &tensor, int64_t firstRow, int64_t rowCount,
                              llvm::MutableArrayRef<float> out) const override;
  std::optional<WeightFormat> nativeFormat(const TensorInfo &tensor) const override;
  // A tensor of rank 3 gives its matrices one below the other: rows · shape[1] rows.
  llvm::Error readRowsOnGrid(const TensorInfo &tensor, int64_t firstRow, int64_t rowCount,
                             GridRows &out) const override;
  // Of codes and scales: equal for equal parts, not for equal values in other forms.
  llvm::Expected<std::string> contentHash(const TensorInfo &tensor,
                                          const PieceHashes *known) const override;
  void listHashPieces(const TensorInfo &tensor, std::vector<HashPiece> &pieces) const override;
  llvm::Expected<bool> sameContent(const TensorInfo &a, const TensorInfo &b) const override;
  StaticScales activationScales(const TensorInfo &weight) const override;
  StatedCacheScales cacheScales(int64_t layer) const override;

private:
  struct Entry {
    const TensorInfo *plain = nullptr; // of `raw`; null: coded
    CodedTensor coded;
    mutable std::once_flag nativeOnce;
    mutable std::optional<WeightFormat> native;
  };
  const Entry &entryOf(const TensorInfo &tensor) const {
    return entries[static_cast<size_t>(&tensor - tensorList.data())];
  }
  std::vector<const TensorInfo *> partsOf(const CodedTensor &matrix) const;

  std::unique_ptr<Checkpoint> raw;
  std::deque<Entry> entries;                                    // parallel to tensorList
  std::map<std::string, StaticScales, std::less<>> activations; // by name of the weight
  std::map<int64_t, StatedCacheScales> caches;
};

} // namespace gcompile
