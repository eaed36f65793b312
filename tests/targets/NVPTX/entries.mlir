// RUN: gcompile-opt %s --pass-pipeline='builtin.module(gemma-codegen{target=nvptx-sm80})' | FileCheck %s

// An entry has the kernel's arguments; its threads share the tasks [begin, end) by their numbers.

func.func private @double(%x: memref<4x32xf32>, %y: memref<4x32xf32>, %rows: index, %begin: index, %end: index) attributes {kernel.function} {
  kernel.add %x, %x outs(%y) rows %rows {scale = 1.0 : f32} : memref<4x32xf32>, memref<4x32xf32>, memref<4x32xf32>
  return
}
// CHECK-LABEL: llvm.func internal ptx_kernelcc @double(
// CHECK-SAME: %{{[^:]*}}: !llvm.ptr, %{{[^:]*}}: !llvm.ptr, %{{[^:]*}}: i64, %[[BEGIN:[^:]*]]: i64, %[[END:[^:]*]]: i64)
// CHECK-DAG: llvm.call_intrinsic "llvm.nvvm.read.ptx.sreg.ctaid.x"()
// CHECK-DAG: llvm.call_intrinsic "llvm.nvvm.read.ptx.sreg.nctaid.x"()
// CHECK-DAG: llvm.call_intrinsic "llvm.nvvm.read.ptx.sreg.tid.x"()
// CHECK-DAG: llvm.call_intrinsic "llvm.nvvm.read.ptx.sreg.ntid.x"()
// CHECK: llvm.call @double.tasks(

// CHECK-LABEL: llvm.func internal @double.tasks(
// CHECK: llvm.fadd %{{.*}} : vector<16xf32>
