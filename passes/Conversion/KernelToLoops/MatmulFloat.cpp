// matmul_float: x · Wᵀ for float weights. Every output is one chain of fused multiply-adds over k
// in order, whatever the tile or the instruction set, so all variants and row counts agree bit for
// bit.
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "passes/Conversion/KernelToLoops/MatmulTable.h"
#include "passes/Conversion/KernelToLoops/PanelLoops.h"

using namespace mlir;

namespace gcompile::kernel {
namespace {

constexpr int64_t panelWidth = 64, wideLanes = 16, panelVectors = panelWidth / wideLanes;

class FloatPanel {
public:
  FloatPanel(VectorMath &m, MatmulFloatOp op, WeightFormat format)
      : m(m), op(op), format(format), depth(cast<MemRefType>(op.getX().getType()).getDimSize(1)) {
    Type element = format == WeightFormat::F32   ? Type(m.b.getF32Type())
                   : format == WeightFormat::F16 ? Type(m.b.getF16Type())
                                                 : Type(m.b.getIntegerType(16));
    typed = m.viewBytes(op.getWeights(), element);
    elementBytes = format == WeightFormat::F32 ? 4 : 2;
  }

  // Outputs of the vectors [from, to) of a tile's panel.
  void tile(const ProductTile &tile, int64_t from, int64_t to) {
    ArrayRef<TileRow> rows = tile.rows;
    int64_t width = to - from;
    Value base = m.muli(tile.panel, depth * panelWidth);
    if (tile.matrix)
      base = m.addi(base, m.divi(tile.matrix, elementBytes));
    SmallVector<Value> sums(rows.size() * width, m.f(0));
    int64_t unroll = rows.size() == 1 ? 4 : 2;
    sums = forEachUnrolled(
        m, depth, unroll, sums, [&](Value first, int64_t count, ValueRange carried) {
          SmallVector<Value> next(carried);
          prefetchStream(m, op.getWeights(),
                         m.muli(m.addi(base, m.muli(first, panelWidth)), elementBytes),
                         count * panelWidth * elementBytes);
          for (int64_t i = 0; i < count; ++i)
            step(m.addi(first, i), base, rows, from, to, next);
          return next;
        });
    SmallVector<PanelPiece> pieces;
    for (auto [r, row] : llvm::enumerate(rows))
      for (int64_t v = 0; v < width; ++v)
        pieces.push_back({row.out, (from + v) * wideLanes, sums[r * width + v]});
    storePanel(m, op.getOuts(), tile.panel, op.getRounding(), pieces);
  }

private:
  void step(Value k, Value base, ArrayRef<TileRow> rows, int64_t from, int64_t to,
            MutableArrayRef<Value> sums) {
    Value offset = m.addi(base, m.muli(k, panelWidth));
    SmallVector<Value> weights;
    for (int64_t v = from; v < to; ++v)
      weights.push_back(load(m.addi(offset, v * wideLanes)));
    for (auto [r, row] : llvm::enumerate(rows)) {
      Value x = m.splat(m.loadScalar(op.getX(), {row.in, k}));
      for (auto [v, weight] : llvm::enumerate(weights)) {
        Value &sum = sums[r * weights.size() + v];
        sum = m.fma(x, weight, sum);
      }
    }
  }
  Value load(Value index) {
    switch (format) {
    case WeightFormat::F16:
      return loadHalf(m, typed, index, wideLanes);
    case WeightFormat::BF16:
      return loadBrain(m, typed, index, wideLanes);
    default:
      return m.loadAs(m.f32s(), typed, index);
    }
  }

  VectorMath &m;
  MatmulFloatOp op;
  WeightFormat format;
  int64_t depth, elementBytes;
  Value typed; // weights as elements
};

} // namespace

LogicalResult emit(OpBuilder &builder, MatmulFloatOp op, TaskRange tasks,
                   const TargetInfo &target) {
  VectorMath m(builder, op.getLoc());
  WeightFormat format = *parseWeightFormat(op.getFormat());
  if (format == WeightFormat::NF4)
    return emitTableProduct(m, op, tasks, target);
  FloatPanel panels(m, op, format);
  // Six rows of 64 outputs fill 24 of 32 wide registers; smaller machines take 16 outputs at a
  // time, and those that hold next to nothing take few rows, for the sake of less code.
  int64_t rowTile = target.wideRegisters() >= 8 ? 6 : 2;
  int64_t tileVectors = target.wideRegisters() >= 32 ? panelVectors : 1;
  int64_t depth = cast<MemRefType>(op.getX().getType()).getDimSize(1);
  ProductShape shape = productShape(op, op.getX(), depth);
  forEachProductTile(m, shape, tasks, rowTile, [&](const ProductTile &tile) {
    int64_t width = tile.rows.size() == 1 ? panelVectors : tileVectors;
    for (int64_t from = 0; from < panelVectors; from += width)
      panels.tile(tile, from, from + width);
  });
  return success();
}

} // namespace gcompile::kernel
