// append_kv: rows of K and V into a cache, quantized on the way.
//
// Tasks never touch the same byte: a task is one (row, head), except for a 4-bit K, where tokens t
// and t + 16 share bytes and a task is all rows of one head (ir/Kernel/Tasks.h). Quantization:
// scale = absmax / maxCode, code = round_half_even(x / scale), clamped (a scale that is subnormal
// has few bits); a row of zeros has scale 0 and codes 0. Padding dims get code or value 0. A static
// scale is stored beside each row like any other, so that readers need not know.
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "passes/Conversion/KernelToLoops/Emitters.h"
#include "passes/Conversion/KernelToLoops/KvAccess.h"

using namespace mlir;

namespace gcompile::kernel {
namespace {

struct Place {
  Value row, head, slot, firstColumn;
};

class AppendEmitter {
public:
  AppendEmitter(VectorMath &m, AppendKvOp op)
      : m(m), op(op), cache(m, op.getCache(), op.getKFormat(), op.getVFormat(), op.getHeads(),
                            op.getHeadDim(), op.getCapacity()) {}

  void emit(TaskRange tasks) {
    int64_t heads = op.getHeads();
    if (!cache.derivesKeys && cache.kFormat == KvFormat::Kv4) {
      m.forEach(tasks.begin, tasks.end, 1, [&](Value head) {
        m.forEach(m.index(0), op.getRows(), 1, [&](Value row) { appendRow(row, head); });
      });
      return;
    }
    m.forEach(tasks.begin, tasks.end, 1,
              [&](Value task) { appendRow(m.divi(task, heads), m.remi(task, heads)); });
  }

private:
  void appendRow(Value row, Value head) {
    Place place{row, head, m.remi(m.addi(op.getPosition(), row), cache.capacity),
                m.muli(head, cache.headDim)};
    if (cache.derivesKeys)
      ; // V is all there is
    else if (isQuantized(cache.kFormat))
      appendCodesK(place);
    else
      appendValuesK(place);
    if (isQuantized(cache.vFormat))
      appendCodesV(place);
    else
      appendValuesV(place);
  }

  Value loadChunk(Value rows, const Place &place, Value column, int64_t count) {
    return m.load(rows, {place.row, m.addi(place.firstColumn, column)}, count);
  }

  Value toElement(Value values, KvFormat format) {
    if (format != KvFormat::F16)
      return values;
    return arith::TruncFOp::create(m.b, VectorType::get(lanes, m.b.getF16Type()), values);
  }

  void appendValuesK(const Place &place) {
    Value base = m.addi(cache.kBlock(place.head, m.divi(place.slot, 16)), m.remi(place.slot, 16));
    m.forEachChunk(cache.headDim, [&](Value column, int64_t count) {
      Value values = toElement(loadChunk(op.getK(), place, column, count), cache.kFormat);
      Value first = m.addi(base, m.muli(column, 16));
      for (int64_t i = 0; i < lanes; ++i)
        m.storeScalar(m.extract(values, i), cache.kView(), m.addi(first, 16 * i));
    });
  }

  void appendValuesV(const Place &place) {
    Value base = cache.vRow(place.head, place.slot);
    m.forEachChunk(cache.headDim, [&](Value column, int64_t count) {
      Value values = toElement(loadChunk(op.getV(), place, column, count), cache.vFormat);
      m.store(values, cache.vView(), m.addi(base, column));
    });
  }

  // Codes of one row: what values are divided by, and the codes between which they lie.
  struct Codes {
    Value divisor;
    double least, most;
    int64_t offset; // of codes as they are stored
  };

  // Stores the row's scale.
  Codes appendScale(Value rows, Value fixedScale, const Place &place, Value scales, double most,
                    int64_t offset) {
    if (fixedScale) {
      Value scale = m.loadScalar(fixedScale, m.index(0));
      m.storeScalar(scale, cache.f32View, m.addi(scales, place.slot));
      return {m.splat(scale), -most - 1, most, offset};
    }
    Value maxima =
        m.forEachChunk(cache.headDim, m.f(0), [&](Value column, int64_t count, Value maxima) {
          return m.max(m.abs(loadChunk(rows, place, column, count)), maxima);
        });
    Type f32 = m.b.getF32Type();
    Value scale = m.div(m.maxOfLanes(maxima), m.constant(f32, most));
    m.storeScalar(scale, cache.f32View, m.addi(scales, place.slot));
    Value zero = m.constant(f32, 0);
    Value isZero = arith::CmpFOp::create(m.b, arith::CmpFPredicate::OEQ, scale, zero);
    return {m.splat(m.select(isZero, m.constant(f32, INFINITY), scale)), -most, most, offset};
  }

