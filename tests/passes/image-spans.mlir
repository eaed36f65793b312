// Spans of images (docs/decisions/0016): text alone drops them, decode too; prefill and score hand them to the kernels.
// RUN: gcompile-opt %s --gemma-select-modalities="keep=text" | FileCheck %s --check-prefix=TEXT
// RUN: gcompile-opt %s --gemma-select-modalities="keep=text,vision" --gemma-split-phases="prefill=64 score=8" | FileCheck %s --check-prefix=VISION
// RUN: gcompile-opt %s --gemma-select-modalities="keep=text,vision" --gemma-split-phases="prefill=64 score=8" --gemma-to-kernel | FileCheck %s --check-prefix=KERNEL

gemma.kv_cache @kv0 {layer = 0, heads = 1, head_dim = 16, window = 8, k_format = "f32", v_format = "f32", capacity = 128 : i64}
gemma.kv_cache @kv1 {layer = 1, heads = 1, head_dim = 16, window = 0, k_format = "f32", v_format = "f32", capacity = 128 : i64}
gemma.weight @table from "embed_tokens.weight" rows 0 : tensor<128x64xf32> {role = "embedding", layer = -1, modality = "text", format = "f32"}
gemma.weight @k from "k" rows 0 : tensor<16x64xf32> {role = "k", layer = 0, modality = "text", format = "f32"}

// TEXT: func.func @forward(%{{.*}}: tensor<?xi32>) ->
// TEXT-NOT: spans
// TEXT: return

// Prefill keeps what feeds a cache: the first layer's attention alone.
// VISION-LABEL: func.func @prefill
// VISION-SAME: (%{{.*}}: tensor<?xi32>, %[[S:[a-z0-9]+]]: tensor<?x2xi32>)
// VISION: gemma.attention %{{.*}}, @kv0 spans %[[S]] : tensor<?x2xi32> {heads = 4 : i64, whole_spans}
// VISION-LABEL: func.func @decode
// VISION-SAME: (%{{.*}}: tensor<?xi32>) ->
// VISION-NOT: spans
// VISION-LABEL: func.func @score
// VISION: gemma.attention %{{.*}}, @kv0 spans
// VISION: gemma.attention %{{.*}}, @kv1 {heads

// KERNEL-LABEL: func.func @prefill
// KERNEL-SAME: index, %[[S:[a-z0-9]+]]: memref<64x2xi32>)
// KERNEL: kernel.attend %{{.*}} spans %[[S]] : memref<64x2xi32> outs{{.*}}whole_spans
// KERNEL-LABEL: func.func @decode
// KERNEL-NOT: spans
// KERNEL-LABEL: func.func @score
// KERNEL: kernel.attend {{.*}} spans
// KERNEL: kernel.attend
// KERNEL-NOT: spans
func.func @forward(%tokens: tensor<?xi32>, %spans: tensor<?x2xi32>) -> tensor<?x64xf32> attributes {gemma.program = "forward"} {
  %x = gemma.embed %tokens, @table {slice = 0, scale = 8.0 : f32} : tensor<?xi32> -> tensor<?x64xf32>
  %k = gemma.linear %x, @k : tensor<?x64xf32> -> tensor<?x16xf32>
  gemma.append_kv %k, %k, @kv0 : tensor<?x16xf32>, tensor<?x16xf32>
  %a = gemma.attention %x, @kv0 spans %spans : tensor<?x2xi32> {heads = 4, whole_spans} : tensor<?x64xf32>
  %l = gemma.linear %a, @k : tensor<?x64xf32> -> tensor<?x16xf32>
  gemma.append_kv %l, %l, @kv1 : tensor<?x16xf32>, tensor<?x16xf32>
  %b = gemma.attention %a, @kv1 {heads = 4} : tensor<?x64xf32>
  return %b : tensor<?x64xf32>
}
