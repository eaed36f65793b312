// choose_experts and group_rows (docs/decisions/0008): which experts a row takes, and which rows an
// expert. Orders are total and sums have one order, so the result depends on nothing else.
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "passes/Conversion/KernelToLoops/Emitters.h"
#include "passes/Conversion/KernelToLoops/VectorMath.h"

using namespace mlir;

namespace gcompile::kernel {
namespace {

class RowChooser {
public:
  RowChooser(VectorMath &m, ChooseExpertsOp op, Value row)
      : m(m), op(op), row(row), f32(m.b.getF32Type()), i32(m.b.getI32Type()), i64(m.b.getI64Type()),
        experts(cast<MemRefType>(op.getRouter().getType()).getDimSize(1)),
        ranks(cast<MemRefType>(op.getExperts().getType()).getDimSize(1)) {}

  void choose();
  void weigh();

private:
  Value logit(Value expert) {
    Value l = m.mul(m.loadScalar(op.getRouter(), {row, expert}),
                    m.constant(f32, op.getScale().convertToDouble()));
    return m.add(l, m.constant(f32, 0)); // −0 becomes 0: they are equal
  }
  // Orders as the logit does, equal logits by falling number of the expert; no two are the same.
  // The bits of a float order as it does once those of negative ones are turned.
  Value sortKey(Value expert) {
    Value bits = m.bitcast(logit(expert), i32);
    Value turned = m.bitAnd(m.shiftRightSigned(bits, 31), 0x7fffffff);
    Value ordered = arith::XOrIOp::create(m.b, bits, turned);
    Value high = m.shiftLeft(arith::ExtSIOp::create(m.b, i64, ordered), 32);
    Value number = arith::IndexCastUIOp::create(m.b, i64, expert);
    return m.addi(high, m.subi(m.integer(i64, lowest), number));
  }

  static constexpr int64_t lowest = 0x7fffffff; // of expert 0

  VectorMath &m;
  ChooseExpertsOp op;
  Value row;
  Type f32, i32, i64;
  int64_t experts, ranks;
};

// Rank by rank the largest key below the last one.
void RowChooser::choose() {
  Value zero = m.index(0);
  Value none = m.integer(i64, INT64_MAX);
  m.forEach(zero, m.index(ranks), 1, none, [&](Value rank, ValueRange last) {
    Value least = m.integer(i64, INT64_MIN);
    SmallVector<Value> best =
        m.forEach(zero, m.index(experts), 1, least, [&](Value expert, ValueRange carried) {
          Value key = sortKey(expert);
          Value fits = m.compare(arith::CmpIPredicate::slt, key, last[0]);
          Value candidate = m.select(fits, key, carried[0]);
          return SmallVector<Value>{arith::MaxSIOp::create(m.b, carried[0], candidate)};
        });
    Value number = m.subi(m.integer(i64, lowest), m.bitAnd(best[0], 0xffffffff));
    m.storeScalar(arith::TruncIOp::create(m.b, i32, number), op.getExperts(), {row, rank});
    return best;
  });
}

void RowChooser::weigh() {
  Value zero = m.index(0), end = m.index(ranks);
  auto expertOf = [&](Value rank) { return m.toIndex(m.loadScalar(op.getExperts(), {row, rank})); };
  Value largest = logit(expertOf(zero));
  m.forEach(zero, end, 1, [&](Value rank) {
    m.storeScalar(m.sub(logit(expertOf(rank)), largest), op.getGates(), {row, rank});
  });
  m.forEachChunk(ranks, [&](Value rank, int64_t count) {
    Value weights = m.exp(m.load(op.getGates(), {row, rank}, count));
    m.store(weights, op.getGates(), {row, rank}, count);
  });
  Value sum = m.forEach(zero, end, 1, m.constant(f32, 0), [&](Value rank, ValueRange carried) {
    return SmallVector<Value>{m.add(carried[0], m.loadScalar(op.getGates(), {row, rank}))};
  })[0];
  m.forEach(zero, end, 1, [&](Value rank) {
    Value share = m.div(m.loadScalar(op.getGates(), {row, rank}), sum);
    Value scale = m.loadScalar(op.getExpertScale(), expertOf(rank));
    m.storeScalar(m.mul(share, scale), op.getGates(), {row, rank});
  });
}

} // namespace

LogicalResult emit(OpBuilder &builder, ChooseExpertsOp op, TaskRange tasks, const TargetInfo &) {
  VectorMath m(builder, op.getLoc());
  m.forEach(tasks.begin, tasks.end, 1, [&](Value row) {
    RowChooser chooser(m, op, row);
    chooser.choose();
    chooser.weigh();
  });
  return success();
}

LogicalResult emit(OpBuilder &builder, GroupRowsOp op, TaskRange tasks, const TargetInfo &) {
  VectorMath m(builder, op.getLoc());
  Type i32 = m.b.getI32Type();
  int64_t ranks = cast<MemRefType>(op.getExperts().getType()).getDimSize(1);
  int64_t experts = cast<MemRefType>(op.getPlaces().getType()).getDimSize(0);
  int64_t entries = cast<MemRefType>(op.getStarts().getType()).getDimSize(0);
  Value zero = m.index(0), one = m.index(1), none = m.integer(i32, 0);
  auto narrow = [&](Value index) -> Value { return arith::IndexCastUIOp::create(m.b, i32, index); };
  auto expertOf = [&](Value slot) {
    return m.toIndex(m.loadScalar(op.getExperts(), {m.divi(slot, ranks), m.remi(slot, ranks)}));
  };
  m.forEach(tasks.begin, tasks.end, 1, [&](Value) {
    Value slots = m.muli(op.getRows(), ranks);
    m.forEach(zero, m.index(experts), 1,
              [&](Value expert) { m.storeScalar(none, op.getPlaces(), expert); });
    m.forEach(zero, slots, 1, [&](Value slot) {
      Value expert = expertOf(slot);
      m.storeScalar(m.addi(m.loadScalar(op.getPlaces(), expert), 1), op.getPlaces(), expert);
    });
    // Counts become places; the entry behind the last group is written over or filled below.
    SmallVector<Value> end =
        m.forEach(zero, m.index(experts), 1, {zero, none}, [&](Value expert, ValueRange carried) {
          Value group = carried[0], at = carried[1];
          Value count = m.loadScalar(op.getPlaces(), expert);
          m.storeScalar(at, op.getStarts(), group);
          m.storeScalar(narrow(expert), op.getChosen(), group);
          m.storeScalar(at, op.getPlaces(), expert);
          Value used = m.compare(arith::CmpIPredicate::ne, count, none);
          return SmallVector<Value>{m.addi(group, m.select(used, one, zero)), m.addi(at, count)};
        });
    m.forEach(end[0], m.index(entries), 1, [&](Value group) {
      m.storeScalar(end[1], op.getStarts(), group);
      m.storeScalar(none, op.getChosen(), group);
    });
    m.forEach(zero, slots, 1, [&](Value slot) {
      Value expert = expertOf(slot);
      Value place = m.loadScalar(op.getPlaces(), expert);
      m.storeScalar(narrow(slot), op.getMembers(), m.toIndex(place));
      m.storeScalar(m.addi(place, 1), op.getPlaces(), expert);
    });
  });
  return success();
}

} // namespace gcompile::kernel
