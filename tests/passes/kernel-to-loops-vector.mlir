// Kernels on f32 rows and KV caches as loops: sums in a fixed order (fused chains, a tree of halves, no reduction operation that LLVM could reorder), tails exact, no call of a C library.
// RUN: gcompile-opt %s --kernel-to-loops --canonicalize --cse | FileCheck %s
// RUN: gcompile-opt %s --kernel-to-loops | FileCheck %s --check-prefix=NEVER

// NEVER-NOT: vector.reduction
// NEVER-NOT: math.exp
// NEVER-NOT: math.tanh
// NEVER-NOT: fastmath

module attributes {kernel.target = #kernel.target<name = "toy", triple = "x86_64-unknown-linux-gnu", cpu = "x86-64-v3", features = "", vectorBytes = 32, vectorRegisters = 16, dot = "none">} {

// Forty elements: two vectors, then eight lanes.
// CHECK-LABEL: func.func private @norm
// CHECK: scf.for %[[ROW:.*]] = %arg4 to %arg5
// CHECK: %[[SUMS:.*]] = scf.for {{.*}} iter_args
// CHECK: %[[X:.*]] = vector.load %arg0[%[[ROW]], {{.*}} : memref<4x40xf32>, vector<16xf32>
// CHECK: math.fma %[[X]], %[[X]]
// CHECK: vector.load {{.*}} vector<8xf32>
// CHECK: %[[ALL:.*]] = math.fma {{.*}} %[[SUMS]] : vector<16xf32>
// CHECK: %[[LOW:.*]] = vector.extract_strided_slice %[[ALL]] {offsets = [0], sizes = [8]
// CHECK: %[[HIGH:.*]] = vector.extract_strided_slice %[[ALL]] {offsets = [8], sizes = [8]
// CHECK: arith.addf %[[LOW]], %[[HIGH]] : vector<8xf32>
// CHECK: math.sqrt
// CHECK: vector.store {{.*}} : memref<4x40xf32>, vector<16xf32>
// CHECK: vector.store {{.*}} : memref<4x40xf32>, vector<8xf32>
func.func private @norm(%x: memref<4x40xf32>, %w: memref<40xf32>, %o: memref<4x40xf32>, %rows: index, %begin: index, %end: index) attributes {kernel.function} {
  kernel.rms_norm %x weight %w : memref<40xf32> outs(%o) rows %rows {groups = 1 : i64, epsilon = 1.0e-6 : f32, input_scale = 1.0 : f32} : memref<4x40xf32>, memref<4x40xf32>
  return
}

// Rows wider than a task: task = row · 3 + piece; the last piece has the tail of 8.
// CHECK-LABEL: func.func private @add
// CHECK: scf.for %[[TASK:.*]] = %arg4 to %arg5
// CHECK: arith.divui %[[TASK]], %c3
// CHECK: %[[PIECE:.*]] = arith.remui %[[TASK]], %c3
// CHECK: scf.for
// CHECK: arith.cmpi eq, %[[PIECE]], %c2
// CHECK: scf.if
// CHECK: vector.store {{.*}} vector<8xf32>
func.func private @add(%a: memref<2x4104xf32>, %b: memref<2x4104xf32>, %o: memref<2x4104xf32>, %rows: index, %begin: index, %end: index) attributes {kernel.function} {
  kernel.add %a, %b outs(%o) rows %rows {scale = 1.0 : f32} : memref<2x4104xf32>, memref<2x4104xf32>, memref<2x4104xf32>
  return
}

// Two tokens share a byte of a 4-bit K: a task is a head with all its rows.
// CHECK-LABEL: func.func private @append
// CHECK: scf.for %[[HEAD:.*]] = %arg5 to %arg6
// CHECK: scf.for %[[ROW:.*]] = %c0{{.*}} to %arg3
// CHECK: memref.load {{.*}} : memref<1408xi32>
// CHECK: arith.andi
// CHECK: arith.ori
// CHECK: memref.store {{.*}} : memref<1408xi32>
func.func private @append(%k: memref<4x32xf32>, %v: memref<4x32xf32>, %cache: memref<5632xi8>, %rows: index, %position: index, %begin: index, %end: index) attributes {kernel.function} {
  kernel.append_kv %k, %v into %cache rows %rows position %position {k_format = "kv4", v_format = "f16", heads = 2 : i64, head_dim = 16 : i64, capacity = 64 : i64}
      : memref<4x32xf32>, memref<4x32xf32>, memref<5632xi8>
  return
}

// Four query heads of one kv head in a task; masked slots get no probability. With eight 16-lane registers, one vector of scores a head.
// CHECK-LABEL: func.func private @attend
// CHECK-DAG: memref.alloca() {alignment = 64 : i64} : memref<4x32xf32>
// CHECK-DAG: memref.alloca() {alignment = 64 : i64} : memref<4x64xf32>
// CHECK: scf.for %[[TASK:.*]] = %arg5 to %arg6
// CHECK: arith.divui %[[TASK]], %c2
// CHECK: scf.for {{.*}} -> (f32, f32, f32, f32, vector<16xf32>, vector<16xf32>, vector<16xf32>, vector<16xf32>)
// CHECK: scf.for {{.*}} -> (vector<16xf32>, vector<16xf32>, vector<16xf32>, vector<16xf32>)
// CHECK: arith.extf {{.*}} : vector<16xf16> to vector<16xf32>
// CHECK: arith.cmpi slt, {{.*}} : vector<16xi32>
func.func private @attend(%q: memref<4x256xf32>, %cache: memref<8192xi8>, %o: memref<4x256xf32>, %rows: index, %position: index, %begin: index, %end: index) attributes {kernel.function} {
  kernel.attend %q, %cache outs(%o) rows %rows position %position {k_format = "f16", v_format = "f16", heads = 8 : i64, kv_heads = 1 : i64, head_dim = 32 : i64, capacity = 64 : i64, window = 16 : i64}
      : memref<4x256xf32>, memref<8192xi8>, memref<4x256xf32>
  return
}

}
