// One-shot bufferization of kernel operations: destinations are overwritten, inputs are read,
// everything else is generic.
#include "ir/Kernel/Kernel.h"
#include "mlir/Dialect/Bufferization/IR/BufferizableOpInterface.h"
#include "mlir/Dialect/Bufferization/IR/DstBufferizableOpInterfaceImpl.h"

using namespace mlir;
using namespace mlir::bufferization;

namespace gcompile::kernel {
namespace {

// The same operation with buffers for tensors and without results.
LogicalResult cloneOnBuffers(Operation *op, RewriterBase &rewriter,
                             const BufferizationOptions &options, BufferizationState &state,
                             SmallVectorImpl<Value> &operands) {
  for (Value operand : op->getOperands()) {
    if (isa<TensorType>(operand.getType())) {
      FailureOr<Value> buffer = getBuffer(rewriter, operand, options, state);
      if (failed(buffer))
        return failure();
      operand = *buffer;
    }
    operands.push_back(operand);
  }
  OperationState created(op->getLoc(), op->getName(), operands, TypeRange(), op->getAttrs());
  rewriter.setInsertionPoint(op);
  rewriter.create(created);
  return success();
}

template <typename ConcreteOp>
struct DestinationModel
    : DstBufferizableOpInterfaceExternalModel<DestinationModel<ConcreteOp>, ConcreteOp> {
  // Kernels overwrite the active rows of their destinations and read nothing from them.
  bool bufferizesToMemoryRead(Operation *op, OpOperand &operand, const AnalysisState &) const {
    return !cast<DestinationStyleOpInterface>(op).isDpsInit(&operand);
  }

  LogicalResult bufferize(Operation *op, RewriterBase &rewriter,
                          const BufferizationOptions &options, BufferizationState &state) const {
    SmallVector<Value> operands;
    if (failed(cloneOnBuffers(op, rewriter, options, state, operands)))
      return failure();
    SmallVector<Value> results;
    for (OpOperand &init : cast<DestinationStyleOpInterface>(op).getDpsInitsMutable())
      if (isa<TensorType>(init.get().getType()))
        results.push_back(operands[init.getOperandNumber()]);
    replaceOpWithBufferizedValues(rewriter, op, results);
    return success();
  }
};

struct AppendModel : BufferizableOpInterface::ExternalModel<AppendModel, AppendKvOp> {
  bool bufferizesToMemoryRead(Operation *, OpOperand &, const AnalysisState &) const {
    return true;
  }
  bool bufferizesToMemoryWrite(Operation *, OpOperand &, const AnalysisState &) const {
    return false; // it writes the cache, which is a buffer from the start
  }
  AliasingValueList getAliasingValues(Operation *, OpOperand &, const AnalysisState &) const {
    return {};
  }
  LogicalResult bufferize(Operation *op, RewriterBase &rewriter,
                          const BufferizationOptions &options, BufferizationState &state) const {
    SmallVector<Value> operands;
    if (failed(cloneOnBuffers(op, rewriter, options, state, operands)))
      return failure();
    rewriter.eraseOp(op);
    return success();
  }
};

template <typename... Ops>
void attachDestinationModels(MLIRContext *context) {
  (Ops::template attachInterface<DestinationModel<Ops>>(*context), ...);
}

} // namespace

void registerBufferization(DialectRegistry &registry) {
  registry.addExtension(+[](MLIRContext *context, KernelDialect *) {
    attachDestinationModels<GatherRowsOp, QuantizeRowsOp, RoundRowsOp, MatmulFloatOp,
                            MatmulIntegerOp, RmsNormOp, RopeTableOp, RopeOp, AttendOp, GeluMulOp,
                            AddOp, SoftCapOp, GeluMulHalvesOp, ChooseExpertsOp, GroupRowsOp,
                            FetchExpertsOp, CombineExpertsOp>(context);
    AppendKvOp::attachInterface<AppendModel>(*context);
  });
}

} // namespace gcompile::kernel
