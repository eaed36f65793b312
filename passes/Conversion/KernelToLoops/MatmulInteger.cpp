// matmul_integer: x · Wᵀ for int8 activations and packed integer weights (P64). Sums over a row
// (channel-wise) or over a group are exact in int32; group sums are added in order, in f32, with
// one fused multiply-add each. So the instruction set and the tile change nothing in the result.
// Formats with blocks sum their groups first, multiplied by small scales (exact), and then multiply
// by the block's scale.
#include "passes/Conversion/KernelToLoops/IntegerPanel.h"

using namespace mlir;

namespace gcompile::kernel {

// Sums of the activations of a group, one for each row.
SmallVector<Value> IntegerPanel::sumsOf(ArrayRef<TileRow> rows, Value group) {
  return llvm::map_to_vector(
      rows, [&](TileRow row) { return m.loadScalar(op.getSums(), {row.in, group}); });
}

Value IntegerPanel::panelStart(const ProductTile &tile) {
  Value bytes = m.muli(tile.panel, panelBytes(format.format, op.getColumns()));
  return tile.matrix ? m.addi(bytes, tile.matrix) : bytes;
}

SmallVector<Value> IntegerPanel::initialSums(const ProductTile &tile, ArrayRef<Value> rowSums,
                                             int64_t from, int64_t to) {
  SmallVector<Value> sums;
  Value words = dot.startsAtCorrection() ? m.viewBytes(op.getWeights(), m.b.getI32Type()) : Value();
  for (Value rowSum : rowSums) {
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
          int64_t offset =
              q * plane.quadBytes + plane.offset + unit * unitBytes + part * 4 * dot.partLanes;
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

SmallVector<Value> IntegerPanel::dots(const ProductTile &tile, ArrayRef<Value> rowSums, Value bytes,
                                      Value firstQuad, int64_t count, int64_t from, int64_t to) {
  SmallVector<Value> sums = initialSums(tile, rowSums, from, to);
  for (int64_t quad = 0, step = std::min<int64_t>(8, count); quad < count; quad += step)
    quads(m.addi(bytes, quad * plane.quadBytes), m.addi(firstQuad, quad), step, tile.rows, from, to,
          sums);
  finishSums(sums);
  return sums;
}

SmallVector<Value> IntegerPanel::channelWise(const ProductTile &tile, int64_t from, int64_t to) {
  ArrayRef<TileRow> rows = tile.rows;
  int64_t quadBytes = plane.quadBytes;
  Value base = panelStart(tile);
  SmallVector<Value> sums = initialSums(tile, sumsOf(rows, m.index(0)), from, to);
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
  int64_t group = format.group;
  int64_t codeBytes = group / 4 * plane.quadBytes, blockBytes = codeBytes + 2 * panelWidth;
  Value base = panelStart(tile);
  Value halves = m.viewBytes(op.getWeights(), m.b.getF16Type());
  SmallVector<Value> outputs(rows.size() * (to - from) * slotsPerUnit(),
                             m.constant(m.f32s(dot.partLanes), 0));
  auto block = [&](Value number, int64_t, ValueRange carried) {
    SmallVector<Value> next(carried);
    Value start = m.addi(base, m.muli(number, blockBytes));
    prefetchStream(m, op.getWeights(), start, blockBytes);
    SmallVector<Value> sums =
        dots(tile, sumsOf(rows, number), start, m.muli(number, group / 4), group / 4, from, to);
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
  SmallVector<Value> outputs = format.block   ? blockWise(tile, from, to)
                               : format.group ? groupWise(tile, from, to)
                                              : channelWise(tile, from, to);
  SmallVector<PanelPiece> pieces;
  size_t i = 0;
  for (TileRow row : tile.rows)
    for (int64_t unit = from; unit < to; ++unit)
      for (int64_t field = 0; field < fields; ++field)
        for (int64_t part = 0; part < parts; ++part, ++i)
          pieces.push_back({row.out, firstOutput(unit, field, part), outputs[i]});
  storePanel(m, op.getOuts(), tile.panel, op.getRounding(), pieces);
}

namespace {

// Rows of a tile, and units of a panel that it covers at once, such that accumulators leave room
// for operands in the registers.
struct TileShape {
  int64_t rows, units;
};
TileShape tileShape(const WeightFormatInfo &format, const TargetInfo &target, int64_t units) {
  bool isGrouped = format.group != 0;
  // The two planes of six bits have different units: all of them together.
  if (format.bits == 6)
    return {target.wideRegisters() >= 32 ? 2 : 1, units};
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

// The panel with the dot products for one or for several rows; of six bits, its two planes.
class PanelOfRows {
public:
  PanelOfRows(VectorMath &m, MatmulIntegerOp op, const WeightFormatInfo &format,
              const TargetInfo &target, RowCount rows) {
    bool isSixBits = format.bits == 6;
    if (isSixBits)
      add(m, op, sixBitPlane(2), target, rows, {128, 192}, nullptr);
    add(m, op, isSixBits ? sixBitPlane(4) : format, target, rows,
        {0, isSixBits ? 192 : panelWidth * format.bits / 2},
        isSixBits ? planes.front().get() : nullptr);
  }
  IntegerPanel &panel() { return *planes.back(); }

private:
  static const WeightFormatInfo &sixBitPlane(unsigned bits) {
    static constexpr WeightFormatInfo nibbles = {WeightFormat::Q6K, "", 4, 32, true, 0, 0, 15, 256},
                                      pairs = {WeightFormat::Q6K, "", 2, 32, true, 0, 0, 3, 256};
    return bits == 4 ? nibbles : pairs;
  }
  void add(VectorMath &m, MatmulIntegerOp op, const WeightFormatInfo &format,
           const TargetInfo &target, RowCount rows, Plane plane, IntegerPanel *high) {
    CodeRange range = op.getFullRange() ? CodeRange::Full : CodeRange::Symmetric;
    dots.push_back(makeDotStrategy(m, format, target, rows, range));
    planes.push_back(std::make_unique<IntegerPanel>(m, op, format, *dots.back(), plane, high));
  }

  SmallVector<std::unique_ptr<DotStrategy>> dots;
  SmallVector<std::unique_ptr<IntegerPanel>> planes;
};

} // namespace

LogicalResult emit(OpBuilder &builder, MatmulIntegerOp op, TaskRange tasks,
                   const TargetInfo &target) {
  // Σ 255 · 128 over k has to stay below 2³¹.
  constexpr int64_t mostColumns = 65536;
  if (op.getColumns() > mostColumns)
    return op.emitOpError() << "has " << op.getColumns() << " columns; sums in int32 hold "
                            << mostColumns;
  const WeightFormatInfo &format = info(*parseWeightFormat(op.getFormat()));
  VectorMath m(builder, op.getLoc());
  PanelOfRows singleRow(m, op, format, target, RowCount::One);
  PanelOfRows severalRows(m, op, format, target, RowCount::Several);
  int64_t units = singleRow.panel().unitCount();
  TileShape shape = tileShape(format, target, units);
  ProductShape product = productShape(op, op.getCodes(), op.getColumns());
  forEachProductTile(m, product, tasks, shape.rows, [&](const ProductTile &tile) {
    if (tile.rows.size() == 1)
      return singleRow.panel().tile(tile, 0, units);
    for (int64_t unit = 0; unit < units; unit += shape.units)
      severalRows.panel().tile(tile, unit, std::min(units, unit + shape.units));
  });
  return success();
}

} // namespace gcompile::kernel
