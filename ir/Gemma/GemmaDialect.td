// The gemma dialect: what a Gemma 4 model is. Every decision about it is an attribute on one of its operations.
#ifndef GCOMPILE_IR_GEMMA_DIALECT
#define GCOMPILE_IR_GEMMA_DIALECT

include "mlir/IR/OpBase.td"

def Gemma_Dialect : Dialect {
  let name = "gemma";
  let cppNamespace = "::gcompile::gemma";
  let summary = "a Gemma 4 model, with weights by reference and decisions as attributes";
  let description = [{
    A module holds `gemma.weight` and `gemma.kv_cache` symbols and one function per program, whose body is the model in value form over activations
    `tensor<?xNxf32>` (rows are tokens). Weight values never enter the IR: a weight names rows of a checkpoint tensor. What is decided about a weight (format) or a cache
    (formats) is an attribute that planning writes and lowering reads. Each operation states its own equation.
  }];
}

#endif
