// matmul_integer: x · Wᵀ for int8 activations and packed integer weights (P64). Sums over a row
// (channel-wise) or over a group are exact in int32; group sums are added in order, in f32, with
// one fused multiply-add each. So the instruction set and the tile change nothing in the result.
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "passes/Conversion/KernelToLoops/DotProducts.h"
#include "passes/Conversion/KernelToLoops/PanelLoops.h"

using namespace mlir;

namespace gcompile::kernel {
namespace {

constexpr int64_t panelWidth = 64, wideLanes = 16;

// How a panel is cut: a *unit* is the 64 bytes of one quad of k for 16 rows (w8), 32 (w4), or 64
// (w2); it has `fields` accumulators of 16 rows, each in `parts` registers.
class IntegerPanel {
public:
  IntegerPanel(VectorMath &m, MatmulIntegerOp op, const WeightFormatInfo &format, DotStrategy &dot)
      : m(m), op(op), format(format), dot(dot), fields(dot.fields), units(4 / fields),
        parts(wideLanes / dot.partLanes),
        padded(cast<MemRefType>(op.getCodes().getType()).getDimSize(1)),
        columns(cast<MemRefType>(op.getOuts().getType()).getDimSize(1)) {
    codes = m.viewBytes(flatten(m, op.getCodes()), m.b.getI32Type());
  }

  int64_t unitCount() const { return units; }
  // Outputs of the units [from, to) of a tile's panel.
  void tile(const ProductTile &tile, int64_t from, int64_t to);

private:
  // Everything that is kept for one unit and one row: [field][part].
  int64_t slotsPerUnit() const { return fields * parts; }
  int64_t firstOutput(int64_t unit, int64_t field, int64_t part) const {
    return (unit * fields + field) * wideLanes + part * dot.partLanes;
  }
  SmallVector<Value> initialSums(const ProductTile &tile, Value group, int64_t from, int64_t to);
  // Of this byte of a matrix in the whole blob.
  Value inMatrix(const ProductTile &tile, Value bytes) {
    return tile.matrix ? m.addi(bytes, tile.matrix) : bytes;
  }
  void quads(Value bytes, Value firstQuad, int64_t count, ArrayRef<TileRow> rows, int64_t from,
             int64_t to, MutableArrayRef<Value> sums);
  void finishSums(MutableArrayRef<Value> sums);
  SmallVector<Value> channelWise(const ProductTile &tile, int64_t from, int64_t to);
  SmallVector<Value> groupWise(const ProductTile &tile, int64_t from, int64_t to);
  Value toFloat(Value sums) { return arith::SIToFPOp::create(m.b, m.f32s(dot.partLanes), sums); }
  // Quads an iteration takes. With several rows more than one makes LLVM hold more activations at
  // once than there are registers.
  int64_t unrollFor(ArrayRef<TileRow> rows) const {
    return std::max<int64_t>(rows.size() == 1 ? 4 : 1, dot.quadsPerBatch());
  }

