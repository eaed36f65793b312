// The order of float operations is that of passes/Conversion/KernelToLoops/MatmulInteger.cpp, so
// results are equal to the last bit; sums of integers are exact in any order.
#include "targets/Hexagon/HexagonMatmul.h"
#include "ir/Format/Format.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "passes/Conversion/KernelToLoops/PanelLoops.h"

using namespace mlir;

namespace gcompile {
namespace {

using namespace kernel;

constexpr int64_t panelWidth = 64, hvxLanes = 32, hvxBytes = 128;

// One *step* is what fills at least one vector: a quad of k for all 64 rows (w8: two vectors, w4:
// one), or two quads (w2: half a vector each).
class HvxPanel {
public:
  HvxPanel(VectorMath &m, MatmulIntegerOp op, const WeightFormatInfo &format)
      : m(m), op(op), format(format), fields(8 / format.bits),
        quadBytes(panelWidth * format.bits / 2), quadsPerStep(format.bits == 2 ? 2 : 1),
        vectors(quadBytes * quadsPerStep / hvxBytes), accumulators(vectors * fields),
        padded(cast<MemRefType>(op.getCodes().getType()).getDimSize(1)),
        columns(cast<MemRefType>(op.getOuts().getType()).getDimSize(1)),
        quads(m.viewBytes(flatten(m, op.getCodes()), m.b.getI32Type())),
        weights(m.viewBytes(op.getWeights(), m.b.getI32Type())) {}

  void tile(Value panel, ArrayRef<Value> rows) {
    SmallVector<Value> outputs = format.group ? groupWise(panel, rows) : channelWise(panel, rows);
    SmallVector<PanelPiece> pieces;
    for (size_t i = 0; i < outputs.size(); ++i)
      pieces.push_back({rows[i / piecesPerRow], firstOutput(i % piecesPerRow), outputs[i]});
    storePanel(m, op.getOuts(), panel, op.getRounding(), pieces);
  }

private:
  static constexpr int64_t piecesPerRow = panelWidth / lanes;

  // Where the 16 outputs of a piece lie in the panel. Pieces are in the order of accumulators,
  // lower half first; a w4 vector holds rows 0–15 | 32–47 in its low nibbles, 16–31 | 48–63 in its
  // high ones.
  int64_t firstOutput(int64_t piece) const {
    return format.bits == 4 ? piece % 2 * 32 + piece / 2 * 16 : piece * 16;
  }

  // Adds the quads [0, count) to the sums of all rows; weights begin at dword `first`, activations
  // at quad `quad` of each row.
  SmallVector<Value> dots(Value first, Value quad, int64_t count, ArrayRef<Value> rows) {
    SmallVector<Value> sums(rows.size() * accumulators, m.integer(m.i32s(hvxLanes), 0));
    sums = forEachUnrolled(m, count / quadsPerStep, rows.size() == 1 ? 4 : 2, sums,
                           [&](Value step, int64_t steps, ValueRange carried) {
                             SmallVector<Value> next(carried);
                             Value place = m.addi(first, m.muli(step, vectors * hvxLanes));
                             Value own = m.addi(quad, m.muli(step, quadsPerStep));
                             for (int64_t i = 0; i < steps; ++i)
                               addStep(m.addi(place, i * vectors * hvxLanes),
                                       m.addi(own, i * quadsPerStep), rows, next);
                             return next;
                           });
    return sums;
  }

  void addStep(Value place, Value quad, ArrayRef<Value> rows, MutableArrayRef<Value> sums) {
    SmallVector<Value> operands; // one for each accumulator
    for (int64_t v = 0; v < vectors; ++v) {
      Value bytes = m.loadAs(m.i32s(hvxLanes), weights, m.addi(place, v * hvxLanes));
      for (int64_t field = 0; field < fields; ++field)
        operands.push_back(fields == 1 ? bytes
                                       : m.bitAnd(m.shiftRight(bytes, field * format.bits),
                                                  0x01010101 * ((1 << format.bits) - 1)));
    }
    for (auto [r, row] : llvm::enumerate(rows)) {
      Value own = m.addi(m.muli(row, padded / 4), quad);
      for (int64_t a = 0; a < accumulators; ++a) {
        Value &sum = sums[r * accumulators + a];
        sum = dot(sum, operands[a], own);
      }
    }
  }

