// Which layers take which format, as a grid of roles by layers with a short code for each format:
// what the table of a plan and its report draw.
#pragma once

#include "compiler/Plan/Plan.h"

#include <cstdint>
#include <string>
#include <vector>

namespace gcompile {

struct FormatCode {
  std::string format;
  char code = '?';
  double bits = 0;           // bytes · 8 ÷ values, scales and padding included
  int64_t bytes = 0;         // of all tensors that take it
  int64_t residentBytes = 0; // of those in memory
  int64_t tensors = 0;       // how many do
};

struct FormatRow {
  std::string role;
  std::vector<int> cells; // by layer: index into `codes`, −1: the layer has no such tensor,
                          // −2: several that differ
  int whole = -1;         // of a tensor that belongs to no layer: index into `codes`
  int64_t bytes = 0;
  double bits = 0;
};

struct FormatMap {
  int64_t layers = 0;
  std::vector<FormatCode> codes; // by falling bits
  std::vector<FormatRow> rows;   // in order of first use; norms are left out
  // Bits a weight of each layer, all its matrices together; 0 where it has none.
  std::vector<double> bitsOfLayer;
};

FormatMap formatMap(const Plan &plan);

} // namespace gcompile
