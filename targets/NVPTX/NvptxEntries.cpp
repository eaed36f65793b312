#include "targets/NVPTX/NvptxEntries.h"
#include "ir/Kernel/Kernel.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

using namespace mlir;

namespace gcompile {
namespace {

constexpr StringLiteral entryAttrName = "nvptx.entry";

// A special register of PTX; all of them hold less than 2³¹.
Value specialRegister(ImplicitLocOpBuilder &b, StringRef name) {
  auto call = LLVM::CallIntrinsicOp::create(b, b.getLoc(), b.getI32Type(),
                                            b.getStringAttr("llvm.nvvm.read.ptx.sreg." + name),
                                            ValueRange{});
  return arith::IndexCastUIOp::create(b, b.getIndexType(), call.getResult(0));
}

struct MakeEntries : PassWrapper<MakeEntries, OperationPass<ModuleOp>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(MakeEntries)
  StringRef getArgument() const override { return "nvptx-make-entries"; }
  StringRef getDescription() const override { return "entries of a grid around kernel functions"; }
  void getDependentDialects(DialectRegistry &registry) const override {
    registry.insert<arith::ArithDialect, func::FuncDialect, LLVM::LLVMDialect, scf::SCFDialect>();
  }

  void runOnOperation() override {
    for (auto function : llvm::to_vector(getOperation().getOps<func::FuncOp>()))
      if (function->hasAttr(kernel::kernelFunctionAttrName) && !function.isExternal())
        makeEntry(function);
  }

private:
  void makeEntry(func::FuncOp tasks) {
    tasks.walk([](memref::PrefetchOp prefetch) { prefetch.erase(); });
    std::string name = tasks.getName().str();
    tasks.setName(name + ".tasks");
    tasks.setPrivate();

    ImplicitLocOpBuilder b(tasks.getLoc(), &getContext());
    b.setInsertionPoint(tasks);
    auto entry = func::FuncOp::create(b, name, tasks.getFunctionType());
    entry->setAttr(entryAttrName, b.getUnitAttr());
    b.setInsertionPointToStart(entry.addEntryBlock());
    Value block = specialRegister(b, "ctaid.x"), blocks = specialRegister(b, "nctaid.x");
    Value thread = specialRegister(b, "tid.x"), threads = specialRegister(b, "ntid.x");
    SmallVector<Value> arguments(entry.getArguments());
    Value begin = arguments[arguments.size() - 2], end = arguments.back();
    Value own = arith::AddIOp::create(b, arith::MulIOp::create(b, block, threads), thread);
    Value first = arith::AddIOp::create(b, begin, own);
    Value step = arith::MulIOp::create(b, blocks, threads);
    auto loop = scf::ForOp::create(b, first, end, step);
    {
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPointToStart(loop.getBody());
      Value task = loop.getInductionVar();
      Value one = arith::ConstantIndexOp::create(b, 1);
      arguments[arguments.size() - 2] = task;
      arguments.back() = arith::AddIOp::create(b, task, one);
      func::CallOp::create(b, tasks, arguments);
    }
    func::ReturnOp::create(b);
  }
};

struct MarkEntries : PassWrapper<MarkEntries, OperationPass<ModuleOp>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(MarkEntries)
  StringRef getArgument() const override { return "nvptx-mark-entries"; }
  StringRef getDescription() const override { return "the calling convention of GPU kernels"; }

  void runOnOperation() override {
    for (auto function : getOperation().getOps<LLVM::LLVMFuncOp>()) {
      if (!function->removeAttr(entryAttrName))
        continue;
      function.setCConv(LLVM::CConv::PTX_Kernel);
    }
  }
};

} // namespace

std::unique_ptr<Pass> createNvptxMakeEntries() { return std::make_unique<MakeEntries>(); }
std::unique_ptr<Pass> createNvptxMarkEntries() { return std::make_unique<MarkEntries>(); }

} // namespace gcompile