  // Sixteen codes, offset, as i8 lanes.
  Value codes(Value values, const Codes &as) {
    Value quotient = m.min(m.max(m.div(values, as.divisor), m.f(as.least)), m.f(as.most));
    Value code =
        arith::AddIOp::create(m.b, m.roundToInteger(quotient), m.integer(m.i32s(), as.offset));
    return arith::TruncIOp::create(m.b, VectorType::get(lanes, m.b.getI8Type()), code);
  }

  void appendCodesK(const Place &place) {
    bool isNibbles = cache.kFormat == KvFormat::Kv4;
    Codes as = appendScale(op.getK(), op.getKeyScale(), place, cache.kScales(place.head),
                           isNibbles ? 7 : 127, isNibbles ? 8 : 128);
    Value block = m.divi(place.slot, cache.kBlockTokens());
    Value base = m.addi(cache.kBlock(place.head, block), m.remi(place.slot, 16));
    Type i32 = m.b.getI32Type();
    Value shift, keep;
    if (isNibbles) {
      Value high = m.remi(m.divi(place.slot, 16), 2);
      shift = m.muli(arith::IndexCastOp::create(m.b, i32, high), 4);
      keep = arith::ShRUIOp::create(m.b, m.integer(i32, int32_t(0xf0f0f0f0)), shift);
    }
    m.forEachChunk(cache.headDim, [&](Value column, int64_t count) {
      Value bytes = codes(loadChunk(op.getK(), place, column, count), as);
      Value words = m.bitcast(bytes, m.i32s(4));
      Value first = m.addi(base, m.muli(column, 4));
      for (int64_t i = 0; i < 4; ++i) {
        Value at = m.addi(first, 16 * i);
        Value word = m.extract(words, i);
        if (isNibbles) {
          Value other = arith::AndIOp::create(m.b, m.loadScalar(cache.wordView, at), keep);
          word = arith::OrIOp::create(m.b, arith::ShLIOp::create(m.b, word, shift), other);
        }
        m.storeScalar(word, cache.wordView, at);
      }
    });
  }

  void appendCodesV(const Place &place) {
    bool isNibbles = cache.vFormat == KvFormat::Kv4;
    Codes as = appendScale(op.getV(), op.getValueScale(), place, cache.vScales(place.head),
                           isNibbles ? 7 : 127, isNibbles ? 8 : 0);
    Value base = cache.vBlock(place.head, m.divi(place.slot, 64));
    Value token = m.remi(place.slot, 64);
    // In bytes: quads of tokens are 64 apart, tokens of a quad adjacent, dims 4 apart.
    base = m.addi(m.muli(base, 4), m.addi(m.muli(m.divi(token, 4), 64), m.remi(token, 4)));
    auto storeBytes = [&](Value bytes, Value first) {
      for (int64_t i = 0; i < lanes; ++i)
        m.storeScalar(m.extract(bytes, i), cache.byteView, m.addi(first, 4 * i));
    };
    if (!isNibbles) {
      m.forEachChunk(cache.headDim, [&](Value column, int64_t count) {
        Value bytes = codes(loadChunk(op.getV(), place, column, count), as);
        storeBytes(bytes, m.addi(base, m.muli(column, 64)));
      });
      return;
    }
    // Dims d and d + 16 share bytes: 32 at a time; the upper half may be cut or missing.
    auto appendPair = [&](Value column, int64_t count) {
      Value low = codes(loadChunk(op.getV(), place, column, std::min(count, lanes)), as);
      Value high = m.integer(low.getType(), 8);
      if (count > lanes)
        high = codes(loadChunk(op.getV(), place, m.addi(column, lanes), count - lanes), as);
      Value bytes = arith::OrIOp::create(m.b, low, m.shiftLeft(high, 4));
      storeBytes(bytes, m.addi(base, m.muli(column, 32)));
    };
    int64_t whole = cache.headDim / 32 * 32;
    if (whole)
      m.forEach(m.index(0), m.index(whole), 32, [&](Value column) { appendPair(column, 32); });
    if (whole != cache.headDim)
      appendPair(m.index(whole), cache.headDim - whole);
  }

  VectorMath &m;
  AppendKvOp op;
  KvAccess cache;
};

} // namespace

LogicalResult emit(OpBuilder &builder, AppendKvOp op, TaskRange tasks, const TargetInfo &target) {
  VectorMath m(builder, op.getLoc());
  AppendEmitter(m, op).emit(tasks);
  return success();
}

} // namespace gcompile::kernel
