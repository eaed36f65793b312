// DEFINE: %{options} = q=w8:400:0.01,w4:200:0.2;p=w8:400:0.01,w4:100:0.02;ple=memory:w4:900:0.01,storage:w4:150:0.01,storage:w2:50:0.5;local=kv8:100:0.01,kv4:50:0.6
// The one decision. Hand-worked: with 900 bytes, 100 of them fixed, the best is q in w8 (400), the table on storage (150), the local cache in kv8 (100): 750 of 800, loss 0.1 + 0.02 + 0.01.
// w8 for p would need 400 instead of 100. The slices of `p` are one item, and its two weights get one format.
// RUN: gcompile-opt %s --gemma-plan="budget=900 fixed=100 context=256 chunk=64 cache-rows=32 options=%{options}" | FileCheck %s
// RUN: gcompile-opt %s --gemma-plan="budget=900 fixed=100 context=256 chunk=64 cache-rows=32 options=%{options}" --gemma-verify-budget="budget=100000000" | FileCheck %s
// RUN: not gcompile-opt %s --gemma-plan="budget=449 fixed=100 options=%{options}" 2>&1 | FileCheck %s --check-prefix=NOTHING
// RUN: not gcompile-opt %s --gemma-plan="budget=900 options=q=w8:400:0.1" 2>&1 | FileCheck %s --check-prefix=UNPRICED
// RUN: not gcompile-opt %s --gemma-plan="budget=900 options=%{options};x=w8:400:0.1" 2>&1 | FileCheck %s --check-prefix=UNKNOWN
// RUN: not gcompile-opt %s --gemma-plan="budget=900 options=q=w8:four:0.1" 2>&1 | FileCheck %s --check-prefix=BAD

// CHECK: module attributes {gemma.plan = {bound = {{.*}}, budget = 900 : i64, bytes = 850 : i64, objective = {{.*}}, solver = "{{.*}}"}}
// CHECK: gemma.kv_cache @local {capacity = 128 {{.*}}k_format = "kv8"
// CHECK: gemma.kv_cache @reader {capacity = 128 {{.*}}k_format = "kv8"
// CHECK: gemma.weight @q {{.*}}format = "w8"
// CHECK: gemma.weight @p0 {{.*}}format = "w4"
// CHECK: gemma.weight @p1 {{.*}}format = "w4"
// CHECK: gemma.weight @ple {{.*}}cache_rows = 32{{.*}}format = "w4"{{.*}}placement = "storage"
// CHECK: gemma.weight @norm {{.*}}format = "f32"
// NOTHING: nothing fits 449 bytes: the smallest choice needs 500
// UNPRICED: has no options in the table ('p')
// UNKNOWN: has no tensor or cache 'x', which the option table prices
// BAD: option 'w8:four:0.1' is not FORMAT:BYTES:LOSS or FORMAT:BYTES:LOSS:SECONDS
gemma.kv_cache @local {layer = 0, heads = 1, head_dim = 256, window = 64}
gemma.kv_cache @reader {layer = 1, heads = 1, head_dim = 256, window = 64, donor = @local}
gemma.weight @q from "q" rows 0 : tensor<64x64xf32> {role = "query", layer = 0, modality = "text"}
gemma.weight @p0 from "p" rows 0 : tensor<64x64xf32> {role = "per_layer_model_projection", layer = -1, modality = "text"}
gemma.weight @p1 from "p" rows 64 : tensor<64x64xf32> {role = "per_layer_model_projection", layer = -1, modality = "text"}
gemma.weight @ple from "ple" rows 0 : tensor<64x128xf32> {role = "per_layer_table", layer = -1, modality = "text", slices = 2}
gemma.weight @norm from "n" rows 0 : tensor<64xf32> {role = "input_norm", layer = 0, modality = "text"}
