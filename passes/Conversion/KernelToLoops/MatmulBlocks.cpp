// Products with formats that have blocks (w4g128, q4_k, q6_k). Within a block, groups of 32 columns
// are added in order: s = fma(f32(Σ small scale · codes · activations), activation scale, s), whose
// integer is exact in f32, and for q4_k t = fma(f32(small minimum), activation scale · f32(Σ
// activations), t). A block then adds to the output: y = fma(scale, s, y), y = fma(−minimum scale,
// t, y).
#include "passes/Conversion/KernelToLoops/IntegerPanel.h"

using namespace mlir;

namespace gcompile::kernel {

SmallVector<int64_t> IntegerPanel::slots(int64_t from, int64_t to) const {
  SmallVector<int64_t> first;
  for (int64_t unit = from; unit < to; ++unit)
    for (int64_t field = 0; field < fields; ++field)
      for (int64_t part = 0; part < parts; ++part)
        first.push_back(firstOutput(unit, field, part));
  return first;
}

Value IntegerPanel::smallScales(Value bytes, int64_t output, bool isSigned) {
  Value narrow = m.loadAs(VectorType::get(dot.partLanes, m.b.getI8Type()), op.getWeights(),
                          m.addi(bytes, output));
  Type wide = dot.sumType();
  return toFloat(isSigned ? arith::ExtSIOp::create(m.b, wide, narrow).getResult()
                          : arith::ExtUIOp::create(m.b, wide, narrow).getResult());
}

// Two sub-groups of 16 columns with a scale each. Codes are low + 16 · high − 32.
SmallVector<Value> IntegerPanel::sixBitGroup(const ProductTile &tile, Value group, Value bytes) {
  ArrayRef<TileRow> rows = tile.rows;
  constexpr int64_t subColumns = 16, quadsOfSub = subColumns / 4;
  BlockLayout layout = blockLayout(format.format);
  SmallVector<int64_t> outputs = slots(0, units);
  SmallVector<Value> products(rows.size() * outputs.size()), sums = sumsOf(rows, group);
  Value firstColumn = m.muli(group, info(format.format).group);
  for (int64_t sub = 0; sub < 2; ++sub) {
    SmallVector<Value> own;
    for (auto [r, row] : llvm::enumerate(rows)) {
      if (sub == 1) {
        own.push_back(sums[r]); // what the first one left
        continue;
      }
      Value x = m.loadAs(VectorType::get(subColumns, m.b.getI8Type()), op.getCodes(),
                         {row.in, firstColumn});
      x = arith::ExtSIOp::create(m.b, m.i32s(), x);
      own.push_back(vector::ReductionOp::create(m.b, vector::CombiningKind::ADD, x));
      sums[r] = arith::SubIOp::create(m.b, sums[r], own[r]);
    }
    Value at = m.addi(bytes, sub * quadsOfSub * plane.quadBytes);
    Value quad = m.addi(m.muli(group, 2 * quadsOfSub), sub * quadsOfSub);
    SmallVector<Value> lows = dots(tile, own, at, quad, quadsOfSub, 0, units);
    SmallVector<Value> highs = high->dots(tile, own, at, quad, quadsOfSub, 0, high->unitCount());
    size_t i = 0;
    for (Value rowSum : own) {
      Value offset = m.splat(m.muli(rowSum, 32), dot.partLanes);
      for (int64_t output : outputs) {
        Value sum = m.addi(lows[i], m.shiftLeft(highs[i], 4));
        Value code = toFloat(arith::SubIOp::create(m.b, sum, offset));
        Value scale = smallScales(m.addi(bytes, layout.codeBytes + sub * panelWidth), output, true);
        products[i] = sub ? m.fma(code, scale, products[i]) : m.mul(code, scale);
        ++i;
      }
    }
  }
  return products;
}

SmallVector<Value> IntegerPanel::groupOfBlock(const ProductTile &tile, Value group, Value bytes,
                                              int64_t from, int64_t to) {
  if (high)
    return sixBitGroup(tile, group, bytes);
  ArrayRef<TileRow> rows = tile.rows;
  BlockLayout layout = blockLayout(format.format);
  int64_t count = format.group / 4;
  SmallVector<Value> sums =
      dots(tile, sumsOf(rows, group), bytes, m.muli(group, count), count, from, to);
  SmallVector<int64_t> outputs = slots(from, to);
  for (size_t i = 0; i < sums.size(); ++i) {
    sums[i] = toFloat(sums[i]);
    if (layout.subScaleColumns)
      sums[i] = m.mul(sums[i], smallScales(m.addi(bytes, layout.codeBytes),
                                           outputs[i % outputs.size()], false));
  }
  return sums;
}

SmallVector<Value> IntegerPanel::blockWise(const ProductTile &tile, int64_t from, int64_t to) {
  ArrayRef<TileRow> rows = tile.rows;
  BlockLayout layout = blockLayout(format.format);
  SmallVector<int64_t> outputs = slots(from, to);
  size_t size = rows.size() * outputs.size();
  int64_t groups = padded / format.group, groupsPerBlock = format.block / format.group;
  int64_t blocks = (groups + groupsPerBlock - 1) / groupsPerBlock;
  int64_t blockBytes = layout.headBytes + groupsPerBlock * layout.groupBytes;
  Value base = panelStart(tile);
  Value halves = m.viewBytes(op.getWeights(), m.b.getF16Type());
  Value zero = m.constant(m.f32s(dot.partLanes), 0);

  auto addGroup = [&](Value group, Value bytes, ValueRange carried) {
    SmallVector<Value> next(carried);
    prefetchStream(m, op.getWeights(), bytes, layout.groupBytes);
    SmallVector<Value> products = groupOfBlock(tile, group, bytes, from, to);
    size_t i = 0;
    for (TileRow row : rows) {
      Value scale = m.loadScalar(op.getScales(), {row.in, group}), sum;
      if (layout.hasMinima) {
        sum = m.loadScalar(op.getSums(), {row.in, group});
        sum = m.mul(scale, arith::SIToFPOp::create(m.b, m.b.getF32Type(), sum));
        sum = m.splat(sum, dot.partLanes);
      }
      scale = m.splat(scale, dot.partLanes);
      for (int64_t output : outputs) {
        next[i] = m.fma(products[i], scale, next[i]);
        if (layout.hasMinima) {
          Value minima = smallScales(m.addi(bytes, layout.codeBytes + panelWidth), output, false);
          next[size + i] = m.fma(minima, sum, next[size + i]);
        }
        ++i;
      }
    }
    return next;
  };
  auto addBlock = [&](Value block, int64_t, ValueRange carried) {
    SmallVector<Value> next(carried);
    Value start = m.addi(base, m.muli(block, blockBytes));
    Value first = m.muli(block, groupsPerBlock), count = m.index(groupsPerBlock);
    if (groups % groupsPerBlock)
      count = arith::MinUIOp::create(m.b, count, m.subi(m.index(groups), first));
    SmallVector<Value> sums(layout.hasMinima ? 2 * size : size, zero);
    sums = m.forEach(m.index(0), count, 1, sums, [&](Value group, ValueRange partial) {
      Value bytes = m.addi(m.addi(start, layout.headBytes), m.muli(group, layout.groupBytes));
      return addGroup(m.addi(first, group), bytes, partial);
    });
    Value scales = m.divi(start, 2);
    for (size_t i = 0; i < size; ++i) {
      Value place = m.addi(scales, outputs[i % outputs.size()]);
      next[i] = m.fma(loadHalf(m, halves, place, dot.partLanes), sums[i], next[i]);
      if (!layout.hasMinima)
        continue;
      Value minimum = loadHalf(m, halves, m.addi(place, panelWidth), dot.partLanes);
      minimum = arith::NegFOp::create(m.b, minimum);
      next[i] = m.fma(minimum, sums[size + i], next[i]);
    }
    return next;
  };
  return forEachUnrolled(m, blocks, 1, SmallVector<Value>(size, zero), addBlock);
}

} // namespace gcompile::kernel
