// All passes. A decision is made by gemma-plan alone; passes after it apply attributes.
#ifndef GCOMPILE_PASSES
#define GCOMPILE_PASSES

include "mlir/Pass/PassBase.td"

// What we decide and how we rewrite the model (passes/Transforms).

def SelectModalities : Pass<"gemma-select-modalities", "::mlir::ModuleOp"> {
  let summary = "drop the weights of modalities that are not kept";
  let description = [{ `text` is always kept. A weight of another modality that is still used is an error. }];
  let options = [ListOption<"keep", "keep", "std::string", "modalities to keep">];
  let statistics = [Statistic<"dropped", "weights-dropped", "weights of dropped modalities">];
}

def ShareKvCaches : Pass<"gemma-share-kv-caches", "::mlir::ModuleOp"> {
  let summary = "let layers without K and V read their donor's cache";
  let description = [{ Replaces uses of caches that have a `donor` by that donor and removes them. Donors must own their cache and agree in heads, head size and window. }];
  let statistics = [Statistic<"shared", "caches-shared", "caches replaced by a donor's">];
}

def SplitPhases : Pass<"gemma-split-phases", "::mlir::ModuleOp"> {
  let summary = "make prefill, decode and score from the forward function";
  let description = [{
    `prefill` fills caches and returns nothing; whatever feeds no cache is erased, so layers after the last that writes K and V vanish (exact). `decode` takes one row, `score` up to `score`
    rows; both return the logits of every row. The forward function is removed.
  }];
  let options = [Option<"prefill", "prefill", "int64_t", "128", "rows of a prefill chunk">, Option<"score", "score", "int64_t", "16", "rows of a score chunk">];
  let statistics = [Statistic<"skipped", "operations-skipped", "operations that prefill does not need">];
}

def GemmaPlan : Pass<"gemma-plan", "::mlir::ModuleOp"> {
  let summary = "the one decision: weight formats, KV formats and table placement together, under one budget";
  let description = [{
    Builds the planning problem from the module (an item for each checkpoint tensor, one for the caches of each layer type, one for the per-layer table with its placement; what shares a
    source is one item) and an option table that says what each choice costs (bytes, loss, seconds, supported), solves it, checks the answer, and writes `format`, `placement`, `cache_rows`,
    `k_format`, `v_format` and `capacity`, and `gemma.plan` (solver, objective, bound, bytes) on the module. The driver hands the table over as a value (createGemmaPlan); in tests it is text:
    `TENSOR=FORMAT:BYTES:LOSS[:SECONDS],…;…`, with `local` and `global` for caches. Fails when nothing fits, with the least bytes that would.
  }];
  let options = [
    Option<"optionTable", "options", "std::string", "\"\"", "priced options, as text">,
    Option<"solver", "solver", "std::string", "\"\"", "name of a solver; empty: the default one">,
    Option<"budget", "budget", "int64_t", "0", "bytes">,
    Option<"fixedBytes", "fixed", "int64_t", "0", "bytes that no choice changes">,
    Option<"context", "context", "int64_t", "4096", "positions">,
    Option<"chunk", "chunk", "int64_t", "128", "most rows that any program adds at once">,
    Option<"cacheRows", "cache-rows", "int64_t", "128", "rows of the cache of a table on storage">];
}

def ApplyPlan : Pass<"gemma-apply-plan", "::mlir::ModuleOp"> {
  let summary = "replay decisions on weights and caches";
  let description = [{
    Sets `format` on every weight, `placement` on the table and on stacks of experts, and `k_format`, `v_format`, `capacity` on every cache, from a plan that the driver hands over as a value (createApplyPlan(decisions)) or, for tests,
    from options that apply to all.
  }];
  let options = [
    Option<"weights", "weights", "std::string", "\"f32\"", "format of all matrices">,
    Option<"table", "table", "std::string", "\"f32\"", "format of the per-layer table">,
    Option<"kv", "kv", "std::string", "\"f32\"", "format of all caches">,
    Option<"context", "context", "int64_t", "4096", "positions">,
    Option<"chunk", "chunk", "int64_t", "128", "most rows that any program adds at once">,
    Option<"expertSlots", "expert-slots", "int64_t", "0", "slots of the cache of experts on storage; 0: in memory">];
}

