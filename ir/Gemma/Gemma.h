// The gemma dialect: operations and the names of the attributes that functions of a model carry.
// See GemmaOps.td.
#pragma once

#include "ir/Format/Stack.h"
#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "ir/Gemma/GemmaDialect.h.inc"
#define GET_OP_CLASSES
#include "ir/Gemma/GemmaOps.h.inc"

namespace gcompile::gemma {

// On a function: the program it is (`forward`, `prefill`, `decode`, `score`) and the most rows it
// takes.
inline constexpr llvm::StringLiteral programAttrName = "gemma.program";
inline constexpr llvm::StringLiteral rowsAttrName = "gemma.rows";

// Roles of weights that passes look for; the others are for people.
inline constexpr llvm::StringLiteral embeddingRole = "embedding";
inline constexpr llvm::StringLiteral perLayerTableRole = "per_layer_table";
inline constexpr llvm::StringLiteral expertsGateUpRole = "experts_gate_up";
inline constexpr llvm::StringLiteral expertsDownRole = "experts_down";
inline constexpr llvm::StringLiteral ropeRole = "rope_frequencies";
inline constexpr llvm::StringLiteral activationScaleRole = "activation_scale";

// Where a per-layer table, or a stack of experts, lies while the model runs (`placement`).
inline constexpr llvm::StringLiteral inMemory = "memory";
inline constexpr llvm::StringLiteral onStorage = "storage";

// On a module, after gemma-plan: which solver decided, what it reached and what it proved.
inline constexpr llvm::StringLiteral planAttrName = "gemma.plan";

// Bytes of a matrix, or of all matrices of a stack, in a format.
int64_t packedBytes(WeightOp weight, WeightFormat format);
// Bytes of one row of a per-layer table that has its format.
int64_t tableRowBytes(WeightOp table);
// Bytes that a planned table takes in memory: all of it, or its row cache. 0: not planned yet.
int64_t tableResidentBytes(WeightOp table);
// Whether this is a stack of experts that stays on storage (docs/decisions/0012).
bool isExpertOnStorage(WeightOp weight);

// Whether a program's argument of this type is the spans of images (docs/decisions/0016).
inline bool isSpans(mlir::Type type) {
  auto tensor = mlir::dyn_cast<mlir::RankedTensorType>(type);
  return tensor && tensor.getRank() == 2 && tensor.getDimSize(1) == 2 &&
         tensor.getElementType().isInteger(32);
}

} // namespace gcompile::gemma
