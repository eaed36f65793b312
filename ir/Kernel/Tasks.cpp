// The task rule of every kernel operation.
#include "ir/Kernel/Tasks.h"
#include "ir/Kernel/Kernel.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace gcompile::kernel {
namespace {

int64_t columnsOf(Value value) { return cast<ShapedType>(value.getType()).getDimSize(1); }

template <typename Op>
TaskRule perPanel(Op matmul) {
  int64_t panels = paddedRows(columnsOf(matmul.getOuts())) / panelRows;
  return {.fixed = panels * mostGroups(matmul)};
}

TaskRule perPiece(Value out) {
  return {.perRow = (columnsOf(out) + elementwiseTaskColumns - 1) / elementwiseTaskColumns};
}

} // namespace

int64_t attendHeadsPerTask(int64_t heads, int64_t kvHeads) {
  int64_t sharing = heads / kvHeads;
  return sharing % 4 == 0 ? 4 : sharing % 2 == 0 ? 2 : 1;
}

TaskRule taskRule(Operation *op) {
  return llvm::TypeSwitch<Operation *, TaskRule>(op)
      .Case<MatmulFloatOp, MatmulIntegerOp>([](auto matmul) { return perPanel(matmul); })
      .Case<GeluMulOp, GeluMulHalvesOp, AddOp, SoftCapOp, CombineExpertsOp, RoundRowsOp>(
          [](auto op) { return perPiece(op.getOuts()); })
      .Case<GroupRowsOp>([](auto) -> TaskRule { return {.fixed = 1}; })
      .Case([](AppendKvOp append) -> TaskRule {
        // Tokens t and t + 16 share bytes of a 4-bit K: all rows of a head are one task.
        int64_t heads = append.getHeads();
        if (parseKvFormat(append.getKFormat()) == KvFormat::Kv4)
          return {.fixed = heads};
        return {.perRow = heads};
      })
      .Case([](AttendOp attend) -> TaskRule {
        int64_t heads = attend.getHeads();
        return {.perRow = heads / attendHeadsPerTask(heads, attend.getKvHeads())};
      })
      .Default([](Operation *) -> TaskRule { return {.perRow = 1}; });
}

} // namespace gcompile::kernel
