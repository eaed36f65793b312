// rope_table and rope: rotary positions.
//
// Table: the angle is the f32 product of the f32 position and the frequency, as the reference has
// it; its cosine and sine are exact to f32. Rotation: half-split pairs, the second product fused.
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "passes/Conversion/KernelToLoops/Emitters.h"
#include "passes/Conversion/KernelToLoops/VectorMath.h"

using namespace mlir;

namespace gcompile::kernel {

LogicalResult emit(OpBuilder &builder, RopeTableOp op, TaskRange tasks, const TargetInfo &target) {
  VectorMath m(builder, op.getLoc());
  int64_t pairs = cast<MemRefType>(op.getCosines().getType()).getDimSize(1);
  m.forEach(tasks.begin, tasks.end, 1, [&](Value row) {
    Value position = m.addi(op.getPosition(), row);
    position = arith::IndexCastOp::create(m.b, m.b.getI64Type(), position);
    position = m.splat(arith::SIToFPOp::create(m.b, m.b.getF32Type(), position));
    m.forEachChunk(pairs, [&](Value column, int64_t count) {
      Value angle = m.mul(position, m.load(op.getFrequencies(), column, count));
      CosineSine values = m.cosineSine(angle);
      m.store(values.cosine, op.getCosines(), {row, column}, count);
      m.store(values.sine, op.getSines(), {row, column}, count);
    });
  });
  return success();
}

LogicalResult emit(OpBuilder &builder, RopeOp op, TaskRange tasks, const TargetInfo &target) {
  VectorMath m(builder, op.getLoc());
  int64_t columns = cast<MemRefType>(op.getX().getType()).getDimSize(1);
  int64_t groups = op.getGroups(), size = columns / groups, half = size / 2;
  m.forEach(tasks.begin, tasks.end, 1, [&](Value row) {
    m.forEach(m.index(0), m.index(groups), 1, [&](Value group) {
      Value first = m.muli(group, size);
      m.forEachChunk(half, [&](Value column, int64_t count) {
        Value low = m.addi(first, column), high = m.addi(low, half);
        Value x = m.load(op.getX(), {row, low}, count), y = m.load(op.getX(), {row, high}, count);
        Value cosine = m.load(op.getCosines(), {row, column}, count);
        Value sine = m.load(op.getSines(), {row, column}, count);
        auto [rotatedX, rotatedY] = m.rotate(x, y, cosine, sine);
        m.store(rotatedX, op.getOuts(), {row, low}, count);
        m.store(rotatedY, op.getOuts(), {row, high}, count);
      });
    });
  });
  return success();
}

} // namespace gcompile::kernel
