// What the verifiers of the kernel dialect refuse, one case a section.
// RUN: %gcompile-opt %s --split-input-file --verify-diagnostics

func.func @unknown_format(%x: memref<4x64xf32>, %w: memref<16384xi8>, %rows: index) {
  // expected-error @+1 {{names weight format 'w3', which the registry does not know}}
  kernel.matmul_float %x, %w outs(%x) rows %rows {format = "w3"} : memref<4x64xf32>, memref<16384xi8>, memref<4x64xf32>
  return
}

// -----
func.func @integer_format_in_float_kernel(%x: memref<4x64xf32>, %w: memref<4608xi8>, %rows: index) {
  // expected-error @+1 {{has integer format 'w8'; use kernel.matmul_integer}}
  kernel.matmul_float %x, %w outs(%x) rows %rows {format = "w8"} : memref<4x64xf32>, memref<4608xi8>, memref<4x64xf32>
  return
}

// -----
func.func @float_format_in_integer_kernel(%c: memref<4x64xi8>, %s: memref<4x1xf32>, %u: memref<4x1xi32>, %w: memref<16384xi8>, %y: memref<4x64xf32>, %rows: index) {
  // expected-error @+1 {{has float format 'f32'; use kernel.matmul_float}}
  kernel.matmul_integer %c, %s, %u, %w outs(%y) rows %rows {format = "f32", columns = 64} : memref<4x64xi8>, memref<4x1xf32>, memref<4x1xi32>, memref<16384xi8>, memref<4x64xf32>
  return
}

// -----
// 64 columns of f32 need a panel of 256 · 64 bytes.
func.func @too_few_weight_bytes(%x: memref<4x64xf32>, %w: memref<16383xi8>, %rows: index) {
  // expected-error @+1 {{weights has type 'memref<16383xi8>', expected shape 16384}}
  kernel.matmul_float %x, %w outs(%x) rows %rows {format = "f32"} : memref<4x64xf32>, memref<16383xi8>, memref<4x64xf32>
  return
}

// -----
func.func @codes_without_padding(%x: memref<4x60xf32>, %c: memref<4x60xi8>, %s: memref<4x1xf32>, %u: memref<4x1xi32>, %rows: index) {
  // expected-error @+1 {{codes has type 'memref<4x60xi8>', expected shape 4x64}}
  kernel.quantize_rows %x outs(%c, %s, %u) rows %rows {group = 0} : memref<4x60xf32>, memref<4x60xi8>, memref<4x1xf32>, memref<4x1xi32>
  return
}

// -----
func.func @one_scale_for_two_groups(%x: memref<4x64xf32>, %c: memref<4x64xi8>, %s: memref<4x1xf32>, %u: memref<4x2xi32>, %rows: index) {
  // expected-error @+1 {{scales has type 'memref<4x1xf32>', expected shape 4x2}}
  kernel.quantize_rows %x outs(%c, %s, %u) rows %rows {group = 32} : memref<4x64xf32>, memref<4x64xi8>, memref<4x1xf32>, memref<4x2xi32>
  return
}

// -----
func.func @scales_of_every_row(%x: memref<4x64xf32>, %scale: memref<4xf32>, %out: memref<4x64xf32>, %rows: index) {
  // expected-error @+1 {{scale has type 'memref<4xf32>', expected shape 1}}
  kernel.round_rows %x scale %scale : memref<4xf32> outs(%out) rows %rows : memref<4x64xf32>, memref<4x64xf32>
  return
}

// -----
func.func @rounding_by_two_scales(%x: memref<4x64xf32>, %scale: memref<2xf32>, %w: memref<16384xi8>, %out: memref<4x64xf32>, %rows: index) {
  // expected-error @+1 {{scale has type 'memref<2xf32>', expected shape 1}}
  kernel.matmul_float %x, %w rounding %scale : memref<2xf32> outs(%out) rows %rows {format = "f32"} : memref<4x64xf32>, memref<16384xi8>, memref<4x64xf32>
  return
}

// -----
func.func @groups_that_do_not_divide(%x: memref<4x64xf32>, %rows: index) {
  // expected-error @+1 {{splits rows of 64 into 3 groups}}
  kernel.rms_norm %x outs(%x) rows %rows {groups = 3, epsilon = 1.0e-6 : f32, input_scale = 1.0 : f32} : memref<4x64xf32>, memref<4x64xf32>
  return
}

// -----
func.func @query_heads_on_kv_heads(%q: memref<4x48xf32>, %cache: memref<16384xi8>, %rows: index, %position: index) {
  // expected-error @+1 {{has 3 query heads on 2 kv heads}}
  kernel.attend %q, %cache outs(%q) rows %rows position %position {k_format = "f32", v_format = "f32", heads = 3, kv_heads = 2, head_dim = 16, capacity = 64, window = 0} : memref<4x48xf32>, memref<16384xi8>, memref<4x48xf32>
  return
}

