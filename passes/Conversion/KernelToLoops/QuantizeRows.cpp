// quantize_rows: activations to int8 codes, one scale and one sum a group. Maxima are taken on the
// bits of absolute values, which order as the values do, and sums are integers: no order matters.
// With a static scale there are no maxima.
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "passes/Conversion/KernelToLoops/Emitters.h"
#include "passes/Conversion/KernelToLoops/PanelLoops.h"

using namespace mlir;

namespace gcompile::kernel {
namespace {

// Columns [first, first + 16) of a row, of which `count` exist.
struct Chunk {
  Value first;
  int64_t count;
};

class RowQuantizer {
public:
  RowQuantizer(VectorMath &m, QuantizeRowsOp op, Value row) : m(m), op(op), row(row) {
    if (isStatic())
      divisor = m.splat(m.loadScalar(op.getScale(), m.index(0)));
  }

  Value magnitudes(Value largest, Chunk chunk) {
    if (chunk.count <= 0 || isStatic())
      return largest;
    Value x = m.load(op.getX(), {row, chunk.first}, chunk.count);
    Value bits = m.bitAnd(m.bitcast(x, m.i32s()), 0x7fffffff);
    return arith::MaxSIOp::create(m.b, largest, bits);
  }

  // Scale of the group from the maxima of 16 lanes; remembers what codes() divides by.
  void setScale(Value group, Value largest) {
    if (isStatic())
      return m.storeScalar(m.loadScalar(op.getScale(), m.index(0)), op.getScales(), {row, group});
    Value bits = vector::ReductionOp::create(m.b, vector::CombiningKind::MAXSI, largest);
    Type f32 = m.b.getF32Type();
    Value scale = m.div(m.bitcast(bits, f32), m.constant(f32, 127));
    m.storeScalar(scale, op.getScales(), {row, group});
    // A group of zeros, or of values so small that the scale vanishes, gets zeros: any divisor of
    // normal size does that.
    Value isZero = arith::CmpFOp::create(m.b, arith::CmpFPredicate::OEQ, scale, m.constant(f32, 0));
    divisor = m.splat(m.select(isZero, m.constant(f32, 1), scale));
  }

  Value codes(Value sums, Chunk chunk) {
    VectorType bytes = VectorType::get(lanes, m.b.getI8Type());
    Value codes = m.integer(m.i32s(), 0);
    if (chunk.count > 0) {
      Value x = m.load(op.getX(), {row, chunk.first}, chunk.count);
      codes = isStatic() ? m.roundToInteger(m.clampToCodes(x, divisor)) : rowCodes(x);
    }
    m.store(arith::TruncIOp::create(m.b, bytes, codes), op.getCodes(), {row, chunk.first});
    return chunk.count > 0 ? arith::AddIOp::create(m.b, sums, codes).getResult() : sums;
  }

  Value rowCodes(Value x) {
    Value codes = m.roundToInteger(m.div(x, divisor));
    // Denormal scales are coarse, and what is not a number has any bits.
    codes = arith::MinSIOp::create(m.b, codes, m.integer(m.i32s(), 127));
    return arith::MaxSIOp::create(m.b, codes, m.integer(m.i32s(), -127));
  }

  void setSum(Value group, Value sums) {
    m.storeScalar(vector::ReductionOp::create(m.b, vector::CombiningKind::ADD, sums), op.getSums(),
                  {row, group});
  }

  void wholeRow(int64_t columns, int64_t padded);
  void group(Value index, Value first, int64_t size, int64_t count);

private:
  bool isStatic() { return bool(op.getScale()); }

  VectorMath &m;
  QuantizeRowsOp op;
  Value row, divisor;
};

void RowQuantizer::wholeRow(int64_t columns, int64_t padded) {
  constexpr int64_t unroll = 4;
  Value zero = m.integer(m.i32s(), 0);
  int64_t whole = columns / lanes;
  auto fold = [&](int64_t chunks, auto visit) {
    SmallVector<Value> parts(std::min(unroll, std::max<int64_t>(1, chunks)), zero);
    parts = forEachUnrolled(
        m, chunks, parts.size(), parts, [&](Value first, int64_t count, ValueRange carried) {
          SmallVector<Value> next(carried);
          for (int64_t i = 0; i < count; ++i)
            next[i] = visit(next[i], Chunk{m.muli(m.addi(first, i), lanes), lanes});
          return next;
        });
    return parts;
  };
  SmallVector<Value> largest{zero};
  if (!isStatic())
    largest = fold(whole, [&](Value value, Chunk chunk) { return magnitudes(value, chunk); });
  largest[0] = magnitudes(largest[0], {m.index(whole * lanes), columns - whole * lanes});
  for (size_t i = 1; i < largest.size(); ++i)
    largest[0] = arith::MaxSIOp::create(m.b, largest[0], largest[i]);
  setScale(m.index(0), largest[0]);
  SmallVector<Value> sums =
      fold(whole, [&](Value value, Chunk chunk) { return codes(value, chunk); });
  for (int64_t chunk = whole; chunk < padded / lanes; ++chunk)
    sums[0] = codes(sums[0], {m.index(chunk * lanes), columns - chunk * lanes});
  for (size_t i = 1; i < sums.size(); ++i)
    sums[0] = arith::AddIOp::create(m.b, sums[0], sums[i]);
  setSum(m.index(0), sums[0]);
}

void RowQuantizer::group(Value index, Value first, int64_t size, int64_t count) {
  Value largest = m.integer(m.i32s(), 0), sums = largest;
  auto chunkAt = [&](int64_t i) {
    return Chunk{m.addi(first, i), std::min<int64_t>(lanes, count - i)};
  };
  for (int64_t i = 0; i < size; i += lanes)
    largest = magnitudes(largest, chunkAt(i));
  setScale(index, largest);
  for (int64_t i = 0; i < size; i += lanes)
    sums = codes(sums, chunkAt(i));
  setSum(index, sums);
}

} // namespace

LogicalResult emit(OpBuilder &builder, QuantizeRowsOp op, TaskRange tasks, const TargetInfo &) {
  int64_t columns = cast<MemRefType>(op.getX().getType()).getDimSize(1);
  int64_t padded = cast<MemRefType>(op.getCodes().getType()).getDimSize(1);
  int64_t size = op.getGroup();
  if (size % lanes)
    return op.emitOpError() << "has group " << size << ", expected a multiple of " << lanes;
  VectorMath m(builder, op.getLoc());
  m.forEach(tasks.begin, tasks.end, 1, [&](Value row) {
    RowQuantizer quantizer(m, op, row);
    if (size == 0)
      return quantizer.wholeRow(columns, padded);
    int64_t whole = columns / size;
    m.forEach(m.index(0), m.index(whole), 1,
              [&](Value group) { quantizer.group(group, m.muli(group, size), size, size); });
    for (int64_t group = whole; group < padded / size; ++group)
      quantizer.group(m.index(group), m.index(group * size), size, columns - group * size);
  });
  return success();
}

} // namespace gcompile::kernel
