// RUN: gcompile-opt %s --gemma-share-kv-caches --split-input-file --verify-diagnostics | FileCheck %s

// CHECK: gemma.kv_cache @kv0
// CHECK-NOT: gemma.kv_cache @kv1
gemma.kv_cache @kv0 {layer = 0, heads = 1, head_dim = 16, window = 8}
gemma.kv_cache @kv1 {layer = 1, heads = 1, head_dim = 16, window = 8, donor = @kv0}

// CHECK-LABEL: func.func @reader
func.func @reader(%q: tensor<?x64xf32>) -> tensor<?x64xf32> {
  // CHECK: gemma.attention %{{.*}}, @kv0
  %a = gemma.attention %q, @kv1 {heads = 4} : tensor<?x64xf32>
  return %a : tensor<?x64xf32>
}

// -----

gemma.kv_cache @kv0 {layer = 0, heads = 1, head_dim = 16, window = 8}
// expected-error @+1 {{differs from its donor @kv0 in heads, head size, window or derived keys}}
gemma.kv_cache @kv1 {layer = 1, heads = 1, head_dim = 16, window = 0, donor = @kv0}

// -----

// expected-error @+1 {{names donor @kv1, which is no cache of an owning layer}}
gemma.kv_cache @kv0 {layer = 0, heads = 1, head_dim = 16, window = 8, donor = @kv1}
gemma.kv_cache @kv1 {layer = 1, heads = 1, head_dim = 16, window = 8, donor = @kv0}
