// The seam between weights wherever they lie and everything that reads them: a list of tensors and
// streaming, thread-safe reads of byte ranges and rows. Nothing is ever held in memory as a whole.
// Implementations: a safetensors folder or file, and synthetic weights generated on the fly. "Row"
// = one index of the first dimension; scalars and vectors of [n] have 1 and n rows.
#pragma once

#include "compiler/Import/ContentHash.h"
#include "compiler/Import/ModelConfig.h"
#include "ir/Format/ActivationScales.h"
#include "ir/Format/Grid.h"

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace gcompile {

enum class TensorType : uint8_t {
  F32,
  BF16,
  F16,
  F64,
  I8,
  U8,
  I16,
  U16,
  I32,
  U32,
  I64,
  U64,
  Bool,
  F8E4M3,
  F8E5M2,
  F8E8M0,
  Encoded // codes and scales that only the reader understands; TensorInfo::encoding names them
};

llvm::StringRef tensorTypeName(TensorType type); // as safetensors spells it: "BF16"
int64_t tensorTypeBytes(TensorType type);        // of one value; not of encoded tensors

struct TensorInfo {
  std::string name; // as in the checkpoint
  TensorType type = TensorType::F32;
  std::string encoding; // of encoded tensors, as their container calls it: "Q4_K"; else empty
  llvm::SmallVector<int64_t, 4> shape; // empty: a scalar
  uint32_t file = 0;                   // index into Checkpoint::files()
  uint64_t offset = 0;                 // of its first byte in that file
  uint64_t bytes = 0;

  int64_t elements() const;
  int64_t rows() const { return shape.empty() ? 1 : shape.front(); }
  int64_t columns() const; // elements of one row
  llvm::StringRef typeText() const {
    return type == TensorType::Encoded ? llvm::StringRef(encoding) : tensorTypeName(type);
  }
};

std::string shapeString(llvm::ArrayRef<int64_t> shape); // "6144x1536", "scalar"

// Scales of static quantization that a checkpoint was trained or calibrated for: value = code ·
// scale. Absent: none is stated, or it is switched off.
struct StaticScales {
  std::optional<float> input, output; // of a linear layer's int8 activations
};
// Of the cache of one layer, and which codes they are for.
enum class CacheCodes : uint8_t {
  Int8,
  MobileQat, // int8 in local layers, int4 in global ones
  Other,     // FP8 and the like: nothing computes with them
};
struct StatedCacheScales {
  CacheScales scales;
  CacheCodes codes = CacheCodes::Int8;
};

class Checkpoint {
public:
  virtual ~Checkpoint();
  Checkpoint(const Checkpoint &) = delete;
  Checkpoint &operator=(const Checkpoint &) = delete;

  llvm::ArrayRef<TensorInfo> tensors() const { return tensorList; }
  const TensorInfo *find(llvm::StringRef name) const; // null: no such tensor
  llvm::ArrayRef<std::string> files() const {
    return fileNames;
  } // plain names, for messages and provenance

  // Fills `out` from `offset` bytes into the tensor. Safe from any number of threads at once.
  virtual llvm::Error read(const TensorInfo &tensor, uint64_t offset,
                           llvm::MutableArrayRef<uint8_t> out) const = 0;

  // Rows [firstRow, firstRow + rowCount) as floats (exact for f32, bf16, f16; encoded tensors as
  // their format defines the values; other types are refused). NaN and infinity are an error that
  // names the tensor and the index. `out` holds rowCount · columns values.
  virtual llvm::Error readRowsAsFloat(const TensorInfo &tensor, int64_t firstRow, int64_t rowCount,
                                      llvm::MutableArrayRef<float> out) const;

  // The weight format on whose grid the file holds this tensor exactly (docs/decisions/0009); none:
  // plain floats, or a grid that we have no format for.
  virtual std::optional<WeightFormat> nativeFormat(const TensorInfo &tensor) const;

  // Rows [firstRow, firstRow + rowCount) on that grid, bit for bit. Only for tensors that have a
  // native format. Scales that are not finite are an error that names the tensor and the row.
  virtual llvm::Error readRowsOnGrid(const TensorInfo &tensor, int64_t firstRow, int64_t rowCount,
                                     GridRows &out) const;

  virtual StaticScales activationScales(const TensorInfo &weight) const;
  virtual StatedCacheScales cacheScales(int64_t layer) const; // of a decoder layer; 0: none

  // Whether two tensors hold the same values in the same form, by comparing bytes.
  virtual llvm::Expected<bool> sameContent(const TensorInfo &a, const TensorInfo &b) const;
  llvm::Expected<bool> sameBytes(const TensorInfo &a, const TensorInfo &b) const;

  // The whole tensor; for small ones (norms, scalars).
  llvm::Expected<std::vector<float>> readAllAsFloat(const TensorInfo &tensor) const;

  // A stable hash of type, shape and content, 32 hex digits; reads those pieces of the tensor whose
  // digests are not `known`. The same bytes give the same hash in any file.
  virtual llvm::Expected<std::string> contentHash(const TensorInfo &tensor,
                                                  const PieceHashes *known = nullptr) const;
  // Appends the pieces whose digests contentHash needs, in the order of the tensor's rows.
  virtual void listHashPieces(const TensorInfo &tensor, std::vector<HashPiece> &pieces) const;

  // That these bytes will be read soon; may start to fetch them. Nothing depends on it.
  virtual void willRead(const TensorInfo &, uint64_t /*offset*/, uint64_t /*bytes*/) const {}

protected:
  Checkpoint() = default;
  // That the tensor has these rows and that they are `values` floats; for readers of rows.
  static llvm::Error checkRows(const TensorInfo &tensor, int64_t firstRow, int64_t rowCount,
                               size_t values);
  llvm::Error addTensor(TensorInfo tensor); // refuses a second tensor of the same name
  // `read` of a tensor that shows as F32 but is stored otherwise, by way of readRowsAsFloat.
  llvm::Error readAsF32(const TensorInfo &tensor, uint64_t offset,
                        llvm::MutableArrayRef<uint8_t> out) const;
  std::vector<TensorInfo> tensorList;
  std::vector<std::string> fileNames;

private:
  llvm::StringMap<size_t> byName;
};

// A folder with model.safetensors or model.safetensors.index.json and its shards, or one
// .safetensors file.
llvm::Expected<std::unique_ptr<Checkpoint>> openSafetensors(llvm::StringRef path);

// Weights of the right shapes and a believable spread (bf16 values), a function of (seed, tensor
// name, row) alone.
std::unique_ptr<Checkpoint> makeSyntheticCheckpoint(const ModelConfig &config, uint64_t seed);

} // namespace gcompile
