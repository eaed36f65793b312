// Operations of the kernel dialect. Shapes: M = capacity in rows of activations (static), of which the first `rows` are active.
#ifndef GCOMPILE_IR_KERNEL_OPS
#define GCOMPILE_IR_KERNEL_OPS

include "ir/Kernel/KernelDialect.td"
include "mlir/Interfaces/DestinationStyleOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"
include "mlir/IR/SymbolInterfaces.td"

def Kernel_F32Buffer : AnyTypeOf<[RankedTensorOf<[F32]>, MemRefOf<[F32]>]>;
def Kernel_I8Buffer : AnyTypeOf<[RankedTensorOf<[I8]>, MemRefOf<[I8]>]>;
def Kernel_I32Buffer : AnyTypeOf<[RankedTensorOf<[I32]>, MemRefOf<[I32]>]>;
def Kernel_Packed : MemRefRankOf<[I8], [1]>;
def Kernel_F32Vector : MemRefRankOf<[F32], [1]>;

// A kernel: inputs, destinations (`outs`), results tied to the destinations when these are tensors.
class Kernel_ComputeOp<string mnemonic, list<Trait> traits = []> : Op<Kernel_Dialect, mnemonic, traits # [
    DestinationStyleOpInterface, DeclareOpInterfaceMethods<MemoryEffectsOpInterface>]> {
  let hasVerifier = 1;
  code extraBase = [{
    ::mlir::MutableOperandRange getDpsInitsMutable() { return getOutsMutable(); }
  }];
  let extraClassDeclaration = extraBase;
}

def Kernel_GatherRowsOp : Kernel_ComputeOp<"gather_rows"> {
  let summary = "decode rows of a table by index";
  let description = [{
    `out[m, c] = scale · table[indices[m], c]`. `layout = "packed"`: the table is a P64 blob of `table_rows` × `columns` (a tied embedding; `slice` is 0 and `slices` 1).
    `layout = "row"`: a row table of `slices` slices of `columns` values (PLE), of which `slice` is read. Task: one row.
  }];
  let arguments = (ins Kernel_I32Buffer:$indices, Kernel_Packed:$table, Kernel_F32Buffer:$outs, Index:$rows,
      StrAttr:$format, StrAttr:$layout, I64Attr:$table_rows, I64Attr:$columns, I64Attr:$slice, I64Attr:$slices, F32Attr:$scale);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let assemblyFormat = "$indices `,` $table `outs` `(` $outs `)` `rows` $rows attr-dict `:` type($indices) `,` type($table) `,` type($outs) (`->` type($results)^)?";
}

def Kernel_QuantizeRowsOp : Kernel_ComputeOp<"quantize_rows"> {
  let summary = "activations to int8 codes with scales and sums";
  let description = [{
    `x` M×K → `codes` M×Kpad, `scales` M×G (f32), `sums` M×G (i32 sum of codes), where G = 1 for `group` 0 (whole row), else Kpad / group.
    scale = absmax / 127, code = round_half_even(x / scale) in −127…127; scale 0 and codes 0 for a zero group. Padding codes are 0. Task: one row.
    With `scale` (static activations, docs/decisions/0011): every group has scale[0] > 0, and code = clamp(round_half_even(x / scale[0]), −128, 127).
  }];
  let arguments = (ins Kernel_F32Buffer:$x, Optional<Kernel_F32Vector>:$scale, Kernel_I8Buffer:$codes, Kernel_F32Buffer:$scales, Kernel_I32Buffer:$sums, Index:$rows, I64Attr:$group);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let assemblyFormat = [{$x (`scale` $scale^ `:` type($scale))? `outs` `(` $codes `,` $scales `,` $sums `)` `rows` $rows attr-dict `:` type($x) `,` type($codes) `,` type($scales) `,` type($sums)
    (`->` type($results)^)?}];
  let extraClassDeclaration = [{
    ::mlir::MutableOperandRange getDpsInitsMutable() { return ::mlir::MutableOperandRange(getOperation(), getScale() ? 2 : 1, 3); }
  }];
}

