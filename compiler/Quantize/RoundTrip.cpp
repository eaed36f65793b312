#include "compiler/Quantize/RoundTrip.h"

#include "ir/Format/FloatConvert.h"
#include "ir/Format/Pack.h"

#include <vector>

namespace gcompile {

static float roundedTo(WeightFormat format, float value) {
  switch (format) {
  case WeightFormat::BF16:
    return floatFromBf16(bf16FromFloat(value));
  case WeightFormat::F16:
    return floatFromF16(f16FromFloat(value));
  default:
    return value;
  }
}

void roundTripRow(WeightFormat format, int64_t k, const float *row, float *out) {
  const WeightFormatInfo &facts = info(format);
  if (!facts.isInteger || facts.block) {
    if (facts.bits <= 8)
      return decodeGridRow(gridFromFloat(format, 1, k, row), 0, out);
    for (int64_t i = 0; i < k; ++i)
      out[i] = roundedTo(format, row[i]);
    return;
  }
  int64_t columns = paddedColumns(format, k);
  int64_t length = facts.group ? facts.group : columns;
  std::vector<uint8_t> codes(columns);
  std::vector<float> scales(columns / length);
  quantizeRow(format, k, row, codes.data(), scales.data());
  // Signed codes are stored as they are, others with an offset that makes them unsigned.
  for (int64_t i = 0; i < k; ++i) {
    int code = facts.codeOffset ? int(codes[i]) - facts.codeOffset : int(int8_t(codes[i]));
    out[i] = scales[i / length] * float(code);
  }
}

void roundTripTableRow(WeightFormat format, int64_t columns, int64_t slices, const float *row,
                       float *out) {
  for (int64_t slice = 0; slice < slices; ++slice)
    roundTripRow(format, columns, row + slice * columns, out + slice * columns);
}

} // namespace gcompile