  VectorMath &m;
  MatmulIntegerOp op;
  const WeightFormatInfo &format;
  DotStrategy &dot;
  const int64_t fields, units, parts, padded, columns;
  Value codes; // activations as quads
};

SmallVector<Value> IntegerPanel::initialSums(const ProductTile &tile, Value group, int64_t from,
                                             int64_t to) {
  SmallVector<Value> sums;
  Value words = dot.startsAtCorrection() ? m.viewBytes(op.getWeights(), m.b.getI32Type()) : Value();
  for (TileRow row : tile.rows) {
    Value rowSum = m.loadScalar(op.getSums(), {row.in, group});
    for (int64_t unit = from; unit < to; ++unit)
      for (int64_t field = 0; field < fields; ++field) {
        int64_t factor = dot.sumFactor(field);
        Value start =
            factor ? m.splat(m.muli(rowSum, factor), dot.partLanes) : m.integer(dot.sumType(), 0);
        for (int64_t part = 0; part < parts; ++part) {
          if (!words) {
            sums.push_back(start);
            continue;
          }
          int64_t table = correctionOffset(format.format, columns, op.getColumns()) / 4;
          Value place =
              m.addi(m.muli(tile.panel, panelWidth), table + firstOutput(unit, field, part));
          if (tile.matrix)
            place = m.addi(place, m.divi(tile.matrix, 4));
          sums.push_back(m.loadAs(dot.sumType(), words, place));
        }
      }
  }
  return sums;
}

// Adds `count` quads, of which the first lies at byte `bytes` of the weights.
void IntegerPanel::quads(Value bytes, Value firstQuad, int64_t count, ArrayRef<TileRow> rows,
                         int64_t from, int64_t to, MutableArrayRef<Value> sums) {
  constexpr int64_t unitBytes = 64;
  SmallVector<SmallVector<Value>> x;
  for (TileRow row : rows)
    x.push_back(dot.activations(codes, m.addi(m.muli(row.in, padded / 4), firstQuad), count));
  VectorType partType = VectorType::get(4 * dot.partLanes, m.b.getI8Type());
  // In the order of memory, which hardware prefetchers follow.
  int64_t batch = std::min(count, dot.quadsPerBatch());
  for (int64_t begin = 0; begin < count; begin += batch) {
    bool isPartial = dot.quadsPerBatch() > 1;
    SmallVector<Value> partial(isPartial ? sums.size() : 0);
    MutableArrayRef<Value> into = isPartial ? MutableArrayRef<Value>(partial) : sums;
    for (int64_t q = begin; q < std::min(count, begin + batch); ++q)
      for (int64_t unit = from; unit < to; ++unit)
        for (int64_t part = 0; part < parts; ++part) {
          int64_t offset = (q * units + unit) * unitBytes + part * 4 * dot.partLanes;
          Value weights = m.loadAs(partType, op.getWeights(), m.addi(bytes, offset));
          for (size_t r = 0; r < rows.size(); ++r) {
            SmallVector<Value> own;
            size_t first = (r * (to - from) + unit - from) * slotsPerUnit() + part;
            for (int64_t field = 0; field < fields; ++field)
              own.push_back(into[first + field * parts]);
            dot.accumulate(own, weights, x[r][q]);
            for (int64_t field = 0; field < fields; ++field)
              into[first + field * parts] = own[field];
          }
        }
    for (size_t i = 0; i < partial.size(); ++i)
      sums[i] = dot.addPartial(sums[i], partial[i]);
  }
}

void IntegerPanel::finishSums(MutableArrayRef<Value> sums) {
  for (size_t first = 0; first < sums.size(); first += slotsPerUnit())
    for (int64_t part = 0; part < parts; ++part) {
      SmallVector<Value> own;
      for (int64_t field = 0; field < fields; ++field)
        own.push_back(sums[first + field * parts + part]);
      dot.finish(own);
      for (int64_t field = 0; field < fields; ++field)
        sums[first + field * parts + part] = own[field];
    }
}

SmallVector<Value> IntegerPanel::channelWise(const ProductTile &tile, int64_t from, int64_t to) {
  ArrayRef<TileRow> rows = tile.rows;
  int64_t quadBytes = panelWidth * format.bits / 2;
  Value base = inMatrix(tile, m.muli(tile.panel, panelBytes(format.format, op.getColumns())));
  SmallVector<Value> sums = initialSums(tile, m.index(0), from, to);
  // The four accumulators of a single row in wide registers would wait for each other: quads take
  // turns between two sets.
  size_t size = sums.size(), sets = rows.size() == 1 && parts == 1 ? 2 : 1;
  sums.append((sets - 1) * size, m.integer(dot.sumType(), 0));
  sums = forEachUnrolled(m, padded / 4, unrollFor(rows), sums,
                         [&](Value quad, int64_t count, ValueRange carried) {
                           SmallVector<Value> next(carried);
                           Value bytes = m.addi(base, m.muli(quad, quadBytes));
                           prefetchStream(m, op.getWeights(), bytes, count * quadBytes);
                           if (sets == 1) {
                             quads(bytes, quad, count, rows, from, to, next);
                             return next;
                           }
                           for (int64_t i = 0; i < count; ++i)
                             quads(m.addi(bytes, i * quadBytes), m.addi(quad, i), 1, rows, from, to,
                                   MutableArrayRef<Value>(next).slice(i % sets * size, size));
                           return next;
                         });
  for (size_t i = 0; sets == 2 && i < size; ++i)
    sums[i] = m.addi(sums[i], sums[size + i]);
  sums.truncate(size);
  finishSums(sums);

  Value scales = m.viewBytes(op.getWeights(), m.b.getF32Type());
  int64_t table = scalesOffset(format.format, columns, op.getColumns()) / 4;
  Value first = m.addi(m.muli(tile.panel, panelWidth), table);
  if (tile.matrix)
    first = m.addi(first, m.divi(tile.matrix, 4));
  size_t i = 0;
  for (TileRow row : rows) {
    Value scale = m.splat(m.loadScalar(op.getScales(), {row.in, m.index(0)}), dot.partLanes);
    for (int64_t unit = from; unit < to; ++unit)
      for (int64_t field = 0; field < fields; ++field)
        for (int64_t part = 0; part < parts; ++part, ++i) {
          Value place = m.addi(first, firstOutput(unit, field, part));
          Value weightScale = m.loadAs(m.f32s(dot.partLanes), scales, place);
          sums[i] = m.mul(m.mul(toFloat(sums[i]), scale), weightScale);
        }
  }
  return sums;
}

SmallVector<Value> IntegerPanel::groupWise(const ProductTile &tile, int64_t from, int64_t to) {
  ArrayRef<TileRow> rows = tile.rows;
  int64_t group = format.group, quadBytes = panelWidth * format.bits / 2;
  int64_t codeBytes = group / 4 * quadBytes, blockBytes = codeBytes + 2 * panelWidth;
  Value base = inMatrix(tile, m.muli(tile.panel, panelBytes(format.format, op.getColumns())));
  Value halves = m.viewBytes(op.getWeights(), m.b.getF16Type());
  SmallVector<Value> outputs(rows.size() * (to - from) * slotsPerUnit(),
                             m.constant(m.f32s(dot.partLanes), 0));
  auto block = [&](Value number, int64_t, ValueRange carried) {
    SmallVector<Value> next(carried);
    Value start = m.addi(base, m.muli(number, blockBytes));
    SmallVector<Value> sums = initialSums(tile, number, from, to);
    prefetchStream(m, op.getWeights(), start, blockBytes);
    Value firstQuad = m.muli(number, group / 4);
    for (int64_t quad = 0, step = 8; quad < group / 4; quad += step)
      quads(m.addi(start, quad * quadBytes), m.addi(firstQuad, quad), step, rows, from, to, sums);
    finishSums(sums);
    Value scales = m.divi(m.addi(start, codeBytes), 2);
    size_t i = 0;
    for (TileRow row : rows) {
      Value scale = m.splat(m.loadScalar(op.getScales(), {row.in, number}), dot.partLanes);
      for (int64_t unit = from; unit < to; ++unit)
        for (int64_t field = 0; field < fields; ++field)
          for (int64_t part = 0; part < parts; ++part, ++i) {
            Value place = m.addi(scales, firstOutput(unit, field, part));
            Value weightScale = loadHalf(m, halves, place, dot.partLanes);
            next[i] = m.fma(toFloat(sums[i]), m.mul(scale, weightScale), next[i]);
          }
    }
    return next;
  };
  return forEachUnrolled(m, padded / group, 1, outputs, block);
}

void IntegerPanel::tile(const ProductTile &tile, int64_t from, int64_t to) {
  SmallVector<Value> outputs =
      format.group ? groupWise(tile, from, to) : channelWise(tile, from, to);
  SmallVector<PanelPiece> pieces;
  size_t i = 0;
  for (TileRow row : tile.rows)
    for (int64_t unit = from; unit < to; ++unit)
      for (int64_t field = 0; field < fields; ++field)
        for (int64_t part = 0; part < parts; ++part, ++i)
          pieces.push_back({row.out, firstOutput(unit, field, part), outputs[i]});
  storePanel(m, op.getOuts(), tile.panel, pieces);
}

// Rows of a tile, and units of a panel that it covers at once, such that accumulators leave room
// for operands in the registers.
struct TileShape {
  int64_t rows, units;
};
TileShape tileShape(const WeightFormatInfo &format, const TargetInfo &target, int64_t units) {
  bool isGrouped = format.group != 0;
  if (target.wideRegisters() >= 32)
    return {isGrouped ? 2 : 4, units};
  switch (format.bits) {
  case 8:
    return {isGrouped ? 2 : 4, 1};
  case 4:
    return {isGrouped ? 1 : 2, 1};
  default:
    return {1, 1};
  }
}

} // namespace

LogicalResult emit(OpBuilder &builder, MatmulIntegerOp op, TaskRange tasks,
                   const TargetInfo &target) {
  // Σ 255 · 127 over k has to stay below 2³¹.
  constexpr int64_t mostColumns = 65536;
  if (op.getColumns() > mostColumns)
    return op.emitOpError() << "has " << op.getColumns() << " columns; sums in int32 hold "
                            << mostColumns;
  const WeightFormatInfo &format = info(*parseWeightFormat(op.getFormat()));
  VectorMath m(builder, op.getLoc());
  std::unique_ptr<DotStrategy> single = makeDotStrategy(m, format, target, RowCount::One);
  std::unique_ptr<DotStrategy> several = makeDotStrategy(m, format, target, RowCount::Several);
  IntegerPanel singleRow(m, op, format, *single), severalRows(m, op, format, *several);
  int64_t units = singleRow.unitCount();
  TileShape shape = tileShape(format, target, units);
  ProductShape product = productShape(op, op.getCodes(), op.getColumns());
  forEachProductTile(m, product, tasks, shape.rows, [&](const ProductTile &tile) {
    if (tile.rows.size() == 1)
      return singleRow.tile(tile, 0, units);
    for (int64_t unit = 0; unit < units; unit += shape.units)
      severalRows.tile(tile, unit, std::min(units, unit + shape.units));
  });
  return success();
}

} // namespace gcompile::kernel