  // Signed weights take signed activations; codes with an offset are unsigned. vrmpy never
  // saturates.
  Value dot(Value sum, Value bytes, Value quad) {
    Value dword = m.loadScalar(quads, quad);
    switch (format.bits) {
    case 8:
      return intrinsic("llvm.hexagon.V6.vrmpybv.acc.128B", {sum, bytes, m.splat(dword, hvxLanes)});
    case 4:
      return intrinsic("llvm.hexagon.V6.vrmpybus.acc.128B", {sum, bytes, dword});
    default:
      break;
    }
    // The vector's halves belong to two quads.
    Value other = m.loadScalar(quads, m.addi(quad, 1));
    SmallVector<int32_t> mask(hvxLanes, 0);
    std::fill_n(mask.begin(), hvxLanes / 2, -1);
    Value low = arith::ConstantOp::create(
        m.b, DenseElementsAttr::get(m.i32s(hvxLanes), ArrayRef<int32_t>(mask)));
    Value x = arith::OrIOp::create(
        m.b, arith::AndIOp::create(m.b, m.splat(dword, hvxLanes), low),
        arith::AndIOp::create(m.b, m.splat(other, hvxLanes), m.bitXor(low, -1)));
    return intrinsic("llvm.hexagon.V6.vrmpybusv.acc.128B", {sum, bytes, x});
  }

  Value intrinsic(StringRef name, ValueRange operands) {
    return LLVM::CallIntrinsicOp::create(m.b, m.b.getLoc(), m.i32s(hvxLanes),
                                         m.b.getStringAttr(name), operands)
        .getResult(0);
  }

  // Sums of codes · activations as pieces of 16 outputs, f32: for each row, each piece. `group` is
  // the column of the activations' sums.
  SmallVector<Value> finish(ArrayRef<Value> sums, ArrayRef<Value> rows, Value group) {
    SmallVector<Value> pieces;
    for (auto [r, row] : llvm::enumerate(rows)) {
      Value correction;
      if (format.codeOffset)
        correction = m.splat(m.muli(m.loadScalar(op.getSums(), {row, group}), -format.codeOffset));
      for (int64_t a = 0; a < accumulators; ++a) {
        Value sum = sums[r * accumulators + a];
        SmallVector<Value> halves = {half(sum, 0), half(sum, 1)};
        if (quadsPerStep == 2)
          halves = {m.addi(halves[0], halves[1])};
        for (Value piece : halves) {
          if (correction)
            piece = m.addi(piece, correction);
          pieces.push_back(arith::SIToFPOp::create(m.b, m.f32s(), piece));
        }
      }
    }
    return pieces;
  }
  Value half(Value vector, int64_t which) {
    return vector::ExtractStridedSliceOp::create(m.b, vector, ArrayRef<int64_t>{which * lanes},
                                                 ArrayRef<int64_t>{lanes}, ArrayRef<int64_t>{1});
  }

  SmallVector<Value> channelWise(Value panel, ArrayRef<Value> rows) {
    Value base = m.muli(panel, panelBytes(format.format, op.getColumns()) / 4);
    SmallVector<Value> sums = dots(base, m.index(0), padded / 4, rows);
    SmallVector<Value> outputs = finish(sums, rows, m.index(0));
    Value scales = m.viewBytes(op.getWeights(), m.b.getF32Type());
    Value first = m.addi(m.muli(panel, panelWidth),
                         scalesOffset(format.format, columns, op.getColumns()) / 4);
    for (size_t i = 0; i < outputs.size(); ++i) {
      Value scale = m.splat(m.loadScalar(op.getScales(), {rows[i / piecesPerRow], m.index(0)}));
      Value weightScale = m.loadAs(m.f32s(), scales, m.addi(first, firstOutput(i % piecesPerRow)));
      outputs[i] = m.mul(m.mul(outputs[i], scale), weightScale);
    }
    return outputs;
  }

