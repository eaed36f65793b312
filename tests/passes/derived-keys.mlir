// A cache whose keys are derived: V alone is laid out, appended and read; one table of the pairs that rotate serves all layers, over all positions so far.
// RUN: gcompile-opt %s --pass-pipeline='builtin.module(gemma-apply-plan{weights=f32 kv=kv8 context=256 chunk=16})' | FileCheck %s --check-prefix=PLAN
// RUN: gcompile-opt %s --pass-pipeline='builtin.module(gemma-apply-plan{weights=f32 kv=kv8 context=256 chunk=16},gemma-to-kernel-pipeline)' | FileCheck %s

// PLAN: gemma.kv_cache @kv0 {capacity = 256 {{.*}}derived_keys{{.*}}k_format = "derived"{{.*}}v_format = "kv8"
// Two caches of 256 rows of 64 bytes and a scale: 2 · 256 · 68.
// CHECK: module attributes {kernel.cache_bytes = 34816 : i64
gemma.kv_cache @kv0 {layer = 0, heads = 1, head_dim = 64, window = 0, derived_keys}
gemma.kv_cache @kv1 {layer = 1, heads = 1, head_dim = 64, window = 0, derived_keys}
gemma.weight @table from "t" rows 0 : tensor<128x64xf32> {role = "embedding", layer = -1, modality = "text"}
gemma.weight @norm from "n" rows 0 : tensor<64xf32> {role = "norm", layer = 0, modality = "text"}
gemma.weight @rope from "" rows 0 : tensor<32xf32> {role = "rope_frequencies", layer = -1, modality = "text", theta = 1.0e6 : f64, pairs = 8 : i64}

// CHECK-LABEL: func.func @decode(
// CHECK-SAME: %[[TOKENS:[a-z0-9]+]]: memref<1xi32>
// CHECK: %[[END:.*]] = arith.addi %arg5, %{{.*}} : index
// CHECK: kernel.launch @[[TABLE:kernel_[0-9]+_rope_table]] tasks %[[END]](
// CHECK-NOT: rope_table
// CHECK: return
// CHECK: kernel.append_kv %{{[a-z0-9]+}} into {{.*}}k_format = "derived", v_format = "kv8"{{.*}} : memref<1x64xf32>, memref<17408xi8>
// CHECK: func.func private @[[TABLE]](
// CHECK: kernel.rope_table {{.*}} : memref<32xf32>, memref<256x16xf32>, memref<256x16xf32>
// CHECK: kernel.attend {{.*}} keys(%{{.*}}, %{{.*}}, %{{.*}} : memref<64xf32>, memref<256x16xf32>, memref<256x16xf32>)
func.func @decode(%tokens: tensor<?xi32>) -> tensor<?x64xf32> attributes {gemma.program = "decode", gemma.rows = 1 : i64} {
  %x = gemma.embed %tokens, @table {slice = 0, scale = 8.0 : f32} : tensor<?xi32> -> tensor<?x64xf32>
  gemma.append_kv %x, @kv0 : tensor<?x64xf32>
  %a = gemma.attention %x, @kv0 {heads = 1, key_norm = @norm, frequencies = @rope} : tensor<?x64xf32>
  gemma.append_kv %a, @kv1 : tensor<?x64xf32>
  %b = gemma.attention %a, @kv1 {heads = 1, key_norm = @norm, frequencies = @rope} : tensor<?x64xf32>
  return %b : tensor<?x64xf32>
}
