// From a configuration and a plan to code and a layout of weights: import into the gemma dialect,
// lower to kernels with planned memory, emit one image for each code variant. Reads no weights; the
// layout says which rows of which tensor go where in which format. Sizes are bytes.
#pragma once

#include "compiler/Codegen/BuildGemmaModule.h"
#include "compiler/Import/ModelConfig.h"
#include "compiler/Plan/Plan.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/IR/OwningOpRef.h"
#include "runtime/abi/gc_artifact.h"
#include "llvm/Support/Error.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace gcompile {

// One piece of the resident weights, or the per-layer table.
struct PlacedWeight {
  enum Kind { Matrix, Vector, RopeFrequencies, RowTable, Constant } kind = Matrix;
  std::string source;            // canonical tensor name; empty for RopeFrequencies and Constant
  int64_t firstRow = 0;          // of the source
  int64_t rows = 0, columns = 0; // N × K; a vector has `columns` values
  WeightFormat format = WeightFormat::F32;
  double theta = 0; // RopeFrequencies: value i is theta^(−i/columns) for i < rotatedPairs, else 0
  int64_t rotatedPairs = 0;
  float value = 0;       // Constant: one f32 (an activation scale)
  int64_t slices = 1;    // RowTable: pieces of a row with a scale each
  int64_t cacheRows = 0; // RowTable: of its row cache when it stays on storage; 0: in memory
  int64_t offset = 0, bytes = 0; // in the section of weights, of experts, or of the table
  int64_t blockBytes = 0;        // of an expert on storage: from one matrix to the next; else 0
  bool isOnStorage() const { return blockBytes > 0; }
};

// The exact account after memory planning.
struct LoweredMemory {
  int64_t weights = 0, kvCache = 0;
  int64_t expertSlots = 0, expertLayers = 0, expertsPerLayer = 0; // on storage; 0: in memory
  int64_t expertBlockBytes = 0;
  int64_t expertBytes() const { return expertLayers * expertsPerLayer * expertBlockBytes; }
  int64_t prefillArena = 0, decodeArena = 0, scoreArena = 0;
  int64_t prefillRows = 0, scoreRows = 0;
};

// A model whose programs are launches of kernel functions over planned memory; any variant can be
// emitted from it.
struct LoweredModel {
  std::unique_ptr<mlir::MLIRContext> context;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  std::string planned;               // the gemma module with all decisions, for --emit=mlir
  std::vector<PlacedWeight> weights; // by offset; experts on storage behind them, the table last
  LoweredMemory memory;
};

// `output` other than logits is for tests; programs then write that many columns instead of the
// vocabulary.
llvm::Expected<LoweredModel> lowerModel(const ModelConfig &config, const Plan &plan,
                                        ModuleOutput output = {});

// Counts the bytes of the lowered IR once more (gemma-verify-budget, which trusts no solver), with
// the plan's tables, encoders and runtime and the given code, and fails when they exceed the plan's
// budget.
llvm::Error verifyBudget(const LoweredModel &model, const Plan &plan, int64_t codeBytes);

struct CompiledVariant {
  std::string name;
  gc_isa isa;
  std::vector<uint8_t> image;
  gc_program prefill{}, decode{}, score{};
};

// Names as in targets/TargetRegistry.h. Safe to call from several threads at once on one model.
llvm::Expected<CompiledVariant> emitVariant(const LoweredModel &model, llvm::StringRef variant);

// Text or object of one variant: `llvm`, `asm`, `object`.
llvm::Expected<std::string> emitText(const LoweredModel &model, llvm::StringRef variant,
                                     llvm::StringRef kind);

// The variants of an architecture (`x86-64`, `aarch64`), simplest first.
std::vector<std::string> variantsOf(llvm::StringRef architecture);

} // namespace gcompile
