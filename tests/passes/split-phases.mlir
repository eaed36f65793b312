// Prefill keeps what feeds a cache and nothing else; decode and score keep all.
// RUN: gcompile-opt %s --gemma-split-phases="prefill=64 score=8" | FileCheck %s

gemma.kv_cache @kv0 {layer = 0, heads = 1, head_dim = 16, window = 8}
gemma.weight @table from "embed_tokens.weight" rows 0 : tensor<128x64xf32> {role = "embedding", layer = -1, modality = "text"}
gemma.weight @q from "q" rows 0 : tensor<64x64xf32> {role = "q", layer = 0, modality = "text"}
gemma.weight @k from "k" rows 0 : tensor<16x64xf32> {role = "k", layer = 0, modality = "text"}

// CHECK-LABEL: func.func @prefill
// CHECK-SAME: gemma.rows = 64
// CHECK: gemma.embed
// CHECK-NEXT: %[[K:.*]] = gemma.linear %{{.*}}, @k
// CHECK-NEXT: gemma.append_kv %[[K]], %[[K]], @kv0
// CHECK-NEXT: return
// CHECK-LABEL: func.func @decode
// CHECK-SAME: gemma.rows = 1 :
// CHECK: gemma.attention
// CHECK: gemma.soft_cap
// CHECK-LABEL: func.func @score
// CHECK-SAME: gemma.rows = 8
// CHECK: gemma.soft_cap
// CHECK-NOT: @forward
func.func @forward(%tokens: tensor<?xi32>) -> tensor<?x128xf32> attributes {gemma.program = "forward"} {
  %x = gemma.embed %tokens, @table {slice = 0, scale = 8.0 : f32} : tensor<?xi32> -> tensor<?x64xf32>
  %k = gemma.linear %x, @k : tensor<?x64xf32> -> tensor<?x16xf32>
  gemma.append_kv %k, %k, @kv0 : tensor<?x16xf32>, tensor<?x16xf32>
  %q = gemma.linear %x, @q : tensor<?x64xf32> -> tensor<?x64xf32>
  %a = gemma.attention %q, @kv0 {heads = 4} : tensor<?x64xf32>
  %l = gemma.linear %a, @table : tensor<?x64xf32> -> tensor<?x128xf32>
  %c = gemma.soft_cap %l {cap = 30.0 : f32} : tensor<?x128xf32>
  return %c : tensor<?x128xf32>
}