def Kernel_RoundRowsOp : Kernel_ComputeOp<"round_rows"> {
  let summary = "activations to the nearest int8 code of a given scale, as floats";
  let description = [{ clamp(round_half_even(x / scale[0]), −128, 127) · scale[0], element by element, M×N. Task: ir/Kernel/Tasks.h. }];
  let arguments = (ins Kernel_F32Buffer:$x, Kernel_F32Vector:$scale, Kernel_F32Buffer:$outs, Index:$rows);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let assemblyFormat = "$x `scale` $scale `:` type($scale) `outs` `(` $outs `)` `rows` $rows attr-dict `:` type($x) `,` type($outs) (`->` type($results)^)?";
}

def Kernel_MatmulFloatOp : Kernel_ComputeOp<"matmul_float", [AttrSizedOperandSegments]> {
  let summary = "y = x · Wᵀ with float weights";
  let description = [{
    `x` M×K f32, `weights` P64 blob of N×K in a float `format` (f32, bf16, f16), `outs` M×N. The sum over k is sequential in f32 with fused multiply-add
    for every row count and instruction set. Task: one panel of 64 output rows.
    With `groups` (members, starts, chosen of kernel.group_rows over slots), `weights` are `matrices` such blobs, each at a multiple of 128 bytes, and `outs` has a row for each slot:
    out[s] = x[⌊s / share⌋] · Wᵀ of s's group, where share = rows of `outs` / rows of `x`. A group has at most `group_rows` members. Task: group · panels + panel.
    With a `stride` the matrices lie that many bytes apart in slots of a cache (docs/decisions/0012), and the third list says which slot: kernel.fetch_experts makes it.
    With `rounding` each output is stored as kernel.round_rows makes it with that scale.
  }];
  let arguments = (ins Kernel_F32Buffer:$x, Kernel_Packed:$weights, Variadic<Kernel_I32Buffer>:$groups, Optional<Kernel_F32Vector>:$rounding, Kernel_F32Buffer:$outs, Index:$rows, StrAttr:$format,
      DefaultValuedAttr<I64Attr, "1">:$matrices, DefaultValuedAttr<I64Attr, "0">:$group_rows, DefaultValuedAttr<I64Attr, "0">:$stride);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let assemblyFormat = "$x `,` $weights (`groups` `(` $groups^ `:` type($groups) `)`)? (`rounding` $rounding^ `:` type($rounding))? `outs` `(` $outs `)` `rows` $rows attr-dict `:` type($x) `,` type($weights) `,` type($outs) (`->` type($results)^)?";
}

def Kernel_MatmulIntegerOp : Kernel_ComputeOp<"matmul_integer", [AttrSizedOperandSegments]> {
  let summary = "y = x · Wᵀ with integer weights and int8 activations";
  let description = [{
    `codes`, `scales`, `sums` as quantize_rows writes them for this format's group; `weights` P64 blob of N × `columns` in an integer `format`; `outs` M×N f32.
    Channel-wise: y = (Σ codes·w) · scale_m · scale_n, the sum exact in i32. Group-wise: groups are added in order in f32: y = fma(f32(Σ_g), scale_m,g · scale_n,g, y).
    Bit-equal on every instruction set. `groups`, `rounding`, `matrices`, `group_rows`, `stride` and tasks as for kernel.matmul_float. Codes are −128 only with `full_range`.
  }];
  let arguments = (ins Kernel_I8Buffer:$codes, Kernel_F32Buffer:$scales, Kernel_I32Buffer:$sums, Kernel_Packed:$weights, Variadic<Kernel_I32Buffer>:$groups,
      Optional<Kernel_F32Vector>:$rounding, Kernel_F32Buffer:$outs, Index:$rows, StrAttr:$format, I64Attr:$columns, DefaultValuedAttr<I64Attr, "1">:$matrices,
      DefaultValuedAttr<I64Attr, "0">:$group_rows, DefaultValuedAttr<I64Attr, "0">:$stride, UnitAttr:$full_range);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let assemblyFormat = [{$codes `,` $scales `,` $sums `,` $weights (`groups` `(` $groups^ `:` type($groups) `)`)? (`rounding` $rounding^ `:` type($rounding))? `outs` `(` $outs `)` `rows` $rows attr-dict
    `:` type($codes) `,` type($scales) `,` type($sums) `,` type($weights) `,` type($outs) (`->` type($results)^)?}];
}