// -----
func.func @ring_of_odd_capacity(%k: memref<4x16xf32>, %cache: memref<12800xi8>, %rows: index, %position: index) {
  // expected-error @+1 {{has a cache of 100 slots, expected a multiple of 64}}
  kernel.append_kv %k, %k into %cache rows %rows position %position {k_format = "f32", v_format = "f32", heads = 1, head_dim = 16, capacity = 100} : memref<4x16xf32>, memref<4x16xf32>, memref<12800xi8>
  return
}

// -----
func.func @scale_without_codes(%k: memref<4x16xf32>, %s: memref<1xf32>, %cache: memref<8192xi8>, %rows: index, %position: index) {
  // expected-error @+1 {{has a scale for format 'f32', which has no codes}}
  kernel.append_kv %k, %k into %cache value_scale %s : memref<1xf32> rows %rows position %position {k_format = "f32", v_format = "f32", heads = 1, head_dim = 16, capacity = 64} : memref<4x16xf32>, memref<4x16xf32>, memref<8192xi8>
  return
}

// -----
func.func @cache_of_wrong_bytes(%k: memref<4x16xf32>, %cache: memref<8192xi8>, %rows: index, %position: index) {
  // expected-error @+1 {{cache has type 'memref<8192xi8>', expected shape 16384}}
  kernel.append_kv %k, %k into %cache rows %rows position %position {k_format = "f32", v_format = "f32", heads = 1, head_dim = 16, capacity = 128} : memref<4x16xf32>, memref<4x16xf32>, memref<8192xi8>
  return
}

// -----
func.func @table_layout(%i: memref<4xi32>, %t: memref<81920xi8>, %y: memref<4x64xf32>, %rows: index) {
  // expected-error @+1 {{has layout 'diagonal', expected 'packed' or 'row'}}
  kernel.gather_rows %i, %t outs(%y) rows %rows {format = "f32", layout = "diagonal", table_rows = 320, columns = 64, slice = 0, slices = 1, scale = 1.0 : f32} : memref<4xi32>, memref<81920xi8>, memref<4x64xf32>
  return
}

// -----
func.func @slice_beyond(%i: memref<4xi32>, %t: memref<81920xi8>, %y: memref<4x64xf32>, %rows: index) {
  // expected-error @+1 {{reads slice 5 of 5}}
  kernel.gather_rows %i, %t outs(%y) rows %rows {format = "bf16", layout = "row", table_rows = 320, columns = 64, slice = 5, slices = 5, scale = 1.0 : f32} : memref<4xi32>, memref<81920xi8>, memref<4x64xf32>
  return
}

// -----
func.func @keys_of_a_cache_without(%k: memref<4x16xf32>, %cache: memref<4096xi8>, %rows: index, %position: index) {
  // expected-error @+1 {{has k_format 'derived' and keys}}
  kernel.append_kv %k, %k into %cache rows %rows position %position {k_format = "derived", v_format = "f32", heads = 1, head_dim = 16, capacity = 64} : memref<4x16xf32>, memref<4x16xf32>, memref<4096xi8>
  return
}

// -----
func.func @derived_keys_of_nothing(%q: memref<4x16xf32>, %cache: memref<4096xi8>, %rows: index, %position: index) {
  // expected-error @+1 {{has k_format 'derived' and 0 inputs of keys, expected 3}}
  kernel.attend %q, %cache outs(%q) rows %rows position %position {k_format = "derived", v_format = "f32", heads = 1, kv_heads = 1, head_dim = 16, capacity = 64, window = 0} : memref<4x16xf32>, memref<4096xi8>, memref<4x16xf32>
  return
}

// -----
func.func @derived_keys_in_a_window(%q: memref<4x16xf32>, %cache: memref<4096xi8>, %n: memref<16xf32>, %t: memref<64x8xf32>, %rows: index, %position: index) {
  // expected-error @+1 {{has derived keys and a window of 16, expected 0}}
  kernel.attend %q, %cache keys(%n, %t, %t : memref<16xf32>, memref<64x8xf32>, memref<64x8xf32>) outs(%q) rows %rows position %position {k_format = "derived", v_format = "f32", heads = 1, kv_heads = 1, head_dim = 16, capacity = 64, window = 16} : memref<4x16xf32>, memref<4096xi8>, memref<4x16xf32>
  return
}

