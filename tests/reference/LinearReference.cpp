#include "tests/reference/LinearReference.h"
#include "ir/Format/ReferenceDecode.h"

#include <algorithm>
#include <cmath>

namespace gcompile::test {

QuantizedRows quantizeRows(const std::vector<float> &x, int64_t rows, int64_t columns,
                           int64_t group) {
  QuantizedRows result;
  result.padded = (columns + 63) / 64 * 64;
  int64_t size = group ? group : result.padded;
  result.groups = result.padded / size;
  result.codes.assign(rows * result.padded, 0);
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t g = 0; g < result.groups; ++g) {
      float largest = 0;
      for (int64_t k = g * size; k < std::min(columns, (g + 1) * size); ++k)
        largest = std::max(largest, std::fabs(x[row * columns + k]));
      float scale = largest / 127;
      int32_t sum = 0;
      for (int64_t k = g * size; k < std::min(columns, (g + 1) * size); ++k) {
        float code = scale > 0 ? std::nearbyint(x[row * columns + k] / scale) : 0;
        code = std::clamp(code, -127.0f, 127.0f);
        result.codes[row * result.padded + k] = static_cast<int8_t>(code);
        sum += static_cast<int32_t>(code);
      }
      result.scales.push_back(scale);
      result.sums.push_back(sum);
    }
  return result;
}

// Integers first, so that a negative value that becomes 0 has no sign left.
int codeOf(float x, float scale) {
  return static_cast<int>(std::nearbyint(std::clamp(x / scale, -128.0f, 127.0f)));
}

void roundToCodes(std::vector<float> &values, float scale) {
  for (float &value : values)
    value = static_cast<float>(codeOf(value, scale)) * scale;
}

QuantizedRows quantizeRowsStatic(const std::vector<float> &x, int64_t rows, int64_t columns,
                                 int64_t group, float scale) {
  QuantizedRows result;
  result.padded = (columns + 63) / 64 * 64;
  result.groups = group ? result.padded / group : 1;
  int64_t size = result.padded / result.groups;
  result.codes.assign(rows * result.padded, 0);
  result.scales.assign(rows * result.groups, scale);
  result.sums.assign(rows * result.groups, 0);
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t k = 0; k < columns; ++k) {
      int code = codeOf(x[row * columns + k], scale);
      result.codes[row * result.padded + k] = static_cast<int8_t>(code);
      result.sums[row * result.groups + k / size] += code;
    }
  return result;
}

static std::vector<float> matmulNf4(const std::vector<uint8_t> &weights,
                                    const std::vector<float> &x, int64_t rows, int64_t n,
                                    int64_t k) {
  std::vector<float> out(rows * n);
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t i = 0; i < n; ++i) {
      float y = 0;
      for (int64_t first = 0; first < k; first += 64) {
        double scale = decodeScales(WeightFormat::NF4, weights.data(), i, first, k).scale;
        float sum = 0;
        for (int64_t j = first; j < std::min(k, first + 64); ++j)
          sum = std::fma(x[row * k + j],
                         nf4Table[decodeCode(WeightFormat::NF4, weights.data(), i, j, n, k)], sum);
        y = std::fma((float)scale, sum, y);
      }
      out[row * n + i] = y;
    }
  return out;
}

std::vector<float> matmulFloat(WeightFormat format, const std::vector<uint8_t> &weights,
                               const std::vector<float> &x, int64_t rows, int64_t n, int64_t k) {
  std::vector<float> out(rows * n);
  if (format == WeightFormat::NF4)
    return matmulNf4(weights, x, rows, n, k);
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t i = 0; i < n; ++i) {
      float sum = 0;
      for (int64_t j = 0; j < k; ++j)
        sum =
            std::fma(x[row * k + j], (float)decodeElement(format, weights.data(), i, j, n, k), sum);
      out[row * n + i] = sum;
    }
  return out;
}

// Small scales times dot products of groups of 32 columns are exact; blocks of them are scaled.
static std::vector<float> matmulBlocks(WeightFormat format, const std::vector<uint8_t> &weights,
                                       const QuantizedRows &x, int64_t rows, int64_t n, int64_t k) {
  std::vector<float> out(rows * n);
  int64_t groupsPerBlock = info(format).block / 32;
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t i = 0; i < n; ++i) {
      float y = 0;
      for (int64_t first = 0; first < x.groups; first += groupsPerBlock) {
        float sum = 0, minima = 0;
        DecodedScales scales;
        for (int64_t g = first; g < std::min(x.groups, first + groupsPerBlock); ++g) {
          int64_t dot = 0, activations = 0;
          for (int64_t j = 32 * g; j < 32 * (g + 1); ++j) {
            scales = decodeScales(format, weights.data(), i, j, k);
            int code = x.codes[row * x.padded + j];
            dot += scales.small * decodeCode(format, weights.data(), i, j, n, k) * code;
            activations += code;
          }
          float scale = x.scales[row * x.groups + g];
          sum = std::fma((float)dot, scale, sum);
          minima = std::fma((float)scales.smallMinimum, scale * (float)activations, minima);
        }
        y = std::fma((float)scales.scale, sum, y);
        if (format == WeightFormat::Q4K)
          y = std::fma(-(float)scales.minimumScale, minima, y);
      }
      out[row * n + i] = y;
    }
  return out;
}

std::vector<float> matmulInteger(WeightFormat format, const std::vector<uint8_t> &weights,
                                 const QuantizedRows &x, int64_t rows, int64_t n, int64_t k) {
  if (info(format).block)
    return matmulBlocks(format, weights, x, rows, n, k);
  std::vector<float> out(rows * n);
  int64_t size = x.padded / x.groups;
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t i = 0; i < n; ++i) {
      float y = 0;
      for (int64_t g = 0; g < x.groups; ++g) {
        int64_t sum = 0;
        double weightScale = 0;
        for (int64_t j = g * size; j < (g + 1) * size; ++j) {
          int code = decodeCode(format, weights.data(), i, j, n, k);
          sum += code * x.codes[row * x.padded + j];
          if (code && weightScale == 0)
            weightScale = decodeElement(format, weights.data(), i, j, n, k) / code;
        }
        float scale = x.scales[row * x.groups + g];
        if (info(format).group == 0)
          y = ((float)sum * scale) * (float)weightScale;
        else
          y = std::fma((float)sum, scale * (float)weightScale, y);
      }
      out[row * n + i] = y;
    }
  return out;
}

std::vector<double> gatherPacked(WeightFormat format, const std::vector<uint8_t> &weights,
                                 const std::vector<int32_t> &indices, int64_t n, int64_t k,
                                 double scale) {
  std::vector<double> out;
  for (int32_t index : indices)
    for (int64_t j = 0; j < k; ++j)
      out.push_back(scale * decodeElement(format, weights.data(), index, j, n, k));
  return out;
}

std::vector<double> gatherTable(WeightFormat format, const std::vector<uint8_t> &table,
                                const std::vector<int32_t> &indices, int64_t columns, int64_t slice,
                                int64_t slices, double scale) {
  std::vector<double> out;
  int64_t rowBytes = rowTableRowBytes(format, columns, slices);
  for (int32_t index : indices)
    for (int64_t j = 0; j < columns; ++j)
      out.push_back(scale * decodeTableElement(format, table.data() + index * rowBytes, slice, j,
                                               columns, slices));
  return out;
}

} // namespace gcompile::test
