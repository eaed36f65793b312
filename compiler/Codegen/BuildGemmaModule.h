// Builds the gemma module of a text model from its configuration: weights by reference, one
// `forward` program. Values are never read.
#pragma once

#include "compiler/Import/ModelConfig.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"
#include "llvm/Support/Error.h"

namespace gcompile {

// What `forward` returns. Hidden states are for tests that compare layer by layer: the stream after
// the embedding (0), after layer i (i), or after the final norm (layers + 1, which is what the
// reference library calls its last hidden state).
struct ModuleOutput {
  enum Kind { Logits, HiddenState } kind = Logits;
  int64_t afterLayer = 0;
};

// An error when the architecture has parts that are not implemented yet (a head of its own).
llvm::Expected<mlir::OwningOpRef<mlir::ModuleOp>>
buildGemmaModule(const ModelConfig &config, mlir::MLIRContext &context, ModuleOutput output = {});

} // namespace gcompile
