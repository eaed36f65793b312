// Plain decoders, one element at a time, straight from the layout tables of docs/decisions/0001.
// Slow and obvious on purpose: they are what packers, kernels and reports are tested against.
#pragma once

#include "ir/Format/Format.h"

#include <cstdint>

namespace gcompile {

// Element (n, k) of a P64 blob of N × K; n < paddedRows(N), k < paddedColumns(format, K).
double decodeElement(WeightFormat format, const uint8_t *blob, int64_t n, int64_t k, int64_t N,
                     int64_t K);
// Its code w, without offset and scale; formats of codes (nf4: the index).
int decodeCode(WeightFormat format, const uint8_t *blob, int64_t n, int64_t k, int64_t N,
               int64_t K);

// What codes are multiplied with, for formats with blocks and nf4: value = scale · small · code
// − minimumScale · smallMinimum (nf4: of the table's value). small = 1 where there is none; only
// q4_k has minima.
struct DecodedScales {
  double scale = 0, minimumScale = 0;
  int small = 0, smallMinimum = 0;
};
DecodedScales decodeScales(WeightFormat format, const uint8_t *blob, int64_t n, int64_t k,
                           int64_t K);

// Value (slice, column) of one row of a row table.
double decodeTableElement(WeightFormat format, const uint8_t *row, int64_t slice, int64_t column,
                          int64_t columns, int64_t slices);

// Where (head, token, dim) lies in a cache blob: byte offset from the blob's start, and for kv4 the
// shift of its nibble (0 or 4).
struct KvPosition {
  int64_t byte;
  unsigned shift;
};
KvPosition kvKeyPosition(KvFormat format, const KvLayout &layout, int64_t headDim, int64_t head,
                         int64_t token, int64_t dim);
KvPosition kvValuePosition(KvFormat format, const KvLayout &layout, int64_t headDim, int64_t head,
                           int64_t token, int64_t dim);

// Decoded cache elements; `capacity` is needed to find the scales.
double decodeKey(KvFormat format, const KvLayout &layout, const uint8_t *blob, int64_t headDim,
                 int64_t capacity, int64_t head, int64_t token, int64_t dim);
double decodeValue(KvFormat format, const KvLayout &layout, const uint8_t *blob, int64_t headDim,
                   int64_t capacity, int64_t head, int64_t token, int64_t dim);

} // namespace gcompile
