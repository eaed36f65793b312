// What the linear kernel operations compute, written from KernelOps.td alone: one element at a
// time, with the decoders of ir/Format/ReferenceDecode.h. Where the contract fixes the rounding of
// every step (integer products, chains of fused multiply-adds), so do these, and kernels must agree
// bit for bit; elsewhere they are double precision.
#pragma once

#include "ir/Format/Format.h"

#include <cstdint>
#include <vector>

namespace gcompile::test {

struct QuantizedRows {
  int64_t padded = 0, groups = 0;
  std::vector<int8_t> codes; // rows × padded
  std::vector<float> scales; // rows × groups
  std::vector<int32_t> sums; // rows × groups
};
QuantizedRows quantizeRows(const std::vector<float> &x, int64_t rows, int64_t columns,
                           int64_t group);

// With one scale for everything: codes −128 … 127 (docs/decisions/0011).
QuantizedRows quantizeRowsStatic(const std::vector<float> &x, int64_t rows, int64_t columns,
                                 int64_t group, float scale);
// The code of a value, and its value again.
int codeOf(float x, float scale);
void roundToCodes(std::vector<float> &values, float scale);

std::vector<float> matmulFloat(WeightFormat format, const std::vector<uint8_t> &weights,
                               const std::vector<float> &x, int64_t rows, int64_t n, int64_t k);
std::vector<float> matmulInteger(WeightFormat format, const std::vector<uint8_t> &weights,
                                 const QuantizedRows &x, int64_t rows, int64_t n, int64_t k);
std::vector<double> gatherPacked(WeightFormat format, const std::vector<uint8_t> &weights,
                                 const std::vector<int32_t> &indices, int64_t n, int64_t k,
                                 double scale);
std::vector<double> gatherTable(WeightFormat format, const std::vector<uint8_t> &table,
                                const std::vector<int32_t> &indices, int64_t columns, int64_t slice,
                                int64_t slices, double scale);

} // namespace gcompile::test
