// The 4-way int8 dot products of instruction sets, behind one interface: int32 accumulators of some
// rows take the products of packed weight bytes and quads of activations. All strategies compute
// the same integers.
//
// A weight byte of a format with `fields` codes holds codes of as many output rows, for one k
// (docs/decisions/0001). Where the instruction does not saturate, fields are not taken apart:
// accumulator j multiplies the byte's lowest j + 1 fields ("nested masks"), and the codes' own sums
// are differences of neighbours, shifted down. `finish` does that.
#pragma once

#include "ir/Format/Format.h"
#include "passes/Conversion/KernelToLoops/TargetInfo.h"
#include "passes/Conversion/KernelToLoops/VectorMath.h"

#include <memory>

namespace gcompile::kernel {

class DotStrategy {
public:
  DotStrategy(VectorMath &m, const WeightFormatInfo &format, int64_t partLanes)
      : partLanes(partLanes), fields(8 / format.bits), m(m), format(format) {}
  virtual ~DotStrategy() = default;

  // Lanes of one accumulator: 16 rows of a panel are 16 / partLanes of these.
  const int64_t partLanes;
  const int64_t fields;

  // Quads [first, first + count) of activations, as `accumulate` wants them; `codes` is a memref of
  // i32, `first` an index of it.
  virtual llvm::SmallVector<mlir::Value> activations(mlir::Value codes, mlir::Value first,
                                                     int64_t count);
  // Quads that are added to partial sums of their own before these are added to the sums; 1: there
  // are no partial sums. A power of two.
  virtual int64_t quadsPerBatch() const { return 1; }
  // sums[field] += weights · activations of one quad; weights are partLanes · 4 bytes as they lie.
  // Sums are partial sums, null at first, where there are batches.
  virtual void accumulate(llvm::MutableArrayRef<mlir::Value> sums, mlir::Value weights,
                          mlir::Value activations) = 0;
  virtual mlir::Value addPartial(mlir::Value sum, mlir::Value partial) { return partial; }
  // Accumulators of `field` begin at this multiple of the activations' sum …
  virtual int64_t sumFactor(int64_t field) const;
  // … or, channel-wise, at the packed correction −128·Σₖ w of the row.
  virtual bool startsAtCorrection() const { return false; }
  // From accumulators to the sums of codes · activations.
  virtual void finish(llvm::MutableArrayRef<mlir::Value> sums);

  mlir::VectorType sumType() { return m.i32s(partLanes); }

protected:
  mlir::VectorType byteType() { return mlir::VectorType::get(4 * partLanes, m.b.getI8Type()); }
  mlir::Value intrinsic(llvm::StringRef name, mlir::Type type, mlir::ValueRange operands);
  mlir::Value dwordSplat(mlir::Value dword) { return m.splat(dword, partLanes); }

  VectorMath &m;
  const WeightFormatInfo &format;
};

enum class RowCount { One, Several };
enum class CodeRange { Symmetric, Full }; // of activations: from −127, or from −128

std::unique_ptr<DotStrategy> makeDotStrategy(VectorMath &m, const WeightFormatInfo &format,
                                             const TargetInfo &target, RowCount rows,
                                             CodeRange range);

} // namespace gcompile::kernel
