// Values of nf4 from its codes: a table of 16 floats, looked up by whole vectors.
#pragma once

#include "passes/Conversion/KernelToLoops/TargetInfo.h"
#include "passes/Conversion/KernelToLoops/VectorMath.h"

#include <memory>

namespace gcompile::kernel {

class TableLookup {
public:
  TableLookup(VectorMath &m, int64_t partLanes) : partLanes(partLanes), m(m) {}
  virtual ~TableLookup() = default;

  const int64_t partLanes;
  // Of partLanes · 4 bytes of a P64 panel (a quad of k for as many rows, one field of each byte for
  // rows 16 apart): the values of `field` (0 or 1) for each k of the quad, rows in the lanes.
  virtual llvm::SmallVector<mlir::Value> values(mlir::Value bytes, int64_t field) = 0;

protected:
  VectorMath &m;
};

std::unique_ptr<TableLookup> makeTableLookup(VectorMath &m, const TargetInfo &target,
                                             llvm::StringRef triple);

// On any machine, for i32 lanes of which the lowest four bits count.
mlir::Value lookUpBySelection(VectorMath &m, mlir::Value codes);

} // namespace gcompile::kernel