def VerifyBudget : Pass<"gemma-verify-budget", "::mlir::ModuleOp"> {
  let summary = "count the bytes of the IR and compare with the budget";
  let description = [{
    Trusts no solver: counts weights and caches from their formats, or, after kernel-plan-memory, from the offsets and arenas that were assigned. `other` is what the IR does not know (code,
    runtime). Fails with the sum when it is over `budget`.
  }];
  let options = [Option<"budget", "budget", "int64_t", "0", "bytes; 0 checks nothing">, Option<"other", "other", "int64_t", "0", "bytes that the IR does not know">];
}

// From the model to code (passes/Conversion).

def GemmaToKernel : Pass<"gemma-to-kernel", "::mlir::ModuleOp"> {
  let summary = "model operations to kernel operations on tensors";
  let description = [{ Programs become functions of (tokens, table rows, table, rows, position, logits) over static capacities. Integer weights get int8 activations. }];
  let dependentDialects = ["::gcompile::kernel::KernelDialect", "::mlir::tensor::TensorDialect", "::mlir::arith::ArithDialect",
      "::mlir::bufferization::BufferizationDialect", "::mlir::memref::MemRefDialect"];
}

def PlanMemory : Pass<"kernel-plan-memory", "::mlir::ModuleOp"> {
  let summary = "give weights, caches and temporaries their offsets";
  let description = [{
    Weights in order of first use, caches in order of layers, temporaries of each program in one arena by lifetime (first fit by offset, larger first). Weights, caches and allocations become
    `kernel.view`. Sizes are attributes of the module (`kernel.weights_bytes`, `kernel.cache_bytes`) and of programs (`kernel.arena_bytes`).
  }];
  let dependentDialects = ["::gcompile::kernel::KernelDialect"];
}

def OutlineKernels : Pass<"kernel-outline", "::mlir::ModuleOp"> {
  let summary = "kernel operations to kernel functions and launches";
  let description = [{ Equal operations (same attributes and operand types) share one function. }];
  let dependentDialects = ["::gcompile::kernel::KernelDialect"];
  let statistics = [Statistic<"kernels", "kernels", "distinct kernel functions">, Statistic<"launches", "launches", "kernel launches">];
}

def KernelToLoops : Pass<"kernel-to-loops", "::mlir::ModuleOp"> {
  let summary = "bodies of kernel functions to loops over tasks";
  let description = [{ Needs `kernel.target` on the module. The default lowering works for every target; targets add faster ones. }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::math::MathDialect", "::mlir::memref::MemRefDialect", "::mlir::scf::SCFDialect",
      "::mlir::vector::VectorDialect", "::mlir::LLVM::LLVMDialect"];
}

def ExpandMath : Pass<"gemma-expand-math", "::mlir::ModuleOp"> {
  let summary = "transcendental functions to arithmetic, so that no code calls libm";
  let description = [{ Polynomial approximations of MLIR's math dialect library. }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::math::MathDialect", "::mlir::vector::VectorDialect"];
}

def LowerPrograms : Pass<"kernel-lower-programs", "::mlir::ModuleOp"> {
  let summary = "programs to LLVM functions of an environment and a call";
  let description = [{ Signature gc_program_fn of runtime/abi/gc_module.h: views become addresses, launches become calls or `parallel_for`. }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect"];
}

def LowerToLLVM : Pass<"gemma-lower-to-llvm", "::mlir::ModuleOp"> {
  let summary = "everything left to the LLVM dialect in one conversion";
  let description = [{ Bare pointers; `index-bits` is the width of index. Functions that launch kernels stay. }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect", "::mlir::cf::ControlFlowDialect"];
  let options = [Option<"indexBits", "index-bits", "unsigned", "64", "width of index">];
}

#endif
