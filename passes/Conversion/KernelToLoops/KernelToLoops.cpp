// kernel-to-loops: replaces the one kernel operation of each kernel function by loops over its
// tasks. Which emitter belongs to which operation stands in `emitLoops` alone.
#include "passes/Conversion/KernelToLoops/Emitters.h"
#include "passes/Passes.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace gcompile {
#define GEN_PASS_DEF_KERNELTOLOOPS
#include "passes/Passes.h.inc"

namespace kernel {
namespace {

LogicalResult emitLoops(Operation *op, OpBuilder &builder, TaskRange tasks,
                        const TargetInfo &target) {
  return llvm::TypeSwitch<Operation *, LogicalResult>(op)
      .Case<GatherRowsOp, QuantizeRowsOp, RoundRowsOp, MatmulFloatOp, MatmulIntegerOp, RmsNormOp,
            RopeTableOp, RopeOp, AppendKvOp, AttendOp, GeluMulOp, AddOp, SoftCapOp, GeluMulHalvesOp,
            ChooseExpertsOp, GroupRowsOp, CombineExpertsOp>(
          [&](auto op) { return emit(builder, op, tasks, target); })
      .Default([](Operation *other) { return other->emitOpError("has no lowering to loops"); });
}

LogicalResult lowerFunction(func::FuncOp function, const TargetInfo &target) {
  Operation *kernelOp = nullptr;
  for (Operation &op : function.getBody().front()) {
    if (!isa<KernelDialect>(op.getDialect()))
      continue;
    if (kernelOp)
      return op.emitOpError("is the second kernel operation of a kernel function; expected one");
    kernelOp = &op;
  }
  if (!kernelOp)
    return success(); // lowered already
  ArrayRef<BlockArgument> arguments = function.getArguments();
  if (arguments.size() < 2 || !arguments[arguments.size() - 2].getType().isIndex() ||
      !arguments.back().getType().isIndex())
    return function.emitError("is a kernel function whose last arguments are not the begin and end "
                              "task (index, index)");
  for (Value operand : kernelOp->getOperands())
    if (auto type = dyn_cast<ShapedType>(operand.getType()))
      if (!isa<MemRefType>(type) || !type.hasStaticShape() ||
          !cast<MemRefType>(type).getLayout().isIdentity())
        return kernelOp->emitOpError()
               << "has an operand of type " << type << ", expected a contiguous static memref";
  OpBuilder builder(kernelOp);
  TaskRange tasks{arguments[arguments.size() - 2], arguments.back()};
  if (failed(emitLoops(kernelOp, builder, tasks, target)))
    return failure();
  kernelOp->erase();
  return success();
}

} // namespace
} // namespace kernel

namespace {

struct KernelToLoopsPass : impl::KernelToLoopsBase<KernelToLoopsPass> {
  void runOnOperation() override {
    FailureOr<kernel::TargetInfo> target = kernel::targetInfo(getOperation());
    if (failed(target))
      return signalPassFailure();
    for (auto function : getOperation().getOps<func::FuncOp>())
      if (function->hasAttr(kernel::kernelFunctionAttrName) && !function.isExternal() &&
          failed(kernel::lowerFunction(function, *target)))
        return signalPassFailure();
  }
};

} // namespace
} // namespace gcompile
