// Every operation of the gemma dialect is printed as it was read.
// RUN: %gcompile-opt %s | %gcompile-opt | FileCheck %s
// RUN: %gcompile-opt %s --mlir-print-op-generic | %gcompile-opt | FileCheck %s

// CHECK: gemma.weight @embedding from "embed_tokens" rows 0 : tensor<320x64xf32> {format = "w8", layer = -1 : i64, modality = "text", role = "embedding"}
gemma.weight @embedding from "embed_tokens" rows 0 : tensor<320x64xf32> {layer = -1, modality = "text", role = "embedding", format = "w8"}
// CHECK: gemma.weight @q {{.*}} rows 64 : tensor<64x64xf32>
gemma.weight @q from "layers.0.qkv" rows 64 : tensor<64x64xf32> {layer = 0, modality = "text", role = "q"}
gemma.weight @norm from "layers.0.norm" rows 0 : tensor<64xf32> {layer = 0, modality = "text", role = "norm", format = "f32"}
gemma.weight @scalar from "layers.0.layer_scalar" rows 0 : tensor<1xf32> {layer = 0, modality = "text", role = "norm"}
// CHECK: pairs = 8 : i64, role = "rope_frequencies", theta = 1.000000e+04 : f64
gemma.weight @frequencies from "" rows 0 : tensor<8xf32> {layer = -1, modality = "text", role = "rope_frequencies", theta = 10000.0 : f64, pairs = 8}
// CHECK: gemma.weight @static {{.*}}input_scale = 5.000000e-01 : f32, {{.*}}output_scale = 2.500000e-01 : f32
gemma.weight @static from "layers.0.o" rows 0 : tensor<64x64xf32> {layer = 0, modality = "text", role = "o", input_scale = 0.5 : f32, output_scale = 0.25 : f32}
// CHECK: gemma.weight @scale {{.*}}value = 5.000000e-01 : f32
gemma.weight @scale from "" rows 0 : tensor<1xf32> {layer = -1, modality = "text", role = "activation_scale", value = 0.5 : f32}
// CHECK: gemma.kv_cache @kv0 {capacity = 128 : i64, head_dim = 16 : i64, heads = 1 : i64, k_format = "kv8", layer = 0 : i64, v_format = "f16", window = 16 : i64}
gemma.kv_cache @kv0 {layer = 0, heads = 1, head_dim = 16, window = 16, k_format = "kv8", v_format = "f16", capacity = 128}
// CHECK: gemma.kv_cache @kv3 {donor = @kv0
gemma.kv_cache @kv3 {layer = 3, heads = 1, head_dim = 16, window = 16, donor = @kv0}

// CHECK-LABEL: func.func @model
// CHECK-SAME: (%[[TOKENS:.*]]: tensor<?xi32>)
func.func @model(%tokens: tensor<?xi32>) -> tensor<?x64xf32> {
  // CHECK: %[[X:.*]] = gemma.embed %[[TOKENS]], @embedding {scale = 8.000000e+00 : f32, slice = 0 : i64} : tensor<?xi32> -> tensor<?x64xf32>
  %x = gemma.embed %tokens, @embedding {slice = 0, scale = 8.0 : f32} : tensor<?xi32> -> tensor<?x64xf32>
  // CHECK: %[[N:.*]] = gemma.rms_norm %[[X]] weight @norm
  %n = gemma.rms_norm %x weight @norm {groups = 1, epsilon = 1.0e-6 : f32, input_scale = 1.0 : f32} : tensor<?x64xf32>
  // CHECK: %[[V:.*]] = gemma.rms_norm %[[X]] {
  %v = gemma.rms_norm %x {groups = 4, epsilon = 1.0e-6 : f32, input_scale = 1.0 : f32} : tensor<?x64xf32>
  // CHECK: %[[Q:.*]] = gemma.linear %[[N]], @q : tensor<?x64xf32> -> tensor<?x64xf32>
  %q = gemma.linear %n, @q : tensor<?x64xf32> -> tensor<?x64xf32>
  // CHECK: %[[R:.*]] = gemma.rope %[[Q]], @frequencies {groups = 4 : i64}
  %r = gemma.rope %q, @frequencies {groups = 4} : tensor<?x64xf32>
  %k = gemma.linear %n, @k : tensor<?x64xf32> -> tensor<?x16xf32>
  // CHECK: gemma.append_kv %[[K:.*]], %[[K]], @kv0
  gemma.append_kv %k, %k, @kv0 : tensor<?x16xf32>, tensor<?x16xf32>
  // CHECK: %[[A:.*]] = gemma.attention %[[R]], @kv0 {heads = 4 : i64}
  %a = gemma.attention %r, @kv0 {heads = 4} : tensor<?x64xf32>
  // CHECK: %[[G:.*]] = gemma.gated_gelu %[[A]], %[[V]]
  %g = gemma.gated_gelu %a, %v : tensor<?x64xf32>
  // CHECK: %[[S:.*]] = gemma.add %[[X]], %[[G]] factor @scalar
  %s = gemma.add %x, %g factor @scalar {scale = 1.0 : f32} : tensor<?x64xf32>
  // CHECK: gemma.add %[[S]], %[[X]] {scale
  %t = gemma.add %s, %x {scale = 0.5 : f32} : tensor<?x64xf32>
  // CHECK: gemma.soft_cap %{{.*}} {cap = 3.000000e+01 : f32}
  %c = gemma.soft_cap %t {cap = 30.0 : f32} : tensor<?x64xf32>
  return %c : tensor<?x64xf32>
}
gemma.weight @k from "layers.0.k" rows 0 : tensor<16x64xf32> {layer = 0, modality = "text", role = "k"}
