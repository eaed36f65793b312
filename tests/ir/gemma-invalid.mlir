// What the verifiers of the gemma dialect refuse, one case a section.
// RUN: %gcompile-opt %s --split-input-file --verify-diagnostics

// expected-error @+1 {{has type 'tensor<?x64xf32>', expected a vector or a matrix of static shape}}
gemma.weight @w from "w" rows 0 : tensor<?x64xf32> {layer = 0, modality = "text", role = "q"}

// -----
// expected-error @+1 {{has format 'w3', which the registry does not know}}
gemma.weight @w from "w" rows 0 : tensor<64x64xf32> {layer = 0, modality = "text", role = "q", format = "w3"}

// -----
// expected-error @+1 {{is a vector of format 'w8', expected 'f32'}}
gemma.weight @w from "w" rows 0 : tensor<64xf32> {layer = 0, modality = "text", role = "norm", format = "w8"}

// -----
// expected-error @+1 {{needs 'theta' and 'pairs' exactly when its role is 'rope_frequencies'}}
gemma.weight @w from "" rows 0 : tensor<8xf32> {layer = 0, modality = "text", role = "rope_frequencies"}

// -----
// expected-error @+1 {{needs one 'value' exactly when its role is 'activation_scale'}}
gemma.weight @w from "" rows 0 : tensor<1xf32> {layer = 0, modality = "text", role = "activation_scale"}

// -----
// expected-error @+1 {{has an activation scale of -1.000000e+00, expected a positive number}}
gemma.weight @w from "w" rows 0 : tensor<64x64xf32> {layer = 0, modality = "text", role = "q", input_scale = -1.0 : f32}

// -----
// expected-error @+1 {{has activation scales, which only a matrix that is multiplied has}}
gemma.weight @w from "w" rows 0 : tensor<64xf32> {layer = 0, modality = "text", role = "norm", output_scale = 1.0 : f32}

// -----
// expected-error @+1 {{has activation scales and 2 matrices; experts have none}}
gemma.weight @w from "w" rows 0 : tensor<64x64xf32> {layer = 0, modality = "text", role = "experts_down", matrices = 2, output_scale = 1.0 : f32}

// -----
// expected-error @+1 {{has 1 heads of 15, expected at least 1 of an even size}}
gemma.kv_cache @kv {layer = 0, heads = 1, head_dim = 15, window = 0}

// -----
// expected-error @+1 {{has format 'kv5', which the registry does not know}}
gemma.kv_cache @kv {layer = 0, heads = 1, head_dim = 16, window = 0, k_format = "kv5"}

// -----
// expected-error @+1 {{has a scale for format 'f16', which has no codes}}
gemma.kv_cache @kv {layer = 0, heads = 1, head_dim = 16, window = 0, k_format = "f16", v_format = "kv8", key_scale = 1.0 : f32}

// -----
// expected-error @+1 {{has a scale of -1}}
gemma.kv_cache @kv {layer = 0, heads = 1, head_dim = 16, window = 0, k_format = "kv8", v_format = "kv8", value_scale = -1.0 : f32}

// -----
// expected-error @+1 {{has a capacity of 100, expected a multiple of 64}}
gemma.kv_cache @kv {layer = 0, heads = 1, head_dim = 16, window = 0, capacity = 100}

// -----
// expected-error @+1 {{has a capacity of 64 for a window of 128}}
gemma.kv_cache @kv {layer = 0, heads = 1, head_dim = 16, window = 128, capacity = 64}

