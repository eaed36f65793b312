// A checkpoint of coded tensors over the raw tensors of its files: logical names and shapes
// outside, codes and scales inside. Coded tensors show as F32 (their values are exact in it); the
// others are passed through.
#pragma once

#include "compiler/Import/Coded/CodedTensor.h"

#include <deque>
#include <map>
#include <mutex>

namespace gcompile {

// Some rows of a coded matrix as part of a logical tensor.
struct CodedPiece {
  size_t coded; // index of CodedCheckpoint's matrices
  int64_t firstRow = 0, rowCount = 0;
};

class CodedCheckpoint : public Checkpoint {
public:
  explicit CodedCheckpoint(std::unique_ptr<Checkpoint> raw);

  // While a form is recognised.
  const Checkpoint &rawTensors() const { return *raw; }
  llvm::Expected<size_t> addMatrix(CodedTensor tensor); // checked
  // `shape`'s last dimension is the columns of every piece; the others together are the rows of
  // all.
  llvm::Error addCoded(std::string name, llvm::ArrayRef<int64_t> shape,
                       std::vector<CodedPiece> pieces);
  llvm::Error addPlain(const TensorInfo &tensor, std::string name);
  void setActivationScales(llvm::StringRef weight, StaticScales scales);
  void setCacheScales(llvm::StringRef attention, CacheScales scales);
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
  llvm::Expected<std::string> contentHash(const TensorInfo &tensor) const override;
  llvm::Expected<bool> sameContent(const TensorInfo &a, const TensorInfo &b) const override;
  StaticScales activationScales(const TensorInfo &weight) const override;
  CacheScales cacheScales(int64_t layer) const override;

private:
  struct Entry {
    const TensorInfo *plain = nullptr; // of `raw`; null: coded
    std::vector<CodedPiece> pieces;
  };
  struct Native {
    std::once_flag once;
    std::optional<WeightFormat> format;
  };
  const Entry &entryOf(const TensorInfo &tensor) const {
    return entries[&tensor - tensorList.data()];
  }
  std::optional<WeightFormat> nativeOf(size_t matrix) const;
  // Calls sink(matrix, first row in it, rows) for rows of the stacked pieces.
  template <typename Sink>
  llvm::Error forPieces(const Entry &entry, int64_t firstRow, int64_t rowCount, Sink sink) const;
  std::vector<const TensorInfo *> partsOf(const CodedTensor &matrix) const;

  std::unique_ptr<Checkpoint> raw;
  std::vector<Entry> entries; // parallel to tensorList
  std::vector<CodedTensor> matrices;
  mutable std::deque<Native> natives;                           // parallel to matrices
  std::map<std::string, StaticScales, std::less<>> activations; // by name of the weight
  std::map<int64_t, CacheScales> caches;
};

} // namespace gcompile
