// The kernel dialect: what a backend has to implement, and the storage that kernels work on.
#ifndef GCOMPILE_IR_KERNEL_DIALECT
#define GCOMPILE_IR_KERNEL_DIALECT

include "mlir/IR/OpBase.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/EnumAttr.td"

def Kernel_Dialect : Dialect {
  let name = "kernel";
  let cppNamespace = "::gcompile::kernel";
  let summary = "destination-style operations that every backend implements";
  let description = [{
    About a dozen operations between the model (`gemma`) and loops. Each has inputs, destinations and a number of active rows; before bufferization its
    operands are tensors, after it memrefs with identity layout. Weights are packed bytes (`memref<Nxi8>`) whose layout follows from a format name
    (ir/Format). The work of an operation is a range of *tasks*; docs/decisions/0001 says what a task is.
  }];
  let useDefaultAttributePrinterParser = 1;
  let dependentDialects = ["::mlir::memref::MemRefDialect", "::mlir::func::FuncDialect"];
}

def Kernel_Space : I32EnumAttr<"Space", "which of the program's memories", [
  I32EnumAttrCase<"Weights", 0, "weights">,
  I32EnumAttrCase<"Cache", 1, "cache">,
  I32EnumAttrCase<"Arena", 2, "arena">,
  I32EnumAttrCase<"Experts", 3, "experts">,
]> { let cppNamespace = "::gcompile::kernel"; let genSpecializedAttr = 0; }
def Kernel_SpaceAttr : EnumAttr<Kernel_Dialect, Kernel_Space, "space">;

// The machine that code is generated for. Passes and kernel lowerings read this and nothing else about the machine.
def Kernel_TargetAttr : AttrDef<Kernel_Dialect, "Target"> {
  let mnemonic = "target";
  let summary = "description of the machine that code is generated for";
  let description = [{
    `name` is the variant's name (`x86-64-v3`, `x86-64-vnni`, `aarch64-neon`, `aarch64-dotprod`, `aarch64-i8mm`, `nvptx-sm80`, `hexagon-v67`, …), `triple`, `cpu` and `features` go to LLVM,
    `vectorBytes` is the register width, `vectorRegisters` how many there are, `dot` names the 4-way int8 dot product: `none`, `maddubs` (AVX2), `vpdpbusd` (AVX-512 VNNI, u8·s8),
    `sdot` (s8·s8), `usdot` (i8mm: u8·s8 and s8·s8), `vrmpy` (HVX).
  }];
  let parameters = (ins StringRefParameter<>:$name, StringRefParameter<>:$triple, StringRefParameter<>:$cpu, StringRefParameter<>:$features,
                        "unsigned":$vectorBytes, "unsigned":$vectorRegisters, StringRefParameter<>:$dot);
  let assemblyFormat = "`<` struct(params) `>`";
}

#endif
