// A whole program to the LLVM dialect: the entry takes (environment, call), one task is called directly, several go to parallel_for through a thunk.
// RUN: gcompile-opt %s --pass-pipeline='builtin.module(gemma-apply-plan{weights=f32 kv=f32 chunk=4},gemma-to-kernel-pipeline,gemma-codegen{target=x86-64-v3})' | FileCheck %s
// RUN: gcompile-opt %s --pass-pipeline='builtin.module(gemma-apply-plan{weights=w4 kv=kv8 chunk=4},gemma-to-kernel-pipeline,gemma-codegen{target=aarch64-i8mm})' | FileCheck %s
// RUN: not gcompile-opt %s --pass-pipeline='builtin.module(gemma-codegen{target=x86-64-v9})' 2>&1 | FileCheck %s --check-prefix=UNKNOWN

// UNKNOWN: x86-64-v9
// CHECK: kernel.target = #kernel.target<
// CHECK-NOT: gemma.weight
gemma.weight @a from "a" rows 0 : tensor<64x64xf32> {role = "query", layer = 0, modality = "text"}
gemma.weight @table from "t" rows 0 : tensor<128x64xf32> {role = "embedding", layer = -1, modality = "text"}

// CHECK-DAG: llvm.func internal @[[DIRECT:kernel_[0-9]+_gather_rows]](
// CHECK-DAG: llvm.func internal @[[PARALLEL:kernel_[0-9]+_matmul_[a-z]+]]_tasks(%{{.*}}: !llvm.ptr, %{{.*}}: i64, %{{.*}}: i64)
// Hundreds of launches share a kernel: it stays out of line.
// CHECK-DAG: llvm.call @kernel_{{[0-9]+}}_gather_rows({{.*}}) {no_inline}
// CHECK-DAG: llvm.func @gc_decode(%{{.*}}: !llvm.ptr, %{{.*}}: !llvm.ptr)
func.func @decode(%tokens: tensor<?xi32>) -> tensor<?x128xf32> attributes {gemma.program = "decode", gemma.rows = 1 : i64} {
  %x = gemma.embed %tokens, @table {slice = 0, scale = 8.0 : f32} : tensor<?xi32> -> tensor<?x64xf32>
  %a = gemma.linear %x, @a : tensor<?x64xf32> -> tensor<?x64xf32>
  %l = gemma.linear %a, @table : tensor<?x64xf32> -> tensor<?x128xf32>
  return %l : tensor<?x128xf32>
}
