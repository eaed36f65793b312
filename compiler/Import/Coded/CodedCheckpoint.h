// A checkpoint of coded tensors over the raw tensors of its files: logical names and shapes
// outside, codes and scales inside. Coded tensors show as F32 (their values are exact in it); the
// others are passed through.
#pragma once

#include "compiler/Import/CheckpointView.h"
#include "compiler/Import/Coded/CodedTensor.h"

#include <deque>
#include <map>
#include <mutex>

namespace gcompile {

class CodedCheckpoint : public CheckpointView {
public:
  explicit CodedCheckpoint(std::unique_ptr<Checkpoint> raw) : CheckpointView(std::move(raw)) {}

  // While a form is recognised.
  const Checkpoint &rawTensors() const { return inner(); }
  // Checked. `shape`'s last dimension is the columns, the others together are the rows.
  llvm::Error addCoded(std::string name, llvm::ArrayRef<int64_t> shape, CodedTensor tensor);
  void setActivationScales(llvm::StringRef weight, StaticScales scales);
  void setCacheScales(llvm::StringRef attention, CacheScales scales, CacheCodes codes);

  StaticScales activationScales(const TensorInfo &weight) const override;
  StatedCacheScales cacheScales(int64_t layer) const override;

protected:
  // Bytes of the decoded floats.
  llvm::Error readMade(const TensorInfo &tensor, uint64_t offset,
                       llvm::MutableArrayRef<uint8_t> out) const override;
  llvm::Error readMadeRows(const TensorInfo &tensor, int64_t firstRow, int64_t rowCount,
                           llvm::MutableArrayRef<float> out) const override;
  std::optional<WeightFormat> nativeFormatOfMade(const TensorInfo &tensor) const override;
  // A tensor of rank 3 gives its matrices one below the other: rows · shape[1] rows.
  llvm::Error readMadeOnGrid(const TensorInfo &tensor, int64_t firstRow, int64_t rowCount,
                             GridRows &out) const override;
  // Of codes and scales: equal for equal parts, not for equal values in other forms.
  llvm::Expected<std::string> hashOfMade(const TensorInfo &tensor,
                                         const PieceHashes *known) const override;
  std::vector<const TensorInfo *> partsOfMade(const TensorInfo &tensor) const override;
  llvm::Expected<bool> sameMade(const TensorInfo &a, const TensorInfo &b) const override;

private:
  struct Coded {
    CodedTensor tensor;
    mutable std::once_flag nativeOnce;
    mutable std::optional<WeightFormat> native;
  };
  const CodedTensor &codedOf(const TensorInfo &tensor) const {
    return coded[madeIndex(tensor)].tensor;
  }

  std::deque<Coded> coded;                                      // once_flag does not move
  std::map<std::string, StaticScales, std::less<>> activations; // by name of the weight
  std::map<int64_t, StatedCacheScales> caches;
};

} // namespace gcompile
