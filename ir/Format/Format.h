// Facts of every weight and KV-cache format: names, bits, grouping, bytes. Standard library only,
// so that planning, packing and emission read the same figures. Layouts are those of
// docs/decisions/0001 (P64 of the kernel note). Sizes are bytes; N = output rows, K = input
// columns.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace gcompile {

enum class WeightFormat : uint8_t {
  F32,
  BF16,
  F16,
  W8,
  W4,
  W2,
  W8G32,
  W4G32,
  W2G64,
  W4G128,
  Q4K,
  Q6K,
  NF4
};
enum class KvFormat : uint8_t { F32, F16, Kv8, Kv4 };

struct WeightFormatInfo {
  WeightFormat format;
  std::string_view name; // as on the command line and in plans
  unsigned bits;         // of one code
  // Values that share a scale along k; 0 = one scale per output row (channel-wise) or none (float).
  // Integer formats: activations have one scale for as many.
  unsigned group;
  bool isInteger;       // computed with int8 activations
  int codeOffset;       // stored code = w + codeOffset (8 for w4, 2 for w2, 0 for signed or float)
  int minCode, maxCode; // range of w; 0, 0 for float formats
  // Formats laid out in blocks: values that share the scales at the front of a block; then `group`
  // is that of activations, and a group may have small integer scales of its own (BlockLayout). 0
  // else.
  unsigned block = 0;
  // The grid of other quantizers: offered for tensors that lie on it already, or on request, never
  // as something to round to in a search.
  bool keptGridOnly = false;
};

std::span<const WeightFormatInfo> weightFormats();
const WeightFormatInfo &info(WeightFormat format);
std::optional<WeightFormat> parseWeightFormat(std::string_view name);
std::string_view name(WeightFormat format);
bool isKeptGridOnly(WeightFormat format);

constexpr int64_t panelRows = 64;
int64_t paddedRows(int64_t n); // multiple of 64
// A multiple of 64 for formats of codes (the integer ones and nf4), k otherwise.
int64_t paddedColumns(WeightFormat format, int64_t k);
int64_t panelBytes(WeightFormat format, int64_t k); // one panel of 64 rows
// Whole P64 blob: panels, then row scales, then w8's correction.
int64_t packedBytes(WeightFormat format, int64_t n, int64_t k);
int64_t scalesOffset(WeightFormat format, int64_t n,
                     int64_t k); // of f32 scale[Npad]; channel-wise integer formats
int64_t correctionOffset(WeightFormat format, int64_t n, int64_t k); // of i32 −128·Σ_k w [Npad]; w8

// One block of a panel of a format with blocks: f16 scales of the 64 rows (q4_k: then f16 minimum
// scales), then its groups of 32 columns: codes, then one byte a row and sub-group of small scales
// (q4_k: then as many small minima). The last block of a row may have fewer groups.
struct BlockLayout {
  int64_t headBytes, groupBytes;
  int64_t codeBytes;       // of a group, before its small scales
  int64_t subScaleColumns; // columns that share a small scale; 0: none
  bool hasMinima;          // value = code · scale − minimum
};
BlockLayout blockLayout(WeightFormat format);

// nf4: value = nf4Table[code] · scale.
extern const float nf4Table[16];

// Row tables (PLE): formats f32 bf16 w8 w4 w2.
bool isRowTableFormat(WeightFormat format);
int64_t rowTableSliceBytes(WeightFormat format,
                           int64_t columns); // codes or values of one slice, padded to 64 values
int64_t rowTableRowBytes(WeightFormat format, int64_t columns,
                         int64_t slices); // with scales, rounded up to 16

// KV caches.
std::optional<KvFormat> parseKvFormat(std::string_view name); // f32 f16 kv8 kv4
std::string_view name(KvFormat format);
bool hasScales(KvFormat format); // codes, and a scale for each row and head

// Byte offsets inside one layer's cache blob (docs/decisions/0001). `capacity` is a multiple of 64.
struct KvLayout {
  int64_t headDataBytesK, headDataBytesV; // one head
  int64_t dataK, scalesK, dataV, scalesV; // scales: −1 when the format has none
  int64_t bytes;                          // whole blob
};
KvLayout kvLayout(KvFormat k, KvFormat v, int64_t heads, int64_t headDim, int64_t capacity);

} // namespace gcompile
