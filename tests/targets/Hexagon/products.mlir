// RUN: gcompile-opt %s --pass-pipeline='builtin.module(gemma-codegen{target=hexagon-v67})' | FileCheck %s

// Addresses have 32 bits. A quad of k is one vector for w4: low nibbles and high nibbles are rows apart, and both take the activations as a scalar.

func.func private @product(%c: memref<1x64xi8>, %s: memref<1x1xf32>, %u: memref<1x1xi32>, %w: memref<2304xi8>, %y: memref<1x64xf32>, %rows: index, %begin: index, %end: index) attributes {kernel.function} {
  kernel.matmul_integer %c, %s, %u, %w outs(%y) rows %rows {format = "w4", columns = 64} : memref<1x64xi8>, memref<1x1xf32>, memref<1x1xi32>, memref<2304xi8>, memref<1x64xf32>
  return
}
// The registers that loops are shaped for are HVX's again once all is lowered.
// CHECK: kernel.target = #kernel.target<name = "hexagon-v67", {{.*}}vectorBytes = 128, vectorRegisters = 32, dot = "vrmpy">
// CHECK-LABEL: llvm.func internal @product(
// CHECK-SAME: i32, %{{[^:]*}}: i32, %{{[^:]*}}: i32)
// CHECK: %[[BYTES:.*]] = llvm.load %{{.*}} : !llvm.ptr -> vector<32xi32>
// CHECK: %[[QUAD:.*]] = llvm.load %{{.*}} : !llvm.ptr -> i32
// CHECK: llvm.call_intrinsic "llvm.hexagon.V6.vrmpybus.acc.128B"(%{{.*}}, %{{.*}}, %[[QUAD]]) : (vector<32xi32>, vector<32xi32>, i32) -> vector<32xi32>
// CHECK: llvm.sitofp %{{.*}} : vector<16xi32> to vector<16xf32>
