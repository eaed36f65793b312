// rms_norm: out = z · (mean(z²) + ε)^(−1/2) ⊙ weight with z = input_scale · x, piece by piece.
//
// Order: 16 partial sums (lane i takes elements ≡ i mod 16, fused), the lane tree, one division by
// the piece's length, one addition, square root, one division; then z · factor · weight.
#include "passes/Conversion/KernelToLoops/Emitters.h"
#include "passes/Conversion/KernelToLoops/VectorMath.h"

using namespace mlir;

namespace gcompile::kernel {

LogicalResult emit(OpBuilder &builder, RmsNormOp op, TaskRange tasks, const TargetInfo &target) {
  VectorMath m(builder, op.getLoc());
  int64_t columns = cast<MemRefType>(op.getX().getType()).getDimSize(1);
  int64_t groups = op.getGroups(), piece = columns / groups;
  double inputScale = op.getInputScale().convertToDouble();
  Type f32 = m.b.getF32Type();
  Value x = op.getX(), out = op.getOuts(), weight = op.getWeight();

  m.forEach(tasks.begin, tasks.end, 1, [&](Value row) {
    m.forEach(m.index(0), m.index(groups), 1, [&](Value group) {
      Value first = m.muli(group, piece);
      auto loadScaled = [&](Value column, int64_t count) {
        Value z = m.load(x, {row, m.addi(first, column)}, count);
        return inputScale == 1.0 ? z : m.mul(z, m.f(inputScale));
      };
      Value sums = m.forEachChunk(piece, m.f(0), [&](Value column, int64_t count, Value sums) {
        Value z = loadScaled(column, count);
        return m.fma(z, z, sums);
      });
      Value mean = m.div(m.sumOfLanes(sums), m.constant(f32, piece));
      mean = m.add(mean, m.constant(f32, op.getEpsilon().convertToDouble()));
      Value factor = m.splat(m.div(m.constant(f32, 1), m.sqrt(mean)));
      m.forEachChunk(piece, [&](Value column, int64_t count) {
        Value y = m.mul(loadScaled(column, count), factor);
        if (weight)
          y = m.mul(y, m.load(weight, column, count));
        m.store(y, out, {row, m.addi(first, column)}, count);
      });
    });
  });
  return success();
}

} // namespace gcompile::kernel
