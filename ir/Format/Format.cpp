// Closed forms of docs/decisions/0001: every size is a product of padded dimensions and bits per
// code, so that planners may price a format without packing anything.
#include "ir/Format/Format.h"
#include "ir/Format/Stack.h"

#include <array>

namespace gcompile {
namespace {

constexpr std::array<WeightFormatInfo, 13> weightFormatTable = {{
    {WeightFormat::F32, "f32", 32, 0, false, 0, 0, 0},
    {WeightFormat::BF16, "bf16", 16, 0, false, 0, 0, 0},
    {WeightFormat::F16, "f16", 16, 0, false, 0, 0, 0},
    {WeightFormat::W8, "w8", 8, 0, true, 0, -127, 127},
    {WeightFormat::W4, "w4", 4, 0, true, 8, -8, 7},
    {WeightFormat::W2, "w2", 2, 0, true, 2, -2, 1},
    {WeightFormat::W8G32, "w8g32", 8, 32, true, 0, -127, 127},
    {WeightFormat::W4G32, "w4g32", 4, 32, true, 8, -8, 7},
    {WeightFormat::W2G64, "w2g64", 2, 64, true, 2, -2, 1},
    {WeightFormat::W4G128, "w4g128", 4, 32, true, 8, -8, 7, 128, true},
    {WeightFormat::Q4K, "q4_k", 4, 32, true, 0, 0, 15, 256, true},
    {WeightFormat::Q6K, "q6_k", 6, 32, true, 32, -32, 31, 256, true},
    {WeightFormat::NF4, "nf4", 4, 64, false, 0, 0, 15, 0, true},
}};

constexpr bool tableIsInEnumOrder() {
  for (size_t i = 0; i < weightFormatTable.size(); ++i)
    if (static_cast<size_t>(weightFormatTable[i].format) != i)
      return false;
  return true;
}
static_assert(tableIsInEnumOrder());

constexpr std::array<std::string_view, 4> kvFormatNames = {"f32", "f16", "kv8", "kv4"};

constexpr int64_t roundUp(int64_t value, int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

bool isChannelWise(const WeightFormatInfo &format) { return format.isInteger && format.group == 0; }

unsigned bits(KvFormat format) {
  switch (format) {
  case KvFormat::F32:
    return 32;
  case KvFormat::F16:
    return 16;
  case KvFormat::Kv8:
    return 8;
  case KvFormat::Kv4:
    return 4;
  }
  return 0;
}

} // namespace

bool hasScales(KvFormat format) { return format == KvFormat::Kv8 || format == KvFormat::Kv4; }

std::span<const WeightFormatInfo> weightFormats() { return weightFormatTable; }

const WeightFormatInfo &info(WeightFormat format) {
  return weightFormatTable[static_cast<size_t>(format)];
}

std::optional<WeightFormat> parseWeightFormat(std::string_view name) {
  for (const WeightFormatInfo &format : weightFormatTable)
    if (format.name == name)
      return format.format;
  return std::nullopt;
}

std::string_view name(WeightFormat format) { return info(format).name; }

bool isKeptGridOnly(WeightFormat format) { return info(format).keptGridOnly; }

int64_t paddedRows(int64_t n) { return roundUp(n, panelRows); }

int64_t paddedColumns(WeightFormat format, int64_t k) {
  return info(format).bits < 16 ? roundUp(k, 64) : k;
}

BlockLayout blockLayout(WeightFormat format) {
  const WeightFormatInfo &facts = info(format);
  constexpr int64_t f16Scales = 2 * panelRows;
  int64_t codes = facts.group * panelRows * facts.bits / 8;
  switch (format) {
  case WeightFormat::Q4K:
    return {2 * f16Scales, codes + 2 * panelRows, codes, 32, true};
  case WeightFormat::Q6K:
    return {f16Scales, codes + 2 * panelRows, codes, 16, false};
  default:
    return {f16Scales, codes, codes, 0, false};
  }
}

// Quantiles of a normal distribution, as bitsandbytes has them (formats.md 12).
// ReferenceDecode.cpp has the table once more, so that the reference shares nothing with what it
// checks.
const float nf4Table[16] = {-1.0f,
                            -0.6961928009986877f,
                            -0.5250730514526367f,
                            -0.39491748809814453f,
                            -0.28444138169288635f,
                            -0.18477343022823334f,
                            -0.09105003625154495f,
                            0.0f,
                            0.07958029955625534f,
                            0.16093020141124725f,
                            0.24611230194568634f,
                            0.33791524171829224f,
                            0.44070982933044434f,
                            0.5626170039176941f,
                            0.7229568362236023f,
                            1.0f};

int64_t panelBytes(WeightFormat format, int64_t k) {
  const WeightFormatInfo &facts = info(format);
  int64_t columns = paddedColumns(format, k);
  int64_t codes = columns * panelRows * facts.bits / 8;
  if (facts.group == 0)
    return codes;
  if (facts.block != 0) {
    BlockLayout layout = blockLayout(format);
    int64_t blocks = (columns + facts.block - 1) / facts.block;
    return blocks * layout.headBytes + columns / facts.group * layout.groupBytes;
  }
  int64_t scaleBytes = facts.isInteger ? 2 : 4; // f16, or f32 for nf4
  return codes + columns / facts.group * panelRows * scaleBytes;
}

int64_t scalesOffset(WeightFormat format, int64_t n, int64_t k) {
  return paddedRows(n) / panelRows * panelBytes(format, k);
}

int64_t correctionOffset(WeightFormat format, int64_t n, int64_t k) {
  return scalesOffset(format, n, k) + 4 * paddedRows(n);
}

int64_t packedBytes(WeightFormat format, int64_t n, int64_t k) {
  if (format == WeightFormat::W8)
    return correctionOffset(format, n, k) + 4 * paddedRows(n);
  if (isChannelWise(info(format)))
    return scalesOffset(format, n, k) + 4 * paddedRows(n);
  return scalesOffset(format, n, k);
}

int64_t stackedStride(WeightFormat format, int64_t n, int64_t k) {
  constexpr int64_t alignment = 128; // of tensors
  return (packedBytes(format, n, k) + alignment - 1) / alignment * alignment;
}

int64_t stackedBytes(WeightFormat format, int64_t matrices, int64_t n, int64_t k) {
  return (matrices - 1) * stackedStride(format, n, k) + packedBytes(format, n, k);
}

int64_t expertBlockPart(WeightFormat format, int64_t n, int64_t k) {
  int64_t bytes = packedBytes(format, n, k);
  return (bytes + expertBlockAlignment - 1) / expertBlockAlignment * expertBlockAlignment;
}

ExpertBlock expertBlock(WeightFormat gateUp, WeightFormat down, int64_t hidden,
                        int64_t intermediate) {
  int64_t downOffset = expertBlockPart(gateUp, 2 * intermediate, hidden);
  return {downOffset, downOffset + expertBlockPart(down, hidden, intermediate)};
}

bool isRowTableFormat(WeightFormat format) {
  switch (format) {
  case WeightFormat::F32:
  case WeightFormat::BF16:
  case WeightFormat::W8:
  case WeightFormat::W4:
  case WeightFormat::W2:
    return true;
  default:
    return false;
  }
}

int64_t rowTableSliceBytes(WeightFormat format, int64_t columns) {
  return roundUp(columns, 64) * info(format).bits / 8;
}

int64_t rowTableRowBytes(WeightFormat format, int64_t columns, int64_t slices) {
  int64_t scaleBytes = info(format).isInteger ? 4 * slices : 0;
  return roundUp(slices * rowTableSliceBytes(format, columns) + scaleBytes, 16);
}

std::optional<KvFormat> parseKvFormat(std::string_view name) {
  for (size_t i = 0; i < kvFormatNames.size(); ++i)
    if (kvFormatNames[i] == name)
      return static_cast<KvFormat>(i);
  return std::nullopt;
}

std::string_view name(KvFormat format) { return kvFormatNames[static_cast<size_t>(format)]; }

KvLayout kvLayout(KvFormat k, KvFormat v, int64_t heads, int64_t headDim, int64_t capacity) {
  KvLayout layout;
  layout.headDataBytesK = capacity * roundUp(headDim, 16) * bits(k) / 8;
  // A V4 block holds 32 dims: nibbles of dims d and d + 16 share a byte.
  int64_t dimsV = roundUp(headDim, v == KvFormat::Kv4 ? 32 : 16);
  layout.headDataBytesV = capacity * dimsV * bits(v) / 8;

  int64_t end = 0;
  auto place = [&end](int64_t bytes) {
    int64_t offset = end;
    end = roundUp(offset + bytes, 64);
    return offset;
  };
  int64_t scaleBytes = heads * capacity * 4;
  layout.dataK = place(heads * layout.headDataBytesK);
  layout.scalesK = hasScales(k) ? place(scaleBytes) : -1;
  layout.dataV = place(heads * layout.headDataBytesV);
  layout.scalesV = hasScales(v) ? place(scaleBytes) : -1;
  layout.bytes = end;
  return layout;
}

} // namespace gcompile
