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

void roundTripRows(WeightFormat format, int64_t rowCount, int64_t k, const float *rows,
                   float *out) {
  const WeightFormatInfo &facts = info(format);
  if (!facts.isInteger || facts.block) {
    for (int64_t r = 0; r < rowCount; ++r, rows += k, out += k) {
      if (facts.bits <= 8)
        decodeGridRow(gridFromFloat(format, 1, k, rows), 0, out);
      else
        for (int64_t i = 0; i < k; ++i)
          out[i] = roundedTo(format, rows[i]);
    }
    return;
  }
  int64_t columns = paddedColumns(format, k);
  int64_t length = facts.group ? facts.group : columns, scalesPerRow = columns / length;
  std::vector<uint8_t> codes(rowCount * columns);
  std::vector<float> scales(rowCount * scalesPerRow);
  quantizeRows(format, rowCount, k, rows, codes.data(), scales.data());
  for (int64_t r = 0; r < rowCount; ++r)
    for (int64_t i = 0; i < k; ++i) {
      // Signed codes are stored as they are, others with an offset that makes them unsigned.
      uint8_t stored = codes[r * columns + i];
      int code = facts.codeOffset ? int(stored) - facts.codeOffset : int(int8_t(stored));
      out[r * k + i] = scales[r * scalesPerRow + i / length] * float(code);
    }
}

} // namespace gcompile
