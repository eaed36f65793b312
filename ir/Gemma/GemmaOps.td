// Operations of the gemma dialect. T = rows (tokens) of a program, a dynamic dimension.
#ifndef GCOMPILE_IR_GEMMA_OPS
#define GCOMPILE_IR_GEMMA_OPS

include "ir/Gemma/GemmaDialect.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def Gemma_Activations : 2DTensorOf<[F32]>; // T×N
def Gemma_Tokens : 1DTensorOf<[I32]>;      // T
def Gemma_Spans : 2DTensorOf<[I32]>;       // T×2

class Gemma_Op<string mnemonic, list<Trait> traits = []> : Op<Gemma_Dialect, mnemonic, traits>;
defvar UsesSymbols = DeclareOpInterfaceMethods<SymbolUserOpInterface>;

// Symbols.

def Gemma_WeightOp : Gemma_Op<"weight", [Symbol]> {
  let summary = "a weight by reference";
  let description = [{
    Rows [`first_row`, `first_row` + rows) of the checkpoint tensor `source` (canonical name), of shape `type`; or, for role `rope_frequencies`, values computed
    from `theta` and `pairs`; or, for role `activation_scale` (made by gemma-to-kernel), one `value`. `layer` is −1 for weights that belong to none. `modality` is `text`, `vision` or `audio`. A row of a per-layer table has
    `slices` pieces of equal width, each with a scale of its own. Experts are `matrices` of equal shape in one tensor, each packed as a matrix of its own. Decisions, absent until planned: `format` (`f32` for vectors), and for the
    per-layer table `placement` (`memory`, or `storage` with a cache of `cache_rows` rows). Stacks of experts have a `placement` too (docs/decisions/0012): on `storage` a cache of `cache_slots` slots holds
    blocks of `block_bytes`, in each of which this stack's matrix begins at `block_offset`. With `input_scale` s (docs/decisions/0011) a linear of this weight multiplies
    clamp(round_half_even(x / s), −128, 127) · s for x, and with `output_scale` its result is rounded likewise.
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, StrAttr:$source, I64Attr:$first_row, TypeAttrOf<AnyRankedTensor>:$type,
      StrAttr:$role, I64Attr:$layer, StrAttr:$modality, DefaultValuedAttr<I64Attr, "1">:$slices, DefaultValuedAttr<I64Attr, "1">:$matrices, OptionalAttr<StrAttr>:$format,
      OptionalAttr<StrAttr>:$placement, OptionalAttr<I64Attr>:$cache_rows, OptionalAttr<I64Attr>:$cache_slots, OptionalAttr<I64Attr>:$block_bytes, OptionalAttr<I64Attr>:$block_offset, OptionalAttr<F64Attr>:$theta, OptionalAttr<I64Attr>:$pairs,
      OptionalAttr<F32Attr>:$input_scale, OptionalAttr<F32Attr>:$output_scale, OptionalAttr<F32Attr>:$value);
  let assemblyFormat = "$sym_name `from` $source `rows` $first_row `:` $type attr-dict";
  let hasVerifier = 1;
}

def Gemma_KvCacheOp : Gemma_Op<"kv_cache", [Symbol]> {
  let summary = "the K and V of one layer";
  let description = [{
    `window` is the number of positions that attention may see (0: all). `donor` names the cache of the layer whose keys and values this layer reads; such a cache is an
    alias and takes no memory (gemma-share-kv-caches resolves it). `k_format`, `v_format` and `capacity` (slots, a multiple of 64) are decisions.
    With `derived_keys` only V is stored (docs/decisions/0007): its `k_format` is `derived`, whoever attends forms K = rope(V ⊙ key norm), and as the slot then has to tell the
    position, there is no `window`.
    With `key_scale` s (docs/decisions/0011), whatever is written to the cache has that scale: its codes are clamp(round_half_even(k / s)) to the range of `k_format`, which has codes; so has
    `v_format` with `value_scale`. Derived keys have no scale of their own.
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, I64Attr:$layer, I64Attr:$heads, I64Attr:$head_dim, I64Attr:$window,
      OptionalAttr<FlatSymbolRefAttr>:$donor, OptionalAttr<StrAttr>:$k_format, OptionalAttr<StrAttr>:$v_format, OptionalAttr<I64Attr>:$capacity,
      UnitAttr:$derived_keys, OptionalAttr<F32Attr>:$key_scale, OptionalAttr<F32Attr>:$value_scale);
  let assemblyFormat = "$sym_name attr-dict";
  let hasVerifier = 1;
}

// Values.

def Gemma_EmbedOp : Gemma_Op<"embed", [Pure, UsesSymbols]> {
  let summary = "rows of a table, scaled";
  let description = [{ out[t] = scale · table[tokens[t]], columns [slice · N, (slice + 1) · N) of the table's row. }];
  let arguments = (ins Gemma_Tokens:$tokens, FlatSymbolRefAttr:$table, I64Attr:$slice, F32Attr:$scale);
  let results = (outs Gemma_Activations:$result);
  let assemblyFormat = "$tokens `,` $table attr-dict `:` type($tokens) `->` type($result)";
}

def Gemma_LinearOp : Gemma_Op<"linear", [Pure, UsesSymbols]> {
  let summary = "x · Wᵀ";
  let description = [{ x is T×K, the weight N×K, the result T×N. }];
  let arguments = (ins Gemma_Activations:$x, FlatSymbolRefAttr:$weight);
  let results = (outs Gemma_Activations:$result);
  let assemblyFormat = "$x `,` $weight attr-dict `:` type($x) `->` type($result)";
}

def Gemma_ExpertsOp : Gemma_Op<"experts", [Pure, UsesSymbols]> {
  let summary = "the feed-forward part of the chosen experts";
  let description = [{
    P = softmax(router_scale · router) over E experts; the `top_k` largest are chosen, their weights g normalised to sum 1 and multiplied by `expert_scale`[e] afterwards;
    out = Σ g_e · W_down,e · (gelu(G_e) ⊙ U_e) with [G_e; U_e] = W_gate_up,e · x. x is T×d, router T×E; `gate_up` stacks E `matrices` of 2F×d (gate rows first), `down` E of d×F. On equal P the lower expert wins.
  }];
  let arguments = (ins Gemma_Activations:$x, Gemma_Activations:$router, FlatSymbolRefAttr:$gate_up, FlatSymbolRefAttr:$down, FlatSymbolRefAttr:$expert_scale,
      I64Attr:$top_k, F32Attr:$router_scale);
  let results = (outs Gemma_Activations:$result);
  let assemblyFormat = "$x `,` $router `,` $gate_up `,` $down `,` $expert_scale attr-dict `:` type($x) `,` type($router) `->` type($result)";
}

def Gemma_RmsNormOp : Gemma_Op<"rms_norm", [Pure, SameOperandsAndResultType, UsesSymbols]> {
  let summary = "root-mean-square norm of `groups` pieces of each row";
  let description = [{ z = input_scale · x; out = z · (mean(z²) + epsilon)^(−1/2) ⊙ weight; no learned weight when `weight` is absent. }];
  let arguments = (ins Gemma_Activations:$x, OptionalAttr<FlatSymbolRefAttr>:$weight, I64Attr:$groups, F32Attr:$epsilon, F32Attr:$input_scale);
  let results = (outs Gemma_Activations:$result);
  let assemblyFormat = "$x (`weight` $weight^)? attr-dict `:` type($x)";
}

def Gemma_RopeOp : Gemma_Op<"rope", [Pure, SameOperandsAndResultType, UsesSymbols]> {
  let summary = "rotary position embedding of `groups` heads, half-split pairs";
  let description = [{ The position of row t is the program's position + t. `frequencies` is a weight of D/2 values. }];
  let arguments = (ins Gemma_Activations:$x, FlatSymbolRefAttr:$frequencies, I64Attr:$groups);
  let results = (outs Gemma_Activations:$result);
  let assemblyFormat = "$x `,` $frequencies attr-dict `:` type($x)";
}

def Gemma_AppendKvOp : Gemma_Op<"append_kv", [MemoryEffects<[MemWrite]>, UsesSymbols]> {
  let summary = "write the keys and values of these rows into a cache";
  let description = [{ k (normed, rotated) and v (normed) are T×(heads · head_dim); a cache with `derived_keys` takes v alone. }];
  let arguments = (ins Optional<Gemma_Activations>:$k, Gemma_Activations:$v, FlatSymbolRefAttr:$cache);
  let assemblyFormat = "custom<Rows>($k, $v) $cache attr-dict `:` custom<RowTypes>(type($k), type($v))";
}

def Gemma_AttentionOp : Gemma_Op<"attention", [MemoryEffects<[MemRead]>, AllTypesMatch<["q", "result"]>, UsesSymbols]> {
  let summary = "causal softmax attention over a cache";
  let description = [{ Score scale 1; query head j reads kv head ⌊j · kv_heads / heads⌋; the cache's window applies. Reads what append_kv wrote before it, its own rows included.
    Over a cache with `derived_keys`, k of position p is rope_p(v ⊙ `key_norm`) with these `frequencies`; both are named exactly then.
    With `spans` (docs/decisions/0016) a row also sees the rows behind it that lie in its image: positions up to spans[t][1], and with `whole_spans` those from spans[t][0] on that the window would hide. }];
  let arguments = (ins Gemma_Activations:$q, Optional<Gemma_Spans>:$spans, UnitAttr:$whole_spans, FlatSymbolRefAttr:$cache, I64Attr:$heads, OptionalAttr<FlatSymbolRefAttr>:$key_norm,
      OptionalAttr<FlatSymbolRefAttr>:$frequencies);
  let results = (outs Gemma_Activations:$result);
  let assemblyFormat = "$q `,` $cache (`spans` $spans^ `:` type($spans))? attr-dict `:` type($q)";
  let hasVerifier = 1;
}

def Gemma_GatedGeluOp : Gemma_Op<"gated_gelu", [Pure, SameOperandsAndResultType]> {
  let summary = "gelu(gate) ⊙ up, tanh form";
  let description = [{ Element by element. }];
  let arguments = (ins Gemma_Activations:$gate, Gemma_Activations:$up);
  let results = (outs Gemma_Activations:$result);
  let assemblyFormat = "$gate `,` $up attr-dict `:` type($gate)";
}

def Gemma_AddOp : Gemma_Op<"add", [Pure, SameOperandsAndResultType, UsesSymbols]> {
  let summary = "(a + b) · scale · factor";
  let description = [{ Residual sums; `factor` names a learned scalar (layer_scalar) or is absent. }];
  let arguments = (ins Gemma_Activations:$a, Gemma_Activations:$b, OptionalAttr<FlatSymbolRefAttr>:$factor, F32Attr:$scale);
  let results = (outs Gemma_Activations:$result);
  let assemblyFormat = "$a `,` $b (`factor` $factor^)? attr-dict `:` type($a)";
}

def Gemma_SoftCapOp : Gemma_Op<"soft_cap", [Pure, SameOperandsAndResultType]> {
  let summary = "cap · tanh(x / cap)";
  let description = [{ Of the logits. }];
  let arguments = (ins Gemma_Activations:$x, F32Attr:$cap);
  let results = (outs Gemma_Activations:$result);
  let assemblyFormat = "$x attr-dict `:` type($x)";
}

#endif
