// Experts on storage: they leave the weights, programs ask for them once a layer, and the products find them in slots a block apart.
// RUN: gcompile-opt %s --pass-pipeline='builtin.module(gemma-apply-plan{weights=w4 kv=f16 chunk=16 expert-slots=5},gemma-to-kernel-pipeline)' | FileCheck %s
// RUN: not gcompile-opt %s --pass-pipeline='builtin.module(gemma-apply-plan{weights=w4 kv=f16 chunk=16 expert-slots=3},gemma-to-kernel-pipeline)' 2>&1 | FileCheck --check-prefix=FEW %s
// RUN: gcompile-opt %s --pass-pipeline='builtin.module(gemma-apply-plan{weights=w4 kv=f16 chunk=16 expert-slots=5},gemma-verify-budget{budget=50432})'
// RUN: not gcompile-opt %s --pass-pipeline='builtin.module(gemma-apply-plan{weights=w4 kv=f16 chunk=16 expert-slots=5},gemma-verify-budget{budget=50431})' 2>&1 | FileCheck --check-prefix=BUDGET %s

// FEW: needs 4 experts at once, the cache has 3 slots
// Weights that stay in memory: the embedding 4608, the routers 2 x 2304, the scales of experts 2 x 128, and 5 slots of 8192, once for both layers.
// BUDGET: needs 50432 bytes (weights 9472, tables 40960

// CHECK: kernel.weights_bytes = 9472 : i64
gemma.weight @table from "t" rows 0 : tensor<128x64xf32> {role = "embedding", layer = -1, modality = "text"}
gemma.weight @gu from "gu" rows 0 : tensor<128x64xf32> {layer = 0, modality = "text", role = "experts_gate_up", matrices = 4}
// The second layer's blocks lie behind the four of the first; down begins in the middle of a block.
// CHECK: gemma.weight @d from {{.*}} {block_bytes = 8192 : i64, block_offset = 4096 : i64, cache_slots = 5 : i64, {{.*}}kernel.offset = 4096 : i64{{.*}}placement = "storage"
gemma.weight @d from "d" rows 0 : tensor<256x16xf32> {layer = 0, modality = "text", role = "experts_down", matrices = 4}
gemma.weight @s from "s" rows 0 : tensor<4xf32> {layer = 0, modality = "text", role = "router_expert_scale"}
gemma.weight @r from "r" rows 0 : tensor<4x64xf32> {layer = 0, modality = "text", role = "router"}
gemma.weight @gu1 from "gu1" rows 0 : tensor<128x64xf32> {layer = 1, modality = "text", role = "experts_gate_up", matrices = 4}
// CHECK: gemma.weight @d1 from {{.*}}kernel.offset = 36864 : i64
gemma.weight @d1 from "d1" rows 0 : tensor<256x16xf32> {layer = 1, modality = "text", role = "experts_down", matrices = 4}
gemma.weight @s1 from "s1" rows 0 : tensor<4xf32> {layer = 1, modality = "text", role = "router_expert_scale"}
gemma.weight @r1 from "r1" rows 0 : tensor<4x64xf32> {layer = 1, modality = "text", role = "router"}

// CHECK-LABEL: func.func @prefill(
// CHECK: kernel.launch @{{kernel_[0-9]+_group_rows}}
// CHECK: kernel.fetch_experts %[[STARTS:.*]], %{{.*}} outs(%[[SLOTS:.*]]) layer 0 : memref<5xi32>, memref<5xi32>, memref<5xi32>
// CHECK: %[[UP:.*]] = kernel.view experts 0 : memref<40960xi8>
// CHECK: kernel.launch @[[KERNEL:kernel_[0-9]+_matmul_integer]] tasks %{{.*}}({{.*}}%[[UP]], %{{.*}}, %[[STARTS]], %[[SLOTS]],
// CHECK: kernel.view experts 4096 : memref<36864xi8>
// CHECK: kernel.fetch_experts {{.*}} layer 1
// CHECK: kernel.launch @[[KERNEL]] tasks %{{.*}}({{.*}}%[[UP]],
func.func @prefill(%tokens: tensor<?xi32>) -> tensor<?x64xf32> attributes {gemma.program = "score", gemma.rows = 16 : i64} {
  %x = gemma.embed %tokens, @table {slice = 0, scale = 8.0 : f32} : tensor<?xi32> -> tensor<?x64xf32>
  %l = gemma.linear %x, @r : tensor<?x64xf32> -> tensor<?x4xf32>
  %y = gemma.experts %x, %l, @gu, @d, @s {top_k = 2, router_scale = 0.125 : f32} : tensor<?x64xf32>, tensor<?x4xf32> -> tensor<?x64xf32>
  %m = gemma.linear %y, @r1 : tensor<?x64xf32> -> tensor<?x4xf32>
  %z = gemma.experts %y, %m, @gu1, @d1, @s1 {top_k = 2, router_scale = 0.125 : f32} : tensor<?x64xf32>, tensor<?x4xf32> -> tensor<?x64xf32>
  return %z : tensor<?x64xf32>
}
// CHECK: func.func private @[[KERNEL]](
// CHECK: kernel.matmul_integer {{.*}}stride = 8192 : i64
