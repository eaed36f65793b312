// Where the values of a KV cache lie, as index arithmetic on typed views of the blob
// (docs/decisions/0001 has the layouts). Indices are in elements of the view that they go with.
#pragma once

#include "ir/Format/CacheLayout.h"
#include "passes/Conversion/KernelToLoops/VectorMath.h"

namespace gcompile::kernel {

class KvAccess {
public:
  // `cache`: the blob, memref<bytes x i8>. Views are made at the builder's place.
  KvAccess(VectorMath &m, mlir::Value cache, llvm::StringRef kFormat, llvm::StringRef vFormat,
           int64_t heads, int64_t headDim, int64_t capacity);

  bool derivesKeys; // no K is stored: `kFormat`, the format that keys are read in, is V's
  KvFormat kFormat, vFormat;
  int64_t headDim;
  int64_t dimsK, dimsV; // padded
  int64_t capacity;
  mlir::Value f32View, f16View, wordView, byteView; // words: i32

  // K: elements of `kView` (f32, f16 or words of 4 dims).
  // Index of (token block, dim 0), where a block is 16 tokens, or 32 for kv4. Steps: one dim (f32,
  // f16) or one quad of dims (kv8, kv4) is 16 elements further, one token 1.
  mlir::Value kBlock(mlir::Value head, mlir::Value block);
  int64_t kBlockTokens() const { return kFormat == KvFormat::Kv4 ? 32 : 16; }
  mlir::Value kView() const;

  // V of f32 and f16: index of (slot, dim 0) in `vView`; dims follow each other.
  mlir::Value vRow(mlir::Value head, mlir::Value slot);
  mlir::Value vView() const;
  // V of kv8 and kv4: index of (block of 64 tokens, dim 0, token 0) in words. 16 dims (32 for kv4)
  // are 256 words further, a quad of tokens 16 words, a dim (mod 16) one word; bytes of a word are
  // tokens.
  mlir::Value vBlock(mlir::Value head, mlir::Value block);

  // Index of the f32 scale of (head, slot 0) in f32View.
  mlir::Value kScales(mlir::Value head);
  mlir::Value vScales(mlir::Value head);

private:
  VectorMath &m;
  KvLayout layout;
};

inline bool isQuantized(KvFormat format) { return hasScales(format); }

} // namespace gcompile::kernel
