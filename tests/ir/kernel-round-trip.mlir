// Every operation of the kernel dialect is printed as it was read, on tensors and on buffers.
// RUN: %gcompile-opt %s | %gcompile-opt | FileCheck %s
// RUN: %gcompile-opt %s --mlir-print-op-generic | %gcompile-opt | FileCheck %s

// CHECK: #kernel.target<name = "toy", triple = "x86_64-unknown-linux-gnu", cpu = "x86-64-v3", features = "", vectorBytes = 32, vectorRegisters = 16, dot = "maddubs">
module attributes {kernel.target = #kernel.target<name = "toy", triple = "x86_64-unknown-linux-gnu", cpu = "x86-64-v3", features = "", vectorBytes = 32, vectorRegisters = 16, dot = "maddubs">} {

// CHECK-LABEL: func.func @on_tensors
func.func @on_tensors(%x: tensor<4x64xf32>, %out: tensor<4x64xf32>, %w: memref<16384xi8>, %norm: memref<64xf32>, %rows: index) -> tensor<4x64xf32> {
  // CHECK: %[[N:.*]] = kernel.rms_norm %{{.*}} weight %{{.*}} : memref<64xf32> outs(%{{.*}}) rows %{{.*}} {epsilon = {{.*}}, groups = 1 : i64, input_scale = {{.*}}} : tensor<4x64xf32>, tensor<4x64xf32> -> tensor<4x64xf32>
  %n = kernel.rms_norm %x weight %norm : memref<64xf32> outs(%out) rows %rows {groups = 1, epsilon = 1.0e-6 : f32, input_scale = 1.0 : f32} : tensor<4x64xf32>, tensor<4x64xf32> -> tensor<4x64xf32>
  // CHECK: kernel.matmul_float %[[N]], %{{.*}} outs(%{{.*}}) rows %{{.*}} {format = "f32"} : tensor<4x64xf32>, memref<16384xi8>, tensor<4x64xf32> -> tensor<4x64xf32>
  %y = kernel.matmul_float %n, %w outs(%out) rows %rows {format = "f32"} : tensor<4x64xf32>, memref<16384xi8>, tensor<4x64xf32> -> tensor<4x64xf32>
  // CHECK: kernel.gelu_mul
  %g = kernel.gelu_mul %y, %x outs(%out) rows %rows : tensor<4x64xf32>, tensor<4x64xf32>, tensor<4x64xf32> -> tensor<4x64xf32>
  // CHECK: kernel.add %{{.*}}, %{{.*}} outs
  %a = kernel.add %g, %x outs(%out) rows %rows {scale = 1.0 : f32} : tensor<4x64xf32>, tensor<4x64xf32>, tensor<4x64xf32> -> tensor<4x64xf32>
  // CHECK: kernel.soft_cap
  %c = kernel.soft_cap %a outs(%out) rows %rows {cap = 30.0 : f32} : tensor<4x64xf32>, tensor<4x64xf32> -> tensor<4x64xf32>
  return %c : tensor<4x64xf32>
}

// w8 64x64: one panel of 64 · 64 bytes, 64 scales and 64 corrections of 4 bytes each = 4608.
// CHECK-LABEL: func.func @integer_matmul
func.func @integer_matmul(%x: memref<4x64xf32>, %codes: memref<4x64xi8>, %scales: memref<4x1xf32>, %sums: memref<4x1xi32>, %w: memref<4608xi8>, %out: memref<4x64xf32>, %rows: index) {
  // CHECK: kernel.quantize_rows %{{.*}} outs(%{{.*}}, %{{.*}}, %{{.*}}) rows %{{.*}} {group = 0 : i64}
  kernel.quantize_rows %x outs(%codes, %scales, %sums) rows %rows {group = 0} : memref<4x64xf32>, memref<4x64xi8>, memref<4x1xf32>, memref<4x1xi32>
  // CHECK: kernel.matmul_integer %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} outs(%{{.*}}) rows %{{.*}} {columns = 64 : i64, format = "w8"}
  kernel.matmul_integer %codes, %scales, %sums, %w outs(%out) rows %rows {format = "w8", columns = 64} : memref<4x64xi8>, memref<4x1xf32>, memref<4x1xi32>, memref<4608xi8>, memref<4x64xf32>
  return
}

// CHECK-LABEL: func.func @static_activations
func.func @static_activations(%x: memref<4x64xf32>, %scale: memref<1xf32>, %codes: memref<4x64xi8>, %scales: memref<4x1xf32>, %sums: memref<4x1xi32>, %w: memref<4608xi8>, %f: memref<16384xi8>, %out: memref<4x64xf32>, %rows: index) {
  // CHECK: kernel.quantize_rows %{{.*}} scale %{{.*}} : memref<1xf32> outs(%{{.*}}, %{{.*}}, %{{.*}}) rows %{{.*}} {group = 0 : i64}
  kernel.quantize_rows %x scale %scale : memref<1xf32> outs(%codes, %scales, %sums) rows %rows {group = 0} : memref<4x64xf32>, memref<4x64xi8>, memref<4x1xf32>, memref<4x1xi32>
  // CHECK: kernel.matmul_integer %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} rounding %{{.*}} : memref<1xf32> outs(%{{.*}}) rows %{{.*}} {columns = 64 : i64, format = "w8", full_range}
  kernel.matmul_integer %codes, %scales, %sums, %w rounding %scale : memref<1xf32> outs(%out) rows %rows {format = "w8", columns = 64, full_range} : memref<4x64xi8>, memref<4x1xf32>, memref<4x1xi32>, memref<4608xi8>, memref<4x64xf32>
  // CHECK: kernel.matmul_float %{{.*}}, %{{.*}} rounding %{{.*}} : memref<1xf32> outs(%{{.*}}) rows %{{.*}} {format = "f32"}
  kernel.matmul_float %x, %f rounding %scale : memref<1xf32> outs(%out) rows %rows {format = "f32"} : memref<4x64xf32>, memref<16384xi8>, memref<4x64xf32>
  // CHECK: kernel.round_rows %{{.*}} scale %{{.*}} : memref<1xf32> outs(%{{.*}}) rows %{{.*}} : memref<4x64xf32>, memref<4x64xf32>
  kernel.round_rows %x scale %scale : memref<1xf32> outs(%out) rows %rows : memref<4x64xf32>, memref<4x64xf32>
  return
}

// Two experts of 64x64 in f32; two of them chosen by each of four rows: eight slots.
// CHECK-LABEL: func.func @experts
func.func @experts(%x: tensor<4x64xf32>, %router: tensor<4x2xf32>, %scale: memref<2xf32>, %w: memref<32768xi8>, %e: tensor<4x2xi32>, %g: tensor<4x2xf32>,
                   %m: tensor<8xi32>, %s: tensor<3xi32>, %p: tensor<2xi32>, %wide: tensor<8x64xf32>, %half: tensor<8x32xf32>, %rows: index) -> tensor<4x64xf32> {
  // CHECK: %[[E:.*]]:2 = kernel.choose_experts %{{.*}}, %{{.*}} outs(%{{.*}}, %{{.*}}) rows %{{.*}} {scale = 1.250000e-01 : f32} : tensor<4x2xf32>, memref<2xf32>, tensor<4x2xi32>, tensor<4x2xf32> -> tensor<4x2xi32>, tensor<4x2xf32>
  %chosen:2 = kernel.choose_experts %router, %scale outs(%e, %g) rows %rows {scale = 0.125 : f32} : tensor<4x2xf32>, memref<2xf32>, tensor<4x2xi32>, tensor<4x2xf32> -> tensor<4x2xi32>, tensor<4x2xf32>
  // CHECK: %[[L:.*]]:4 = kernel.group_rows %[[E]]#0 outs(%{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}) rows %{{.*}} : tensor<4x2xi32>, tensor<8xi32>, tensor<3xi32>, tensor<3xi32>, tensor<2xi32> -> tensor<8xi32>, tensor<3xi32>, tensor<3xi32>, tensor<2xi32>
  %lists:4 = kernel.group_rows %chosen#0 outs(%m, %s, %s, %p) rows %rows : tensor<4x2xi32>, tensor<8xi32>, tensor<3xi32>, tensor<3xi32>, tensor<2xi32> -> tensor<8xi32>, tensor<3xi32>, tensor<3xi32>, tensor<2xi32>
  // CHECK: kernel.matmul_float %{{.*}}, %{{.*}} groups(%[[L]]#0, %[[L]]#1, %[[L]]#2 : tensor<8xi32>, tensor<3xi32>, tensor<3xi32>) outs(%{{.*}}) rows %{{.*}} {format = "f32", group_rows = 4 : i64, matrices = 2 : i64} : tensor<4x64xf32>, memref<32768xi8>, tensor<8x64xf32> -> tensor<8x64xf32>
  %y = kernel.matmul_float %x, %w groups(%lists#0, %lists#1, %lists#2 : tensor<8xi32>, tensor<3xi32>, tensor<3xi32>) outs(%wide) rows %rows {format = "f32", matrices = 2, group_rows = 4} : tensor<4x64xf32>, memref<32768xi8>, tensor<8x64xf32> -> tensor<8x64xf32>
  // CHECK: kernel.gelu_mul_halves
  %h = kernel.gelu_mul_halves %y outs(%half) rows %rows : tensor<8x64xf32>, tensor<8x32xf32> -> tensor<8x32xf32>
  // CHECK: kernel.combine_experts %{{.*}}, %[[E]]#1 outs(%{{.*}}) rows %{{.*}} : tensor<8x64xf32>, tensor<4x2xf32>, tensor<4x64xf32> -> tensor<4x64xf32>
  %c = kernel.combine_experts %y, %chosen#1 outs(%x) rows %rows : tensor<8x64xf32>, tensor<4x2xf32>, tensor<4x64xf32> -> tensor<4x64xf32>
  return %c : tensor<4x64xf32>
}

// A cache of 128 slots and one head of 16 dimensions in f32: 2 · 128 · 16 · 4 = 16384 bytes.
// CHECK-LABEL: func.func @attention
func.func @attention(%q: memref<4x64xf32>, %k: memref<4x16xf32>, %cache: memref<16384xi8>, %f: memref<8xf32>, %cos: memref<4x8xf32>, %sin: memref<4x8xf32>, %out: memref<4x64xf32>, %rows: index, %position: index) {
  // CHECK: kernel.rope_table %{{.*}} outs(%{{.*}}, %{{.*}}) rows %{{.*}} position %{{.*}} : memref<8xf32>, memref<4x8xf32>, memref<4x8xf32>
  kernel.rope_table %f outs(%cos, %sin) rows %rows position %position : memref<8xf32>, memref<4x8xf32>, memref<4x8xf32>
  // CHECK: kernel.rope %{{.*}}, %{{.*}}, %{{.*}} outs(%{{.*}}) rows %{{.*}} {groups = 4 : i64}
  kernel.rope %q, %cos, %sin outs(%out) rows %rows {groups = 4} : memref<4x64xf32>, memref<4x8xf32>, memref<4x8xf32>, memref<4x64xf32>
  // CHECK: kernel.append_kv %{{.*}}, %{{.*}} into %{{.*}} rows %{{.*}} position
  kernel.append_kv %k, %k into %cache rows %rows position %position {k_format = "f32", v_format = "f32", heads = 1, head_dim = 16, capacity = 128} : memref<4x16xf32>, memref<4x16xf32>, memref<16384xi8>
  // CHECK: kernel.attend %{{.*}}, %{{.*}} outs(%{{.*}}) rows %{{.*}} position
  kernel.attend %q, %cache outs(%out) rows %rows position %position {k_format = "f32", v_format = "f32", heads = 4, kv_heads = 1, head_dim = 16, capacity = 128, window = 16} : memref<4x64xf32>, memref<16384xi8>, memref<4x64xf32>
  return
}

// CHECK-LABEL: func.func @gather
func.func @gather(%indices: memref<4xi32>, %table: memref<81920xi8>, %out: memref<4x64xf32>, %rows: index) {
  // CHECK: kernel.gather_rows %{{.*}}, %{{.*}} outs(%{{.*}}) rows %{{.*}} {columns = 64 : i64, format = "f32", layout = "packed", scale = 8.000000e+00 : f32, slice = 0 : i64, slices = 1 : i64, table_rows = 320 : i64}
  kernel.gather_rows %indices, %table outs(%out) rows %rows {format = "f32", layout = "packed", table_rows = 320, columns = 64, slice = 0, slices = 1, scale = 8.0 : f32} : memref<4xi32>, memref<81920xi8>, memref<4x64xf32>
  return
}
}
