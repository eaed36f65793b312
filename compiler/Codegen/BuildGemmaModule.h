// Builds the gemma module of a text model from its configuration: weights by reference, one
// `forward` program. Values are never read.
#pragma once

#include "compiler/Import/Gemma4Tensors.h"
#include "compiler/Import/ModelConfig.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"
#include "llvm/Support/Error.h"

namespace gcompile {

// What `forward` returns, other than logits, for those who look inside. Hidden states: the stream
// after the embedding (0), after layer i (i), or after the final norm (layers + 1, which is what
// the reference library calls its last hidden state). Linear inputs: the values that the linear
// layer of one tensor multiplies. Cached keys and values: what a layer writes to its cache, in f32.
// Of these the model is computed only as far as needed.
struct ModuleOutput {
  enum Kind { Logits, HiddenState, LinearInput, CachedKey, CachedValue } kind = Logits;
  int64_t afterLayer = 0;
  TensorRole role = TensorRole::Embedding; // LinearInput; Embedding: the head
  int64_t layer = -1;                      // LinearInput, CachedKey, CachedValue

  bool isInside() const { return kind != Logits && kind != HiddenState; }
};

// An error for a model whose head is not its embedding: none of the published sizes is one.
llvm::Expected<mlir::OwningOpRef<mlir::ModuleOp>>
buildGemmaModule(const ModelConfig &config, mlir::MLIRContext &context, ModuleOutput output = {});

} // namespace gcompile
