// kernel-outline: every kernel operation of a program becomes a launch of a kernel function; equal
// operations share the function. Operands that are constants (the single row of decode) move into
// the function, so that its loops know them.
#include "ir/Kernel/Tasks.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/IRMapping.h"
#include "passes/Passes.h"
#include "llvm/ADT/StringMap.h"

using namespace mlir;

namespace gcompile {
#define GEN_PASS_DEF_OUTLINEKERNELS
#include "passes/Passes.h.inc"

namespace {

// Everything that the code of a kernel depends on, as text: name, attributes, operand types,
// constant operands.
std::string signatureOf(Operation *op) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  stream << op->getName() << op->getDiscardableAttrDictionary() << op->getPropertiesAsAttribute();
  for (Value operand : op->getOperands()) {
    stream << ';' << operand.getType();
    if (std::optional<int64_t> constant = getConstantIntValue(operand))
      stream << '=' << *constant;
  }
  return text;
}

func::FuncOp makeFunction(Operation *op, ModuleOp module, int64_t number) {
  OpBuilder builder(op->getContext());
  builder.setInsertionPointToEnd(module.getBody());
  SmallVector<Type> inputs;
  for (Value operand : op->getOperands())
    if (!getConstantIntValue(operand))
      inputs.push_back(operand.getType());
  inputs.append(2, builder.getIndexType()); // begin, end
  std::string name = "kernel_" + std::to_string(number) + "_" + op->getName().stripDialect().str();
  auto function =
      func::FuncOp::create(builder, op->getLoc(), name, builder.getFunctionType(inputs, {}));
  function.setPrivate();
  function->setAttr(kernel::kernelFunctionAttrName, builder.getUnitAttr());
  Block *entry = function.addEntryBlock();
  builder.setInsertionPointToEnd(entry);
  IRMapping mapping;
  unsigned argument = 0;
  for (Value operand : op->getOperands()) {
    if (std::optional<int64_t> constant = getConstantIntValue(operand))
      mapping.map(operand,
                  arith::ConstantIndexOp::create(builder, op->getLoc(), *constant).getResult());
    else
      mapping.map(operand, entry->getArgument(argument++));
  }
  builder.clone(*op, mapping);
  func::ReturnOp::create(builder, op->getLoc());
  return function;
}

Value taskCount(OpBuilder &builder, Operation *op) {
  kernel::TaskRule rule = kernel::taskRule(op);
  Location loc = op->getLoc();
  auto constant = [&](int64_t value) {
    return arith::ConstantIndexOp::create(builder, loc, value).getResult();
  };
  if (rule.perRow == 0)
    return constant(rule.fixed);
  Value rows = kernel::activeRows(op);
  if (std::optional<int64_t> known = getConstantIntValue(rows))
    return constant(rule.fixed + *known * rule.perRow);
  Value tasks = rows;
  if (rule.perRow != 1)
    tasks = arith::MulIOp::create(builder, loc, tasks, constant(rule.perRow));
  if (rule.fixed != 0)
    tasks = arith::AddIOp::create(builder, loc, tasks, constant(rule.fixed));
  return tasks;
}

struct OutlineKernels : impl::OutlineKernelsBase<OutlineKernels> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    llvm::StringMap<func::FuncOp> functions;
    SmallVector<func::FuncOp> programs;
    for (auto function : module.getOps<func::FuncOp>())
      if (function->hasAttr(gemma::programAttrName))
        programs.push_back(function);
    for (func::FuncOp program : programs)
      for (Operation &op : llvm::make_early_inc_range(program.front())) {
        if (!kernel::isKernel(&op))
          continue;
        // The number comes from the map: statistics may be compiled out of LLVM.
        int64_t number = functions.size();
        func::FuncOp &function = functions[signatureOf(&op)];
        if (!function) {
          function = makeFunction(&op, module, number);
          ++kernels;
        }
        OpBuilder builder(&op);
        Value tasks = taskCount(builder, &op);
        SmallVector<Value> operands;
        for (Value operand : op.getOperands())
          if (!getConstantIntValue(operand))
            operands.push_back(operand);
        kernel::LaunchOp::create(builder, op.getLoc(), function.getSymName(), tasks, operands);
        op.erase();
        ++launches;
      }
  }
};
} // namespace
} // namespace gcompile
