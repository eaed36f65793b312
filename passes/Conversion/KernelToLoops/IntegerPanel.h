// One panel of packed integer weights times some rows of int8 activations (MatmulInteger.cpp;
// formats with blocks: MatmulBlocks.cpp).
#pragma once

#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "passes/Conversion/KernelToLoops/DotProducts.h"
#include "passes/Conversion/KernelToLoops/PanelLoops.h"

namespace gcompile::kernel {

inline constexpr int64_t panelWidth = 64, wideLanes = 16;

// Where codes begin in the bytes of a quad of k for all rows, and how far it is to the next quad:
// codes of six bits lie in two planes, low nibbles and high pairs.
struct Plane {
  int64_t offset, quadBytes;
};

// How a panel is cut: a *unit* is the 64 bytes of one quad of k for 16 rows (w8), 32 (w4), or 64
// (w2); it has `fields` accumulators of 16 rows, each in `parts` registers. Everything that is kept
// for a tile is in the order [row][unit][field][part].
class IntegerPanel {
public:
  // `format` says what the codes of this plane are; `high`: the plane with the high bits.
  IntegerPanel(VectorMath &m, MatmulIntegerOp op, const WeightFormatInfo &format, DotStrategy &dot,
               Plane plane, IntegerPanel *high)
      : m(m), op(op), format(format), dot(dot), high(high), fields(dot.fields), units(4 / fields),
        parts(wideLanes / dot.partLanes), plane(plane),
        padded(mlir::cast<mlir::MemRefType>(op.getCodes().getType()).getDimSize(1)),
        columns(mlir::cast<mlir::MemRefType>(op.getOuts().getType()).getDimSize(1)) {
    codes = m.viewBytes(flatten(m, op.getCodes()), m.b.getI32Type());
  }

  int64_t unitCount() const { return units; }
  // Outputs of the units [from, to) of a tile's panel.
  void tile(const ProductTile &tile, int64_t from, int64_t to);

private:
  using Values = mlir::SmallVector<mlir::Value>;
  using Rows = mlir::ArrayRef<TileRow>;
  using Sums = mlir::ArrayRef<mlir::Value>;

  int64_t slotsPerUnit() const { return fields * parts; }
  int64_t firstOutput(int64_t unit, int64_t field, int64_t part) const {
    return (unit * fields + field) * wideLanes + part * dot.partLanes;
  }
  // First outputs of the slots of one row.
  mlir::SmallVector<int64_t> slots(int64_t from, int64_t to) const;
  // Sums of the activations of a group, one for each row.
  Values sumsOf(Rows rows, mlir::Value group);
  // First byte of a tile's panel in the whole blob.
  mlir::Value panelStart(const ProductTile &tile);
  Values initialSums(const ProductTile &tile, Sums rowSums, int64_t from, int64_t to);
  // Adds `count` quads, of which the first lies at byte `bytes` of the weights.
  void quads(mlir::Value bytes, mlir::Value firstQuad, int64_t count, Rows rows, int64_t from,
             int64_t to, mlir::MutableArrayRef<mlir::Value> sums);
  void finishSums(mlir::MutableArrayRef<mlir::Value> sums);
  // Σ codes · activations over `count` quads; `rowSums` are those of the activations alone.
  Values dots(const ProductTile &tile, Sums rowSums, mlir::Value bytes, mlir::Value firstQuad,
              int64_t count, int64_t from, int64_t to);
  Values channelWise(const ProductTile &tile, int64_t from, int64_t to);
  Values groupWise(const ProductTile &tile, int64_t from, int64_t to);
  Values blockWise(const ProductTile &tile, int64_t from, int64_t to);
  // One group of a block, its small scales applied: exact integers as f32.
  Values groupOfBlock(const ProductTile &tile, mlir::Value group, mlir::Value bytes, int64_t from,
                      int64_t to);
  Values sixBitGroup(const ProductTile &tile, mlir::Value group, mlir::Value bytes);
  // Small scales (a byte each) of partLanes outputs as f32.
  mlir::Value smallScales(mlir::Value bytes, int64_t output, bool isSigned);

  mlir::Value toFloat(mlir::Value sums) {
    return mlir::arith::SIToFPOp::create(m.b, m.f32s(dot.partLanes), sums);
  }
  // Quads an iteration takes. With several rows more than one makes LLVM hold more activations at
  // once than there are registers.
  int64_t unrollFor(Rows rows) const {
    return std::max<int64_t>(rows.size() == 1 ? 4 : 1, dot.quadsPerBatch());
  }

  VectorMath &m;
  MatmulIntegerOp op;
  const WeightFormatInfo &format;
  DotStrategy &dot;
  IntegerPanel *high;
  const int64_t fields, units, parts;
  const Plane plane;
  const int64_t padded, columns;
  mlir::Value codes; // activations as quads
};

} // namespace gcompile::kernel
