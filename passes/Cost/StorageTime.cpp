#include "passes/Cost/StorageTime.h"

#include <algorithm>

namespace gcompile {

int64_t pagesOfRow(int64_t rowBytes, int64_t pageBytes) {
  return (rowBytes + pageBytes - 1) / pageBytes + 1;
}

double coldRowSeconds(const PageFaults &storage, int64_t rowBytes) {
  double each = storage.faultSeconds;
  if (storage.sequentialBytesPerSecond > 0)
    each += storage.readAheadBytes / storage.sequentialBytesPerSecond;
  return double(pagesOfRow(rowBytes)) * each;
}

double prefetchSeconds(int64_t rows, int64_t rowBytes, double bytesPerSecond,
                       double computeSeconds) {
  if (bytesPerSecond <= 0)
    return 0;
  return std::max(0.0, double(rows) * double(rowBytes) / bytesPerSecond - computeSeconds);
}

double expertReadSeconds(double missRate, double experts, int64_t layers, int64_t expertBytes,
                         double sequentialBytesPerSecond) {
  if (sequentialBytesPerSecond <= 0)
    return 0;
  return missRate * experts * double(layers) * double(expertBytes) / sequentialBytesPerSecond;
}

double expertMissRate(int64_t slots, int64_t experts) {
  return experts > 0 ? std::max(0.0, 1 - double(slots) / double(experts)) : 0;
}

double expertMissRateOfRounds(int64_t slots, int64_t experts, double distinct, int64_t layers) {
  if (slots < experts && double(slots) < distinct * double(layers))
    return 1;
  return expertMissRate(slots, experts);
}

} // namespace gcompile