// -----
func.func @unknown_weight(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  // expected-error @+1 {{names @nowhere, which is no gemma.weight}}
  %y = gemma.linear %x, @nowhere : tensor<?x64xf32> -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// -----
gemma.weight @w from "w" rows 0 : tensor<64x48xf32> {layer = 0, modality = "text", role = "q"}
func.func @wrong_columns(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  // expected-error @+1 {{maps 64 to 64 columns with @w of type 'tensor<64x48xf32>'}}
  %y = gemma.linear %x, @w : tensor<?x64xf32> -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// -----
gemma.weight @t from "t" rows 0 : tensor<320x128xf32> {layer = 0, modality = "text", role = "per_layer_table", slices = 2}
func.func @slice_beyond(%tokens: tensor<?xi32>) -> tensor<?x64xf32> {
  // expected-error @+1 {{reads slice 2 of 64 columns from @t of type 'tensor<320x128xf32>' in 2 slices}}
  %y = gemma.embed %tokens, @t {slice = 2, scale = 1.0 : f32} : tensor<?xi32> -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// -----
gemma.weight @n from "n" rows 0 : tensor<64xf32> {layer = 0, modality = "text", role = "norm"}
func.func @norm_of_wrong_length(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  // expected-error @+1 {{needs 16 values of @n, which has 64}}
  %y = gemma.rms_norm %x weight @n {groups = 4, epsilon = 1.0e-6 : f32, input_scale = 1.0 : f32} : tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// -----
gemma.weight @f from "" rows 0 : tensor<16xf32> {layer = 0, modality = "text", role = "rope_frequencies", theta = 1.0e4 : f64, pairs = 16}
func.func @rope_of_odd_groups(%x: tensor<?x60xf32>) -> tensor<?x60xf32> {
  // expected-error @+1 {{splits rows of 60 into 4 groups of pairs}}
  %y = gemma.rope %x, @f {groups = 4} : tensor<?x60xf32>
  return %y : tensor<?x60xf32>
}

// -----
gemma.kv_cache @kv {layer = 0, heads = 2, head_dim = 16, window = 0}
func.func @heads_that_do_not_divide(%q: tensor<?x48xf32>) -> tensor<?x48xf32> {
  // expected-error @+1 {{has 3 query heads on 2 kv heads of @kv}}
  %y = gemma.attention %q, @kv {heads = 3} : tensor<?x48xf32>
  return %y : tensor<?x48xf32>
}

// -----
gemma.kv_cache @kv {layer = 0, heads = 2, head_dim = 16, window = 0}
func.func @keys_of_wrong_width(%k: tensor<?x64xf32>) {
  // expected-error @+1 {{has rows of 64, expected 32 for @kv}}
  gemma.append_kv %k, %k, @kv : tensor<?x64xf32>, tensor<?x64xf32>
  return
}

// -----
// expected-error @+1 {{has rows of 128 in 3 slices, expected a divisor, and 1 unless it is a per-layer table}}
gemma.weight @t from "t" rows 0 : tensor<320x128xf32> {layer = 0, modality = "text", role = "per_layer_table", slices = 3}

// -----
// expected-error @+1 {{has placement 'flash', expected 'memory' or 'storage', and only on a per-layer table or a stack of experts}}
gemma.weight @t from "t" rows 0 : tensor<320x128xf32> {layer = 0, modality = "text", role = "per_layer_table", placement = "flash"}

// -----
// expected-error @+1 {{needs 'cache_rows' of at least 1, and only on a table with placement 'storage'}}
gemma.weight @t from "t" rows 0 : tensor<320x128xf32> {layer = 0, modality = "text", role = "per_layer_table", placement = "memory", cache_rows = 4}

// -----
gemma.weight @gu from "gu" rows 0 : tensor<128x64xf32> {layer = 0, modality = "text", role = "experts_gate_up", matrices = 4}
gemma.weight @d from "d" rows 0 : tensor<256x16xf32> {layer = 0, modality = "text", role = "experts_down", matrices = 4}
gemma.weight @s from "s" rows 0 : tensor<4xf32> {layer = 0, modality = "text", role = "router_expert_scale"}
func.func @experts_too_many(%x: tensor<?x64xf32>, %r: tensor<?x4xf32>) -> tensor<?x64xf32> {
  // expected-error @+1 {{chooses 5 of 4 experts}}
  %y = gemma.experts %x, %r, @gu, @d, @s {top_k = 5, router_scale = 1.0 : f32} : tensor<?x64xf32>, tensor<?x4xf32> -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// -----
gemma.weight @gu from "gu" rows 0 : tensor<96x64xf32> {layer = 0, modality = "text", role = "experts_gate_up"}
gemma.weight @d from "d" rows 0 : tensor<256x16xf32> {layer = 0, modality = "text", role = "experts_down"}
gemma.weight @s from "s" rows 0 : tensor<4xf32> {layer = 0, modality = "text", role = "router_expert_scale"}
func.func @experts_that_do_not_fit(%x: tensor<?x64xf32>, %r: tensor<?x4xf32>) -> tensor<?x64xf32> {
  // expected-error @+1 {{has 4 experts of 64 columns, which @gu of type 'tensor<96x64xf32>' and @d of type 'tensor<256x16xf32>' do not fit}}
  %y = gemma.experts %x, %r, @gu, @d, @s {top_k = 2, router_scale = 1.0 : f32} : tensor<?x64xf32>, tensor<?x4xf32> -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// -----
gemma.weight @gu from "gu" rows 0 : tensor<128x64xf32> {layer = 0, modality = "text", role = "experts_gate_up", matrices = 4}
gemma.weight @d from "d" rows 0 : tensor<256x16xf32> {layer = 0, modality = "text", role = "experts_down"}
gemma.weight @s from "s" rows 0 : tensor<4xf32> {layer = 0, modality = "text", role = "router_expert_scale"}
func.func @experts_in_one_matrix(%x: tensor<?x64xf32>, %r: tensor<?x4xf32>) -> tensor<?x64xf32> {
  // expected-error @+1 {{has 4 experts, @d has 1 matrices}}
  %y = gemma.experts %x, %r, @gu, @d, @s {top_k = 2, router_scale = 1.0 : f32} : tensor<?x64xf32>, tensor<?x4xf32> -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// -----
// expected-error @+1 {{has type 'tensor<128x64xf32>' of 3 matrices, expected a divisor of its rows, and 1 unless it is a matrix}}
gemma.weight @gu from "gu" rows 0 : tensor<128x64xf32> {layer = 0, modality = "text", role = "experts_gate_up", matrices = 3}

// -----
// expected-error @+1 {{has derived keys and a window of 64, expected 0}}
gemma.kv_cache @kv {layer = 0, heads = 1, head_dim = 16, window = 64, derived_keys}

// -----
// expected-error @+1 {{has k_format 'kv8', expected 'derived' exactly with 'derived_keys'}}
gemma.kv_cache @kv {layer = 0, heads = 1, head_dim = 16, window = 0, k_format = "kv8", derived_keys}

// -----
// expected-error @+1 {{has k_format 'derived', expected 'derived' exactly with 'derived_keys'}}
gemma.kv_cache @kv {layer = 0, heads = 1, head_dim = 16, window = 0, k_format = "derived"}

// -----
gemma.kv_cache @kv {layer = 0, heads = 2, head_dim = 16, window = 0, derived_keys}
func.func @keys_that_are_derived(%k: tensor<?x32xf32>) {
  // expected-error @+1 {{writes keys to @kv, which derives them}}
  gemma.append_kv %k, %k, @kv : tensor<?x32xf32>, tensor<?x32xf32>
  return
}

// -----
gemma.kv_cache @kv {layer = 0, heads = 2, head_dim = 16, window = 0}
func.func @keys_that_are_missing(%v: tensor<?x32xf32>) {
  // expected-error @+1 {{writes no keys to @kv, which stores them}}
  gemma.append_kv %v, @kv : tensor<?x32xf32>
  return
}

// -----
gemma.kv_cache @kv {layer = 0, heads = 2, head_dim = 16, window = 0, derived_keys}
func.func @no_norm_of_keys(%q: tensor<?x32xf32>) -> tensor<?x32xf32> {
  // expected-error @+1 {{needs 'key_norm' and 'frequencies' exactly when the keys of @kv are derived}}
  %y = gemma.attention %q, @kv {heads = 2} : tensor<?x32xf32>
  return %y : tensor<?x32xf32>
}

// -----
gemma.kv_cache @kv {layer = 0, heads = 2, head_dim = 16, window = 0, derived_keys}
gemma.weight @norm from "n" rows 0 : tensor<8xf32> {role = "norm", layer = 0, modality = "text"}
gemma.weight @rope from "" rows 0 : tensor<8xf32> {role = "rope_frequencies", layer = -1, modality = "text", theta = 1.0e6 : f64, pairs = 8 : i64}
func.func @norm_of_wrong_length(%q: tensor<?x32xf32>) -> tensor<?x32xf32> {
  // expected-error @+1 {{needs 16 values of @norm, which has 8}}
  %y = gemma.attention %q, @kv {heads = 2, key_norm = @norm, frequencies = @rope} : tensor<?x32xf32>
  return %y : tensor<?x32xf32>
}

// -----
// expected-error @+1 {{needs 'cache_slots', 'block_bytes' and 'block_offset' exactly when it is a stack with placement 'storage'}}
gemma.weight @d from "d" rows 0 : tensor<256x16xf32> {layer = 0, modality = "text", role = "experts_down", matrices = 4, placement = "storage", cache_slots = 4 : i64}

// -----
// expected-error @+1 {{needs 'cache_slots', 'block_bytes' and 'block_offset' exactly when it is a stack with placement 'storage'}}
gemma.weight @d from "d" rows 0 : tensor<256x16xf32> {layer = 0, modality = "text", role = "experts_down", matrices = 4, placement = "memory", cache_slots = 4 : i64}

// -----
// expected-error @+1 {{has 4 slots of 8000 bytes and begins at 4096, expected at least 1 of a multiple of 4096, and a multiple of 128 inside}}
gemma.weight @d from "d" rows 0 : tensor<256x16xf32> {layer = 0, modality = "text", role = "experts_down", matrices = 4, placement = "storage", cache_slots = 4 : i64, block_bytes = 8000 : i64, block_offset = 4096 : i64}

// -----
// expected-error @+1 {{has 4 slots of 8192 bytes and begins at 8192, expected at least 1 of a multiple of 4096, and a multiple of 128 inside}}
gemma.weight @d from "d" rows 0 : tensor<256x16xf32> {layer = 0, modality = "text", role = "experts_down", matrices = 4, placement = "storage", cache_slots = 4 : i64, block_bytes = 8192 : i64, block_offset = 8192 : i64}