def Kernel_RmsNormOp : Kernel_ComputeOp<"rms_norm"> {
  let summary = "root-mean-square norm of `groups` pieces of each row";
  let description = [{
    With z = input_scale · x: out = z · (mean(z²) + epsilon)^(−1/2) ⊙ weight over each of `groups` equal pieces of a row; `weight` has the length of one piece and may be absent.
    Sums: 16 partial sums (lane i takes elements ≡ i mod 16), then a fixed tree. Task: one row.
  }];
  let arguments = (ins Kernel_F32Buffer:$x, Optional<Kernel_F32Vector>:$weight, Kernel_F32Buffer:$outs, Index:$rows, I64Attr:$groups, F32Attr:$epsilon, F32Attr:$input_scale);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let assemblyFormat = "$x (`weight` $weight^ `:` type($weight))? `outs` `(` $outs `)` `rows` $rows attr-dict `:` type($x) `,` type($outs) (`->` type($results)^)?";
}

def Kernel_RopeTableOp : Kernel_ComputeOp<"rope_table"> {
  let summary = "cosines and sines of rotary positions";
  let description = [{
    angle[m, i] = f32(position + m) · frequencies[i] rounded to f32 (as the reference does), then cos and sin of that angle to f32 accuracy for positions up to 2^18. Outputs M×P of the first P frequencies
    (P = D/2; fewer where only these rotate). Task: one row.
  }];
  let arguments = (ins Kernel_F32Vector:$frequencies, Kernel_F32Buffer:$cosines, Kernel_F32Buffer:$sines, Index:$rows, Index:$position);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let assemblyFormat = [{$frequencies `outs` `(` $cosines `,` $sines `)` `rows` $rows `position` $position attr-dict
    `:` type($frequencies) `,` type($cosines) `,` type($sines) (`->` type($results)^)?}];
  let extraClassDeclaration = [{
    ::mlir::MutableOperandRange getDpsInitsMutable() { return ::mlir::MutableOperandRange(getOperation(), 1, 2); }
  }];
}

def Kernel_RopeOp : Kernel_ComputeOp<"rope"> {
  let summary = "rotary embedding of `groups` heads of each row";
  let description = [{
    Half-split pairs (i, i + D/2): out_i = x_i cos_i − x_{i+D/2} sin_i, out_{i+D/2} = x_{i+D/2} cos_i + x_i sin_i. Task: one row.
  }];
  let arguments = (ins Kernel_F32Buffer:$x, Kernel_F32Buffer:$cosines, Kernel_F32Buffer:$sines, Kernel_F32Buffer:$outs, Index:$rows, I64Attr:$groups);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let assemblyFormat = [{$x `,` $cosines `,` $sines `outs` `(` $outs `)` `rows` $rows attr-dict `:` type($x) `,` type($cosines) `,` type($sines) `,` type($outs) (`->` type($results)^)?}];
}

