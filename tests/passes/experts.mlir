// Experts: the rows are quantized once, everything behind the choice runs over slots, and decode (1 row, 2 of 4 experts) has two groups, prefill four.
// RUN: gcompile-opt %s --pass-pipeline='builtin.module(gemma-apply-plan{weights=w4 kv=f16 chunk=16},gemma-to-kernel-pipeline)' | FileCheck %s

// Each of four matrices of 64x64 has one panel of 2048 bytes and 64 scales of 4: 2304, a multiple of 128. The embedding has two panels: 4096 + 512,
// the router one: 2304, and the scales of experts lie in 128: 4608 + 2304 + 128 + 2 x 4 x 2304.
// CHECK: kernel.weights_bytes = 25472 : i64
gemma.weight @table from "t" rows 0 : tensor<128x64xf32> {role = "embedding", layer = -1, modality = "text"}
gemma.weight @gu from "gu" rows 0 : tensor<128x64xf32> {layer = 0, modality = "text", role = "experts_gate_up", matrices = 4}
gemma.weight @d from "d" rows 0 : tensor<256x16xf32> {layer = 0, modality = "text", role = "experts_down", matrices = 4}
gemma.weight @s from "s" rows 0 : tensor<4xf32> {layer = 0, modality = "text", role = "router_expert_scale"}
gemma.weight @r from "r" rows 0 : tensor<4x64xf32> {layer = 0, modality = "text", role = "router"}

// CHECK-LABEL: func.func @prefill(
// CHECK: kernel.launch @{{kernel_[0-9]+_choose_experts}} tasks
// CHECK: %[[ONE:.*]] = arith.constant 1 : index
// CHECK: kernel.launch @{{kernel_[0-9]+_group_rows}} tasks %[[ONE]](
// CHECK: arith.muli
// CHECK: %[[FOUR:.*]] = arith.constant 4 : index
// CHECK: kernel.launch @[[PREFILL:kernel_[0-9]+_matmul_integer]] tasks %[[FOUR]]({{.*}}memref<16x64xi8>{{.*}}memref<32x32xf32>
func.func @prefill(%tokens: tensor<?xi32>) -> tensor<?x64xf32> attributes {gemma.program = "score", gemma.rows = 16 : i64} {
  %x = gemma.embed %tokens, @table {slice = 0, scale = 8.0 : f32} : tensor<?xi32> -> tensor<?x64xf32>
  %l = gemma.linear %x, @r : tensor<?x64xf32> -> tensor<?x4xf32>
  %y = gemma.experts %x, %l, @gu, @d, @s {top_k = 2, router_scale = 0.125 : f32} : tensor<?x64xf32>, tensor<?x4xf32> -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// CHECK-LABEL: func.func @decode(
// CHECK: kernel.launch @[[QUANTIZE:kernel_[0-9]+_quantize_rows]]
// CHECK: kernel.launch @{{kernel_[0-9]+_choose_experts}}
// CHECK: kernel.launch @{{kernel_[0-9]+_group_rows}}
// CHECK-NOT: quantize_rows
// CHECK: %[[TWO:.*]] = arith.constant 2 : index
// CHECK: kernel.launch @[[UP:kernel_[0-9]+_matmul_integer]] tasks %[[TWO]]({{.*}}memref<2xi32>, memref<3xi32>, memref<3xi32>, memref<2x32xf32>
// CHECK: kernel.launch @{{kernel_[0-9]+_gelu_mul_halves}} tasks %{{.*}}({{.*}}memref<2x32xf32>, memref<2x16xf32>
// CHECK: kernel.launch @{{kernel_[0-9]+_quantize_rows}}
// CHECK: kernel.launch @[[DOWN:kernel_[0-9]+_matmul_integer]]
// CHECK: kernel.launch @{{kernel_[0-9]+_combine_experts}}
// CHECK: func.func private @[[UP]](
// CHECK: kernel.matmul_integer {{.*}}group_rows = 1 : i64, matrices = 4 : i64
func.func @decode(%tokens: tensor<?xi32>) -> tensor<?x64xf32> attributes {gemma.program = "decode", gemma.rows = 1 : i64} {
  %x = gemma.embed %tokens, @table {slice = 0, scale = 8.0 : f32} : tensor<?xi32> -> tensor<?x64xf32>
  %l = gemma.linear %x, @r : tensor<?x64xf32> -> tensor<?x4xf32>
  %y = gemma.experts %x, %l, @gu, @d, @s {top_k = 2, router_scale = 0.125 : f32} : tensor<?x64xf32>, tensor<?x4xf32> -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}
