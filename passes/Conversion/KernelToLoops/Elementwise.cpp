// gelu_mul, gelu_mul_halves, add, soft_cap, round_rows, combine_experts: one function of 16 lanes
// each, over pieces of rows.
#include "ir/Kernel/Tasks.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "passes/Conversion/KernelToLoops/Emitters.h"
#include "passes/Conversion/KernelToLoops/VectorMath.h"

using namespace mlir;

namespace gcompile::kernel {
namespace {

// Calls `body` for each 16 columns of the tasks [begin, end): task = row · pieces + piece.
void forEachPiece(VectorMath &m, Value out, TaskRange tasks,
                  llvm::function_ref<void(Value row, Value column, int64_t count)> body) {
  int64_t columns = cast<MemRefType>(out.getType()).getDimSize(1);
  int64_t pieces = (columns + elementwiseTaskColumns - 1) / elementwiseTaskColumns;
  if (pieces <= 1) {
    m.forEach(tasks.begin, tasks.end, 1, [&](Value row) {
      m.forEachChunk(columns, [&](Value column, int64_t count) { body(row, column, count); });
    });
    return;
  }
  int64_t whole = columns / lanes * lanes;
  m.forEach(tasks.begin, tasks.end, 1, [&](Value task) {
    Value row = m.divi(task, pieces), piece = m.remi(task, pieces);
    Value from = m.muli(piece, elementwiseTaskColumns);
    Value to = arith::MinUIOp::create(m.b, m.addi(from, elementwiseTaskColumns), m.index(whole));
    m.forEach(from, to, lanes, [&](Value column) { body(row, column, lanes); });
    if (columns == whole)
      return;
    Value isLast = m.compare(arith::CmpIPredicate::eq, piece, m.index(pieces - 1));
    auto branch = scf::IfOp::create(m.b, isLast, /*withElseRegion=*/false);
    OpBuilder::InsertionGuard guard(m.b);
    m.b.setInsertionPoint(branch.thenBlock()->getTerminator());
    body(row, m.index(whole), columns - whole);
  });
}

} // namespace

LogicalResult emit(OpBuilder &builder, GeluMulOp op, TaskRange tasks, const TargetInfo &target) {
  VectorMath m(builder, op.getLoc());
  forEachPiece(m, op.getOuts(), tasks, [&](Value row, Value column, int64_t count) {
    Value gate = m.load(op.getGate(), {row, column}, count);
    Value up = m.load(op.getUp(), {row, column}, count);
    m.store(m.mul(m.geluTanh(gate), up), op.getOuts(), {row, column}, count);
  });
  return success();
}

LogicalResult emit(OpBuilder &builder, GeluMulHalvesOp op, TaskRange tasks, const TargetInfo &) {
  VectorMath m(builder, op.getLoc());
  int64_t half = cast<MemRefType>(op.getOuts().getType()).getDimSize(1);
  forEachPiece(m, op.getOuts(), tasks, [&](Value row, Value column, int64_t count) {
    Value gate = m.load(op.getX(), {row, column}, count);
    Value up = m.load(op.getX(), {row, m.addi(column, half)}, count);
    m.store(m.mul(m.geluTanh(gate), up), op.getOuts(), {row, column}, count);
  });
  return success();
}

LogicalResult emit(OpBuilder &builder, CombineExpertsOp op, TaskRange tasks, const TargetInfo &) {
  VectorMath m(builder, op.getLoc());
  int64_t ranks = cast<MemRefType>(op.getGates().getType()).getDimSize(1);
  forEachPiece(m, op.getOuts(), tasks, [&](Value row, Value column, int64_t count) {
    Value sum = m.f(0), first = m.muli(row, ranks);
    for (int64_t rank = 0; rank < ranks; ++rank) {
      Value gate = m.splat(m.loadScalar(op.getGates(), {row, m.index(rank)}));
      sum = m.fma(gate, m.load(op.getY(), {m.addi(first, rank), column}, count), sum);
    }
    m.store(sum, op.getOuts(), {row, column}, count);
  });
  return success();
}

LogicalResult emit(OpBuilder &builder, AddOp op, TaskRange tasks, const TargetInfo &target) {
  VectorMath m(builder, op.getLoc());
  double scale = op.getScale().convertToDouble();
  Value factor;
  if (op.getFactor())
    factor = m.splat(m.loadScalar(op.getFactor(), m.index(0)));
  forEachPiece(m, op.getOuts(), tasks, [&](Value row, Value column, int64_t count) {
    Value sum =
        m.add(m.load(op.getA(), {row, column}, count), m.load(op.getB(), {row, column}, count));
    if (scale != 1.0)
      sum = m.mul(sum, m.f(scale));
    if (factor)
      sum = m.mul(sum, factor);
    m.store(sum, op.getOuts(), {row, column}, count);
  });
  return success();
}

LogicalResult emit(OpBuilder &builder, RoundRowsOp op, TaskRange tasks, const TargetInfo &) {
  VectorMath m(builder, op.getLoc());
  Value scale = m.splat(m.loadScalar(op.getScale(), m.index(0)));
  forEachPiece(m, op.getOuts(), tasks, [&](Value row, Value column, int64_t count) {
    Value x = m.load(op.getX(), {row, column}, count);
    m.store(m.roundToCodes(x, scale), op.getOuts(), {row, column}, count);
  });
  return success();
}

LogicalResult emit(OpBuilder &builder, SoftCapOp op, TaskRange tasks, const TargetInfo &target) {
  VectorMath m(builder, op.getLoc());
  double cap = op.getCap().convertToDouble();
  forEachPiece(m, op.getOuts(), tasks, [&](Value row, Value column, int64_t count) {
    Value x = m.load(op.getX(), {row, column}, count);
    m.store(m.mul(m.tanh(m.div(x, m.f(cap))), m.f(cap)), op.getOuts(), {row, column}, count);
  });
  return success();
}

} // namespace gcompile::kernel
