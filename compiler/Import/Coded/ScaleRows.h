// Scales and biases of some rows of a coded tensor, as floats, one per row and group.
#pragma once

#include "compiler/Import/Coded/CodedTensor.h"

namespace gcompile {

// Entries that a grid holds for `rows` weight rows; none when that overflows.
std::optional<uint64_t> gridEntries(const ScaleGrid &grid, int64_t rows);

// rowCount · groups values, row-major, without the tensor's factors. NaN and infinity are errors
// that name the tensor and the entry.
llvm::Error readGrid(const Checkpoint &raw, const ScaleGrid &grid, int64_t rows, int64_t firstRow,
                     int64_t rowCount, std::vector<float> &out);

// The scales with the factors of the tensor applied.
llvm::Error readScales(const Checkpoint &raw, const CodedTensor &tensor, int64_t firstRow,
                       int64_t rowCount, std::vector<float> &out);

// The group of every column; empty when it is k / groupColumns. Refuses groups out of range.
llvm::Expected<std::vector<uint32_t>> readGroupIndex(const Checkpoint &raw,
                                                     const CodedTensor &tensor);

} // namespace gcompile
