// Time of reading from storage: rows of tables that are mapped or fetched, and experts that do not
// stay in memory. Bytes, bytes per second, seconds.
#pragma once

#include <cstdint>

namespace gcompile {

constexpr int64_t storagePageBytes = 4096;

// Pages that a row at any offset touches at most: ⌈row / page⌉ + 1.
int64_t pagesOfRow(int64_t rowBytes, int64_t pageBytes = storagePageBytes);

// Cold rows through page faults, one after the other. `readAheadBytes`: what the system fetches
// around a fault (Linux: 128 KiB unless told otherwise), at the sequential rate.
struct PageFaults {
  double faultSeconds = 0, sequentialBytesPerSecond = 0;
  double readAheadBytes = 0;
};
double coldRowSeconds(const PageFaults &storage, int64_t rowBytes);

// Rows fetched ahead while a chunk computes: what of reading them is not hidden.
double prefetchSeconds(int64_t rows, int64_t rowBytes, double bytesPerSecond,
                       double computeSeconds);

// Experts read from storage for a step: misses among `experts` distinct ones in every layer.
double expertReadSeconds(double missRate, double experts, int64_t layers, int64_t expertBytes,
                         double sequentialBytesPerSecond);

// Share of chosen experts that a cache of `slots` does not hold, of `experts` in all layers, when
// routing is uniform and independent: a model, whatever is replaced. Texts repeat experts, so real
// caches miss less.
double expertMissRate(int64_t slots, int64_t experts);
// The same while a prompt asks for `distinct` experts of every layer, one layer after the other: a
// cache that is smaller than a round through the layers has let go of all before they come again.
double expertMissRateOfRounds(int64_t slots, int64_t experts, double distinct, int64_t layers);

} // namespace gcompile
