#include "compiler/Import/Coded/QatGrid.h"

#include "compiler/Import/HostileJson.h"
#include "ir/Format/FloatConvert.h"

#include <algorithm>
#include <cmath>
#include <tuple>

using llvm::Error;
using llvm::Twine;

namespace gcompile {

namespace {

// Rounding of a value to bf16, and on top of it what the scale may be off as an f16.
constexpr float bf16Rounding = 0x1p-8f, withF16Scale = 0x1p-8f + 0x1p-10f;
constexpr int scaleSteps = 8; // f16 neighbours of the fitted scale that are tried
constexpr int64_t sampledRows = 16;

// Codes of the values for a scale; false at the first that is further off than `tolerance` of it.
bool codesFor(const float *values, float scale, float tolerance, int *codes) {
  for (int64_t i = 0; i < qatGroup; ++i) {
    float code = std::nearbyint(values[i] / scale);
    if (std::abs(code) > 8 ||
        std::abs(values[i] - code * scale) > tolerance * std::abs(code * scale))
      return false;
    codes[i] = int(code);
  }
  return true;
}

// How well a scale explains the values; smaller is better.
struct Fit {
  bool rounded = true; // some value is not the bf16 nearest to scale · code
  double error = INFINITY;
  bool operator<(const Fit &other) const {
    return std::tie(rounded, error) < std::tie(other.rounded, other.error);
  }
};

Fit fitOf(const float *values, float scale, const int *codes) {
  Fit fit{false, 0};
  for (int64_t i = 0; i < qatGroup; ++i) {
    float exact = scale * float(codes[i]);
    double difference = double(values[i]) - exact;
    fit.error += difference * difference;
    fit.rounded |= floatFromBf16(bf16FromFloat(exact)) != values[i];
  }
  return fit;
}

// The least squares scale of these codes as f16 bits.
int fittedScale(const float *values, const int *codes) {
  double products = 0, squares = 0;
  for (int64_t i = 0; i < qatGroup; ++i) {
    products += double(values[i]) * codes[i];
    squares += double(codes[i]) * codes[i];
  }
  return f16FromFloat(float(products / squares));
}

} // namespace

bool recoverGroup(const float *values, float &scale, int8_t *codes) {
  float largest = 0;
  for (int64_t i = 0; i < qatGroup; ++i)
    largest = std::max(largest, std::abs(values[i]));
  scale = 0;
  std::fill(codes, codes + qatGroup, int8_t(0));
  if (largest == 0)
    return true;
  Fit best;
  // The largest value is ±k steps. Of equal fits the one with small codes wins.
  for (int k = 1; k <= 8; ++k) {
    int found[qatGroup], checked[qatGroup];
    if (!codesFor(values, largest / float(k), 4 * bf16Rounding, found))
      continue;
    auto [low, high] = std::minmax_element(found, found + qatGroup);
    if (*low == -8 && *high == 8)
      continue;
    int sign = *high == 8 ? -1 : 1; // code 8 exists with a negative scale only
    int middle = fittedScale(values, found);
    for (int bits = std::max(1, middle - scaleSteps); bits <= std::min(0x7bff, middle + scaleSteps);
         ++bits) {
      float candidate = floatFromF16(uint16_t(bits));
      Fit fit = fitOf(values, candidate, found);
      if (!(fit < best) || !codesFor(values, candidate, withF16Scale, checked) ||
          !std::equal(found, found + qatGroup, checked))
        continue;
      best = fit;
      scale = float(sign) * candidate;
      for (int64_t i = 0; i < qatGroup; ++i)
        codes[i] = int8_t(sign * found[i]);
    }
  }
  return best.error < INFINITY;
}

bool looksLikeQat(const Checkpoint &checkpoint, const TensorInfo &tensor) {
  bool isFloat = tensor.type == TensorType::BF16 || tensor.type == TensorType::F16 ||
                 tensor.type == TensorType::F32;
  int64_t columns = tensor.columns(), rows = tensor.rows();
  if (!isFloat || tensor.shape.size() != 2 || rows == 0 || columns == 0 || columns % qatGroup != 0)
    return false;
  std::vector<float> row(columns);
  bool anything = false;
  int64_t count = std::min(rows, sampledRows);
  for (int64_t i = 0; i < count; ++i) {
    if (Error error =
            checkpoint.readRowsAsFloat(tensor, (2 * i + 1) * rows / (2 * count), 1, row)) {
      llvm::consumeError(std::move(error)); // comes up again when the weight is read
      return false;
    }
    for (int64_t k = 0; k < columns; k += qatGroup) {
      float scale;
      int8_t codes[qatGroup];
      if (!recoverGroup(row.data() + k, scale, codes))
        return false;
      // A group with few codes lies on a grid by chance.
      std::sort(codes, codes + qatGroup);
      anything |= std::unique(codes, codes + qatGroup) - codes >= 6;
    }
  }
  return anything;
}

Error recoverRows(const Checkpoint &checkpoint, const TensorInfo &tensor, int64_t firstRow,
                  int64_t rowCount, GridRows &out) {
  int64_t columns = tensor.columns();
  std::vector<float> values(rowCount * columns);
  if (Error error = checkpoint.readRowsAsFloat(tensor, firstRow, rowCount, values))
    return error;
  out = {};
  out.format = WeightFormat::W4G32;
  out.rows = rowCount;
  out.columns = columns;
  out.codes.resize(values.size());
  out.scales.resize(values.size() / qatGroup);
  for (size_t group = 0; group < out.scales.size(); ++group) {
    size_t at = group * qatGroup;
    if (!recoverGroup(values.data() + at, out.scales[group], out.codes.data() + at))
      return importError(
          "weight " + inQuotes(tensor.name) + ": row " + Twine(firstRow + int64_t(at) / columns) +
          " lies off the 4-bit grid that " + "the rest has, at columns " +
          Twine(int64_t(at) % columns) + " to " + Twine(int64_t(at) % columns + qatGroup - 1) +
          "; choose another format for it with --weight-format");
  }
  return Error::success();
}

} // namespace gcompile