  SmallVector<Value> groupWise(Value panel, ArrayRef<Value> rows) {
    int64_t group = format.group, codeBytes = group / 4 * quadBytes,
            blockBytes = codeBytes + 2 * panelWidth;
    Value base = m.muli(panel, panelBytes(format.format, op.getColumns()) / 4);
    Value halves = m.viewBytes(op.getWeights(), m.b.getIntegerType(16));
    SmallVector<Value> outputs(rows.size() * piecesPerRow, m.f(0));
    return m.forEach(
        m.index(0), m.index(padded / group), 1, outputs, [&](Value number, ValueRange carried) {
          SmallVector<Value> next(carried);
          Value start = m.addi(base, m.muli(number, blockBytes / 4));
          SmallVector<Value> sums = dots(start, m.muli(number, group / 4), group / 4, rows);
          SmallVector<Value> parts = finish(sums, rows, number);
          Value scales = m.addi(m.muli(start, 2), codeBytes / 2);
          for (size_t i = 0; i < parts.size(); ++i) {
            Value scale = m.splat(m.loadScalar(op.getScales(), {rows[i / piecesPerRow], number}));
            Value weightScale = loadHalves(halves, m.addi(scales, firstOutput(i % piecesPerRow)));
            next[i] = m.fma(parts[i], m.mul(scale, weightScale), next[i]);
          }
          return next;
        });
  }

  // Finite f16 as f32, without the library call that the type itself would cost here: the exponent
  // is rebased by an exact product.
  Value loadHalves(Value memref, Value index) {
    Value bits = m.loadAs(VectorType::get(lanes, m.b.getIntegerType(16)), memref, index);
    bits = arith::ExtUIOp::create(m.b, m.i32s(), bits);
    Value magnitude = m.bitcast(m.shiftLeft(m.bitAnd(bits, 0x7fff), 13), m.f32s());
    magnitude = m.mul(magnitude, m.f(0x1p112));
    Value sign = m.shiftLeft(m.bitAnd(bits, 0x8000), 16);
    return m.bitcast(arith::OrIOp::create(m.b, m.bitcast(magnitude, m.i32s()), sign), m.f32s());
  }

  VectorMath &m;
  MatmulIntegerOp op;
  const WeightFormatInfo &format;
  const int64_t fields, quadBytes, quadsPerStep, vectors, accumulators, padded, columns;
  Value quads, weights; // activations and weights as dwords
};

LogicalResult lower(MatmulIntegerOp op, TaskRange tasks) {
  // Σ 255 · 128 over k has to stay below 2³¹.
  constexpr int64_t mostColumns = 65536;
  // The float end of a tile is scalar and unrolled: more rows would cost much code.
  constexpr int64_t rowTile = 2;
  if (!op.getGroups().empty())
    return op.emitOpError("has groups of rows, which products on HVX do not take yet");
  if (op.getColumns() > mostColumns)
    return op.emitOpError() << "has " << op.getColumns() << " columns; sums in int32 hold "
                            << mostColumns;
  OpBuilder builder(op);
  VectorMath m(builder, op.getLoc());
  HvxPanel panels(m, op, info(*parseWeightFormat(op.getFormat())));
  int64_t capacity = cast<MemRefType>(op.getOuts().getType()).getDimSize(0);
  m.forEach(tasks.begin, tasks.end, 1, [&](Value panel) {
    forEachRowTile(m, op.getRows(), capacity, rowTile,
                   [&](ArrayRef<Value> rows) { panels.tile(panel, rows); });
  });
  op.erase();
  return success();
}

struct HexagonMatmul : PassWrapper<HexagonMatmul, OperationPass<ModuleOp>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(HexagonMatmul)
  StringRef getArgument() const override { return "hexagon-matmul"; }
  StringRef getDescription() const override { return "integer products on HVX"; }
  void getDependentDialects(DialectRegistry &registry) const override {
    registry.insert<arith::ArithDialect, math::MathDialect, memref::MemRefDialect, scf::SCFDialect,
                    vector::VectorDialect, LLVM::LLVMDialect>();
  }

  void runOnOperation() override {
    for (auto function : getOperation().getOps<func::FuncOp>()) {
      if (!function->hasAttr(kernelFunctionAttrName) || function.isExternal())
        continue;
      auto products = llvm::to_vector(function.getBody().front().getOps<MatmulIntegerOp>());
      // Malformed functions are kernel-to-loops' to report.
      if (products.size() != 1 || function.getNumArguments() < 2)
        continue;
      // Blocks are left to the default lowering, which uses the scalar cores.
      if (auto format = parseWeightFormat(products.front().getFormat());
          format && info(*format).block)
        continue;
      ArrayRef<BlockArgument> arguments = function.getArguments();
      TaskRange tasks{arguments[arguments.size() - 2], arguments.back()};
      if (failed(lower(products.front(), tasks)))
        return signalPassFailure();
    }
  }
};

} // namespace

std::unique_ptr<Pass> createHexagonMatmul() { return std::make_unique<HexagonMatmul>(); }

} // namespace gcompile
