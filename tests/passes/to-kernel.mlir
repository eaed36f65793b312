// From the model to launches: activations quantized once for two linears, weights in order of first use, temporaries in one arena, equal kernels shared.
// RUN: gcompile-opt %s --pass-pipeline='builtin.module(gemma-apply-plan{weights=w4 kv=f16 chunk=16},gemma-to-kernel-pipeline)' | FileCheck %s

// CHECK: module attributes {kernel.cache_bytes = 0 : i64, kernel.weights_bytes = 9216 : i64}
// CHECK: gemma.weight @a {{.*}}kernel.offset = 4608
// CHECK: gemma.weight @b {{.*}}kernel.offset = 6912
// CHECK: gemma.weight @table {{.*}}kernel.offset = 0
gemma.weight @a from "a" rows 0 : tensor<64x64xf32> {role = "query", layer = 0, modality = "text"}
gemma.weight @b from "b" rows 0 : tensor<64x64xf32> {role = "query", layer = 1, modality = "text"}
gemma.weight @table from "t" rows 0 : tensor<128x64xf32> {role = "embedding", layer = -1, modality = "text"}

// CHECK-LABEL: func.func @decode(
// CHECK-SAME: memref<1x64xf32>
// CHECK-SAME: kernel.arena_bytes = 896
// CHECK: kernel.launch @[[GATHER:kernel_[0-9]+_gather_rows]]
// CHECK: kernel.launch @[[QUANTIZE:kernel_[0-9]+_quantize_rows]]
// CHECK: kernel.launch @[[LINEAR:kernel_[0-9]+_matmul_integer]]
// CHECK-NOT: quantize_rows
// CHECK: kernel.launch @[[LINEAR]]
// CHECK: kernel.launch @{{kernel_[0-9]+_gelu_mul}} tasks %{{.*}}(%{{.*}}, %{{.*}}, %arg3)
// CHECK: func.func private @[[LINEAR]](
// CHECK-SAME: attributes {kernel.function}
// CHECK: kernel.matmul_integer {{.*}}format = "w4"
func.func @decode(%tokens: tensor<?xi32>) -> tensor<?x64xf32> attributes {gemma.program = "decode", gemma.rows = 1 : i64} {
  %x = gemma.embed %tokens, @table {slice = 0, scale = 8.0 : f32} : tensor<?xi32> -> tensor<?x64xf32>
  %a = gemma.linear %x, @a : tensor<?x64xf32> -> tensor<?x64xf32>
  %b = gemma.linear %x, @b : tensor<?x64xf32> -> tensor<?x64xf32>
  %g = gemma.gated_gelu %a, %b : tensor<?x64xf32>
  return %g : tensor<?x64xf32>
}