def Kernel_AppendKvOp : Op<Kernel_Dialect, "append_kv", [AttrSizedOperandSegments, DeclareOpInterfaceMethods<MemoryEffectsOpInterface>]> {
  let summary = "write K and V rows into a cache";
  let description = [{
    Row m goes to slot (position + m) mod `capacity`, in the layout and quantization of `k_format` and `v_format` (docs/decisions/0001). `k`, `v`: M×(heads·head_dim) f32. Of a cache
    whose `k_format` is `derived`, there is no `k`. Task: ir/Kernel/Tasks.h.
    A format with codes of b bits has for each row and head scale = absmax / (2^(b−1) − 1), codes within ± that; or, with `key_scale` or `value_scale` (docs/decisions/0011), that scale[0] > 0,
    and codes clamp(round_half_even(x / scale[0]), −2^(b−1), 2^(b−1) − 1).
  }];
  let arguments = (ins Optional<Kernel_F32Buffer>:$k, Kernel_F32Buffer:$v, Kernel_Packed:$cache, Optional<Kernel_F32Vector>:$key_scale, Optional<Kernel_F32Vector>:$value_scale, Index:$rows, Index:$position,
      StrAttr:$k_format, StrAttr:$v_format, I64Attr:$heads, I64Attr:$head_dim, I64Attr:$capacity);
  let assemblyFormat = [{custom<Rows>($k, $v) `into` $cache (`key_scale` $key_scale^ `:` type($key_scale))? (`value_scale` $value_scale^ `:` type($value_scale))? `rows` $rows `position` $position attr-dict
    `:` custom<RowTypes>(type($k), type($v), type($cache))}];
  let hasVerifier = 1;
}

