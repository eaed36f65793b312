// The tensors of GGUF files as logical ones: where the blocks of each lie, reading and decoding
// them. Made by openGguf alone.
#pragma once

#include "compiler/Import/Checkpoint.h"
#include "compiler/Import/Gguf/GgufTypes.h"
#include "compiler/Import/InputFile.h"

namespace gcompile {

// One tensor of a file, seen as the rows of the logical tensor (or as its part of them).
struct GgufPart {
  const GgufType *type = nullptr;
  uint32_t file = 0;
  uint64_t offset = 0, rowBytes = 0;
  int64_t columns = 0;
  std::string name; // in the file
};

struct GgufStored {
  llvm::SmallVector<GgufPart, 1> parts; // side by side in every row; none: `constant`
  std::vector<float> scales;            // multiplied to the values, one or one a row; or none
  float constant = 0;
};

class GgufStorage : public Checkpoint {
public:
  uint32_t addFile(InputFile file, llvm::StringRef name);
  llvm::Error readFile(uint32_t file, uint64_t offset, llvm::MutableArrayRef<uint8_t> out) const;
  llvm::Error add(std::string name, llvm::SmallVector<int64_t, 4> shape, GgufStored stored);

  llvm::Error read(const TensorInfo &tensor, uint64_t offset,
                   llvm::MutableArrayRef<uint8_t> out) const override;
  llvm::Error readRowsAsFloat(const TensorInfo &tensor, int64_t firstRow, int64_t rowCount,
                              llvm::MutableArrayRef<float> out) const override;
  std::optional<WeightFormat> nativeFormat(const TensorInfo &tensor) const override;
  llvm::Error readRowsOnGrid(const TensorInfo &tensor, int64_t firstRow, int64_t rowCount,
                             GridRows &out) const override;
  llvm::Expected<std::string> contentHash(const TensorInfo &tensor,
                                          const PieceHashes *known) const override;
  void willRead(const TensorInfo &tensor, uint64_t offset, uint64_t bytes) const override;

private:
  const GgufStored &storageOf(const TensorInfo &tensor) const;
  template <typename Visit>
  llvm::Error visitBlocks(const TensorInfo &tensor, int64_t firstRow, int64_t rowCount,
                          const Visit &visit) const;

  std::vector<InputFile> inputs;
  std::vector<GgufStored> storage; // as tensorList
};

} // namespace gcompile