// -----
func.func @rotations_of_too_few_positions(%q: memref<4x16xf32>, %cache: memref<4096xi8>, %n: memref<16xf32>, %t: memref<32x8xf32>, %rows: index, %position: index) {
  // expected-error @+1 {{cosines has type 'memref<32x8xf32>', expected shape 64x8}}
  kernel.attend %q, %cache keys(%n, %t, %t : memref<16xf32>, memref<32x8xf32>, memref<32x8xf32>) outs(%q) rows %rows position %position {k_format = "derived", v_format = "f32", heads = 1, kv_heads = 1, head_dim = 16, capacity = 64, window = 0} : memref<4x16xf32>, memref<4096xi8>, memref<4x16xf32>
  return
}

// -----
func.func @odd_number_of_pairs(%q: memref<4x64xf32>, %cache: memref<16384xi8>, %n: memref<64xf32>, %t: memref<64x8xf32>, %rows: index, %position: index) {
  // expected-error @+1 {{rotates 8 pairs of heads of 64, expected a multiple of 16 or all}}
  kernel.attend %q, %cache keys(%n, %t, %t : memref<64xf32>, memref<64x8xf32>, memref<64x8xf32>) outs(%q) rows %rows position %position {k_format = "derived", v_format = "f32", heads = 1, kv_heads = 1, head_dim = 64, capacity = 64, window = 0} : memref<4x64xf32>, memref<16384xi8>, memref<4x64xf32>
  return
}

// -----
func.func @experts_without_matrices(%x: memref<4x16xf32>, %w: memref<4096xi8>, %m: memref<8xi32>, %s: memref<3xi32>, %y: memref<8x16xf32>, %rows: index) {
  // expected-error @+1 {{members has type 'memref<8xi32>', expected shape 4}}
  kernel.matmul_float %x, %w groups(%m, %s, %s : memref<8xi32>, memref<3xi32>, memref<3xi32>) outs(%x) rows %rows {format = "f32", matrices = 2, group_rows = 4} : memref<4x16xf32>, memref<4096xi8>, memref<4x16xf32>
  return
}

// -----
func.func @matrices_without_groups(%x: memref<4x16xf32>, %w: memref<8192xi8>, %rows: index) {
  // expected-error @+1 {{has 2 matrices and maps 4 to 4 rows without groups}}
  kernel.matmul_float %x, %w outs(%x) rows %rows {format = "f32", matrices = 2} : memref<4x16xf32>, memref<8192xi8>, memref<4x16xf32>
  return
}

// -----
func.func @stack_of_another_size(%x: memref<4x16xf32>, %w: memref<4096xi8>, %m: memref<8xi32>, %s: memref<3xi32>, %y: memref<8x16xf32>, %rows: index) {
  // expected-error @+1 {{weights has type 'memref<4096xi8>', expected shape 8192}}
  kernel.matmul_float %x, %w groups(%m, %s, %s : memref<8xi32>, memref<3xi32>, memref<3xi32>) outs(%y) rows %rows {format = "f32", matrices = 2, group_rows = 4} : memref<4x16xf32>, memref<4096xi8>, memref<8x16xf32>
  return
}

// -----
func.func @more_ranks_than_experts(%r: memref<4x2xf32>, %s: memref<2xf32>, %e: memref<4x3xi32>, %g: memref<4x3xf32>, %rows: index) {
  // expected-error @+1 {{chooses 3 of 2 experts}}
  kernel.choose_experts %r, %s outs(%e, %g) rows %rows {scale = 1.0 : f32} : memref<4x2xf32>, memref<2xf32>, memref<4x3xi32>, memref<4x3xf32>
  return
}

// -----
func.func @too_many_groups(%e: memref<4x2xi32>, %m: memref<8xi32>, %s: memref<9xi32>, %p: memref<4xi32>, %rows: index) {
  // expected-error @+1 {{starts has type 'memref<9xi32>', expected shape 5}}
  kernel.group_rows %e outs(%m, %s, %s, %p) rows %rows : memref<4x2xi32>, memref<8xi32>, memref<9xi32>, memref<9xi32>, memref<4xi32>
  return
}

// -----
func.func @sum_of_other_slots(%y: memref<8x16xf32>, %g: memref<4x3xf32>, %o: memref<4x16xf32>, %rows: index) {
  // expected-error @+1 {{y has type 'memref<8x16xf32>', expected shape 12x16}}
  kernel.combine_experts %y, %g outs(%o) rows %rows : memref<8x16xf32>, memref<4x3xf32>, memref<4x16xf32>
  return
}

// -----
func.func @halves_of_an_odd_row(%x: memref<4x33xf32>, %o: memref<4x16xf32>, %rows: index) {
  // expected-error @+1 {{x has type 'memref<4x33xf32>', expected shape 4x32}}
  kernel.gelu_mul_halves %x outs(%o) rows %rows : memref<4x33xf32>, memref<4x16xf32>
  return
}