def Kernel_AttendOp : Kernel_ComputeOp<"attend", [AttrSizedOperandSegments]> {
  let summary = "softmax attention of query rows over a cache";
  let description = [{
    For row m at position p = position + m and query head h (kv head ⌊h · kv_heads / heads⌋): out = Σ_j softmax_j(q·k_j) v_j over cached positions j ≤ p, and j > p − window when window > 0; score scale 1.
    The cache holds positions up to position + rows − 1; slot s of the ring holds the largest such position ≡ s mod capacity. Scores, softmax and sums in f32, blocks of 64 slots in
    slot order with a running maximum. `q`, `outs`: M×(heads·head_dim). Task: row · groups + group of query heads (ir/Kernel/Tasks.h).
    With `k_format` `derived`, `keys` are a norm weight (head_dim), and cosines and sines (capacity×P, row = position) of the first P pairs (the others do not rotate); then
    k_j = rope_j(v_j ⊙ norm weight) of v_j as the cache gives it, window is 0, and no slot is written twice: position + rows ≤ capacity.
    With `spans` (M×2, absolute positions with first ≤ p ≤ last, inside this call's rows), j ≤ p becomes j ≤ spans[m][1], and with `whole_spans` the window ends no later than spans[m][0]: j > min(p − window, spans[m][0] − 1).
  }];
  let arguments = (ins Kernel_F32Buffer:$q, Kernel_Packed:$cache, Variadic<Kernel_F32Buffer>:$keys, Optional<Kernel_I32Buffer>:$spans, Kernel_F32Buffer:$outs, Index:$rows, Index:$position,
      StrAttr:$k_format, StrAttr:$v_format, I64Attr:$heads, I64Attr:$kv_heads, I64Attr:$head_dim, I64Attr:$capacity, I64Attr:$window, UnitAttr:$whole_spans);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let assemblyFormat = "$q `,` $cache (`keys` `(` $keys^ `:` type($keys) `)`)? (`spans` $spans^ `:` type($spans))? `outs` `(` $outs `)` `rows` $rows `position` $position attr-dict `:` type($q) `,` type($cache) `,` type($outs) (`->` type($results)^)?";
}

def Kernel_GeluMulOp : Kernel_ComputeOp<"gelu_mul"> {
  let summary = "gelu(gate) ⊙ up, tanh form";
  let description = [{ 0.5·x·(1 + tanh(√(2/π)(x + 0.044715 x³))) of `gate`, times `up`. All M×N. Task: one row. }];
  let arguments = (ins Kernel_F32Buffer:$gate, Kernel_F32Buffer:$up, Kernel_F32Buffer:$outs, Index:$rows);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let assemblyFormat = "$gate `,` $up `outs` `(` $outs `)` `rows` $rows attr-dict `:` type($gate) `,` type($up) `,` type($outs) (`->` type($results)^)?";
}

def Kernel_GeluMulHalvesOp : Kernel_ComputeOp<"gelu_mul_halves"> {
  let summary = "gelu(first half) ⊙ second half of each row";
  let description = [{ As gelu_mul, with the gate in the columns [0, N) and `up` in [N, 2N) of `x` (M×2N). Task: ir/Kernel/Tasks.h. }];
  let arguments = (ins Kernel_F32Buffer:$x, Kernel_F32Buffer:$outs, Index:$rows);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let assemblyFormat = "$x `outs` `(` $outs `)` `rows` $rows attr-dict `:` type($x) `,` type($outs) (`->` type($results)^)?";
}

// Experts (docs/decisions/0008). A slot is a row and a rank among its k chosen experts: row · k + rank.

def Kernel_ChooseExpertsOp : Kernel_ComputeOp<"choose_experts"> {
  let summary = "the experts of each row and their weights";
  let description = [{
    l = scale · `router`[m] (f32, M×E). `experts`[m, j] (M×k) is the expert of rank j: the k largest l, equal ones by lower number; what is not a number orders by its bits, so the k experts
    always differ. `gates`[m, j] = exp(l_j − l_0) / Σ_i exp(l_i − l_0) · `expert_scale`[expert], the sum in order of rank. Task: one row.
  }];
  let arguments = (ins Kernel_F32Buffer:$router, Kernel_F32Vector:$expert_scale, Kernel_I32Buffer:$experts, Kernel_F32Buffer:$gates, Index:$rows, F32Attr:$scale);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let assemblyFormat = [{$router `,` $expert_scale `outs` `(` $experts `,` $gates `)` `rows` $rows attr-dict
    `:` type($router) `,` type($expert_scale) `,` type($experts) `,` type($gates) (`->` type($results)^)?}];
  let extraClassDeclaration = [{
    ::mlir::MutableOperandRange getDpsInitsMutable() { return ::mlir::MutableOperandRange(getOperation(), 2, 2); }
  }];
}

def Kernel_GroupRowsOp : Kernel_ComputeOp<"group_rows"> {
  let summary = "slots by expert";
  let description = [{
    Of `experts` (M×k, numbers below E, distinct in a row): `members` (M·k) lists the slots of the active rows by expert, then by slot; group g holds members [`starts`[g], `starts`[g + 1]) and belongs to expert
    `chosen`[g]. Both have G + 1 entries, G = min(E, M·k); experts that nobody chose have no group, and groups that are left over are empty, of expert 0. `places` (E) is scratch. Task: all.
  }];
  let arguments = (ins Kernel_I32Buffer:$experts, Kernel_I32Buffer:$members, Kernel_I32Buffer:$starts, Kernel_I32Buffer:$chosen, Kernel_I32Buffer:$places, Index:$rows);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let assemblyFormat = [{$experts `outs` `(` $members `,` $starts `,` $chosen `,` $places `)` `rows` $rows attr-dict
    `:` type($experts) `,` type($members) `,` type($starts) `,` type($chosen) `,` type($places) (`->` type($results)^)?}];
  let extraClassDeclaration = [{
    ::mlir::MutableOperandRange getDpsInitsMutable() { return ::mlir::MutableOperandRange(getOperation(), 1, 4); }
  }];
}

def Kernel_FetchExpertsOp : Kernel_ComputeOp<"fetch_experts"> {
  let summary = "experts of a layer into slots of their cache";
  let description = [{
    The caller of the program makes the expert `chosen`[g] of `layer` resident for every group g that is not empty (`starts`, `chosen` as kernel.group_rows makes them) and writes its slot to `slots`[g]; 0 for the
    others. No kernel: a call of `gc_env.fetch_experts`.
  }];
  let arguments = (ins Kernel_I32Buffer:$starts, Kernel_I32Buffer:$chosen, Kernel_I32Buffer:$outs, I64Attr:$layer);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let assemblyFormat = "$starts `,` $chosen `outs` `(` $outs `)` `layer` $layer attr-dict `:` type($starts) `,` type($chosen) `,` type($outs) (`->` type($results)^)?";
}

def Kernel_CombineExpertsOp : Kernel_ComputeOp<"combine_experts"> {
  let summary = "weighted sum of the slots of each row";
  let description = [{ out[m] = Σ_j `gates`[m, j] · y[m · k + j], in order of rank, fused; y is (M·k)×N, `outs` M×N. Task: ir/Kernel/Tasks.h. }];
  let arguments = (ins Kernel_F32Buffer:$y, Kernel_F32Buffer:$gates, Kernel_F32Buffer:$outs, Index:$rows);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let assemblyFormat = "$y `,` $gates `outs` `(` $outs `)` `rows` $rows attr-dict `:` type($y) `,` type($gates) `,` type($outs) (`->` type($results)^)?";
}

def Kernel_AddOp : Kernel_ComputeOp<"add"> {
  let summary = "(a + b) · scale · factor[0]";
  let description = [{ Residual sums; `factor` is a learned scalar (layer_scalar), absent = 1. Order: (a + b) · scale, then · factor[0]. Task: one row. }];
  let arguments = (ins Kernel_F32Buffer:$a, Kernel_F32Buffer:$b, Optional<Kernel_F32Vector>:$factor, Kernel_F32Buffer:$outs, Index:$rows, F32Attr:$scale);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let assemblyFormat = "$a `,` $b (`factor` $factor^ `:` type($factor))? `outs` `(` $outs `)` `rows` $rows attr-dict `:` type($a) `,` type($b) `,` type($outs) (`->` type($results)^)?";
}

def Kernel_SoftCapOp : Kernel_ComputeOp<"soft_cap"> {
  let summary = "cap · tanh(x / cap)";
  let description = [{ Element by element, M×N. Task: one row. }];
  let arguments = (ins Kernel_F32Buffer:$x, Kernel_F32Buffer:$outs, Index:$rows, F32Attr:$cap);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let assemblyFormat = "$x `outs` `(` $outs `)` `rows` $rows attr-dict `:` type($x) `,` type($outs) (`->` type($results)^)?";
}

// Storage.

def Kernel_WeightOp : Op<Kernel_Dialect, "weight", [Pure]> {
  let summary = "the packed bytes, or the f32 values, of a weight";
  let description = [{ Names a weight of the module; memory planning turns it into a view of the weights section. }];
  let arguments = (ins FlatSymbolRefAttr:$symbol);
  let results = (outs AnyMemRef:$result);
  let assemblyFormat = "$symbol attr-dict `:` type($result)";
}

def Kernel_CacheOp : Op<Kernel_Dialect, "cache", [Pure]> {
  let summary = "the KV cache of an owning layer";
  let arguments = (ins FlatSymbolRefAttr:$symbol);
  let results = (outs Kernel_Packed:$result);
  let assemblyFormat = "$symbol attr-dict `:` type($result)";
  let description = [{ Names a cache of the module; memory planning turns it into a view of the cache memory. }];
}

def Kernel_ViewOp : Op<Kernel_Dialect, "view", [Pure]> {
  let summary = "memory at a fixed offset of one of the program's memories";
  let description = [{ What weights, caches and temporaries are after memory planning. `offset` in bytes, a multiple of 64. }];
  let arguments = (ins Kernel_SpaceAttr:$space, I64Attr:$offset);
  let results = (outs AnyMemRef:$result);
  let assemblyFormat = "$space $offset attr-dict `:` type($result)";
}

def Kernel_LaunchOp : Op<Kernel_Dialect, "launch"> {
  let summary = "run a kernel function over its tasks";
  let description = [{
    Calls `kernel` (a function of the operands, then begin and end task) over the tasks [0, tasks), in parallel unless `tasks` is known to be 1.
  }];
  let arguments = (ins FlatSymbolRefAttr:$kernel, Index:$tasks, Variadic<AnyType>:$operands_);
  let assemblyFormat = "$kernel `tasks` $tasks `(` $operands_ `)` attr-dict `:` type($operands_)";
}

#endif
