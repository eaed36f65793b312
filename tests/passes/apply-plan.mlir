// Vectors stay f32; a ring holds the window of every row of a chunk, rounded up to 64, and never more than the context.
// RUN: gcompile-opt %s --gemma-apply-plan="weights=w4g32 table=w4 kv=kv8 context=4096 chunk=128" | FileCheck %s
// RUN: gcompile-opt %s --gemma-apply-plan="weights=w4 kv=f16 context=256 chunk=128" | FileCheck %s --check-prefix=SHORT
// RUN: not gcompile-opt %s --gemma-apply-plan="weights=w5" 2>&1 | FileCheck %s --check-prefix=BAD

// CHECK: gemma.kv_cache @local {capacity = 640 {{.*}}k_format = "kv8"{{.*}}window = 512
// CHECK: gemma.kv_cache @global {capacity = 4096
// SHORT: gemma.kv_cache @local {capacity = 256 {{.*}}window = 0
// SHORT: gemma.kv_cache @global {capacity = 256
// CHECK: gemma.weight @q {{.*}}format = "w4g32"
// CHECK: gemma.weight @ple {{.*}}format = "w4"
// CHECK: gemma.weight @norm {{.*}}format = "f32"
// BAD: cannot take format 'w5', which the registry does not know
gemma.kv_cache @local {layer = 0, heads = 1, head_dim = 256, window = 512}
gemma.kv_cache @global {layer = 1, heads = 1, head_dim = 512, window = 0}
gemma.weight @q from "q" rows 0 : tensor<64x64xf32> {role = "query", layer = 0, modality = "text"}
gemma.weight @ple from "ple" rows 0 : tensor<64x64xf32> {role = "per_layer_table", layer = -1, modality = "text"}
gemma.weight @norm from "n" rows 0 : tensor<64xf32> {role = "input_norm", layer = 0, modality = "text"}
