// Builds the gemma module of a text model from its configuration: weights by reference, one
// `forward` program. Values are never read.
#pragma once

#include "compiler/Import/ModelConfig.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"
#include "llvm/Support/Error.h"

namespace gcompile {

// An error when the architecture has parts that are not implemented yet (experts, K = V layers, an
// untied head).
llvm::Expected<mlir::OwningOpRef<mlir::ModuleOp>> buildGemmaModule(const ModelConfig &config,
                                                                   mlir::MLIRContext &context);

} // namespace gcompile
