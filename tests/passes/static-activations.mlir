// Static activations: scales are weights of one value, shared where equal; codes are shared by linears of one scale; outputs are rounded by the product itself,
// and inputs by an operation of their own where the weight is a float.
// RUN: gcompile-opt %s --pass-pipeline='builtin.module(gemma-apply-plan{weights=w4 kv=f16 chunk=16},gemma-to-kernel-pipeline)' | FileCheck %s
// RUN: gcompile-opt %s --pass-pipeline='builtin.module(gemma-apply-plan{weights=f32 kv=f16 chunk=16},gemma-to-kernel-pipeline)' | FileCheck %s --check-prefix=FLOAT

gemma.weight @a from "a" rows 0 : tensor<64x64xf32> {role = "gate", layer = 0, modality = "text", input_scale = 0.5 : f32, output_scale = 0.25 : f32}
gemma.weight @b from "b" rows 0 : tensor<64x64xf32> {role = "up", layer = 0, modality = "text", input_scale = 0.5 : f32, output_scale = 0.5 : f32}
gemma.weight @c from "c" rows 0 : tensor<64x64xf32> {role = "down", layer = 0, modality = "text"}
gemma.weight @table from "t" rows 0 : tensor<128x64xf32> {role = "embedding", layer = -1, modality = "text"}

// CHECK: gemma.weight @scale_3f000000 {{.*}}kernel.offset{{.*}}value = 5.000000e-01 : f32
// CHECK: gemma.weight @scale_3e800000 {{.*}}kernel.offset{{.*}}value = 2.500000e-01 : f32
// CHECK-NOT: gemma.weight @scale
// CHECK-LABEL: func.func @decode(
// CHECK: kernel.launch @[[STATIC:kernel_[0-9]+_quantize_rows]]
// CHECK: kernel.launch @[[LINEAR:kernel_[0-9]+_matmul_integer]]
// CHECK-NOT: quantize_rows
// CHECK: kernel.launch @[[LINEAR]]
// CHECK: kernel.launch @[[DYNAMIC:kernel_[0-9]+_quantize_rows]]
// CHECK: kernel.launch @[[PLAIN:kernel_[0-9]+_matmul_integer]]
// CHECK: func.func private @[[STATIC]](
// CHECK: kernel.quantize_rows %{{.*}} scale
// CHECK: func.func private @[[LINEAR]](
// CHECK: kernel.matmul_integer {{.*}} rounding {{.*}}full_range
// CHECK: func.func private @[[DYNAMIC]](
// CHECK-NOT: scale
// CHECK: kernel.quantize_rows %{{[^ ]*}} outs
// CHECK: func.func private @[[PLAIN]](
// CHECK-NOT: full_range

// FLOAT-LABEL: func.func @decode(
// FLOAT: kernel.launch @[[ROUND:kernel_[0-9]+_round_rows]]
// FLOAT: kernel.launch @[[LINEAR:kernel_[0-9]+_matmul_float]]
// FLOAT-NOT: round_rows
// FLOAT: kernel.launch @[[LINEAR]]
// FLOAT-NOT: round_rows
// FLOAT: kernel.launch @[[PLAIN:kernel_[0-9]+_matmul_float]]
// FLOAT: func.func private @[[LINEAR]](
// FLOAT: kernel.matmul_float {{.*}} rounding
func.func @decode(%tokens: tensor<?xi32>) -> tensor<?x64xf32> attributes {gemma.program = "decode", gemma.rows = 1 : i64} {
  %x = gemma.embed %tokens, @table {slice = 0, scale = 8.0 : f32} : tensor<?xi32> -> tensor<?x64xf32>
  %a = gemma.linear %x, @a : tensor<?x64xf32> -> tensor<?x64xf32>
  %b = gemma.linear %x, @b : tensor<?x64xf32> -> tensor<?x64xf32>
  %g = gemma.gated_gelu %a, %b : tensor<?x64xf32>
  %y = gemma.linear %g, @c : tensor<?x64xf32> -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}
