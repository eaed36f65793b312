// kernel-lower-programs: programs to LLVM functions `gc_NAME(env, call)` (gc_program_fn). Runs
// after kernel functions are in the LLVM dialect: every value of a program is then an address or an
// integer. A launch with more than one task stores its operands in a record on the stack and hands
// a thunk to env->parallel_for; the thunk loads them and calls the kernel, so that kernels keep
// plain arguments.
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "passes/Passes.h"
#include "runtime/abi/gc_module.h"

using namespace mlir;

namespace gcompile {
#define GEN_PASS_DEF_LOWERPROGRAMS
#include "passes/Passes.h.inc"

namespace {

constexpr int64_t slotBytes = 8; // every operand of a record is a pointer or an i64

class ProgramLowering {
public:
  ProgramLowering(func::FuncOp program, SymbolTable &symbols)
      : program(program), symbols(symbols), builder(program.getContext()) {}

  LogicalResult run();

private:
  Value address(Location loc, Value base, int64_t offset) {
    if (offset == 0)
      return base;
    // An index value: constant indices are 32 bits wide and weights are larger than that.
    return LLVM::GEPOp::create(builder, loc, pointer, i8, base, ValueRange{constant(loc, offset)});
  }
  Value load(Location loc, Type type, Value base, size_t offset) {
    return LLVM::LoadOp::create(builder, loc, type, address(loc, base, offset));
  }
  Value constant(Location loc, int64_t value) {
    return LLVM::ConstantOp::create(builder, loc, i64, builder.getI64IntegerAttr(value));
  }
  LLVM::LLVMFuncOp thunkFor(LLVM::LLVMFuncOp kernel);
  LogicalResult lower(kernel::LaunchOp launch);
  LogicalResult lower(kernel::FetchExpertsOp fetch);

  func::FuncOp program;
  SymbolTable &symbols;
  OpBuilder builder;
  Type pointer, i8, i64;
  Value env, call, record, spaces[4];
  DenseMap<Value, Value> values;
};

LLVM::LLVMFuncOp ProgramLowering::thunkFor(LLVM::LLVMFuncOp kernel) {
  std::string name = (kernel.getName() + "_tasks").str();
  if (auto existing = symbols.lookup<LLVM::LLVMFuncOp>(name))
    return existing;
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointAfter(kernel);
  Location loc = kernel.getLoc();
  auto type = LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(builder.getContext()),
                                          {pointer, i64, i64});
  auto thunk = LLVM::LLVMFuncOp::create(builder, loc, name, type, LLVM::Linkage::Internal);
  symbols.insert(thunk);
  Block *entry = thunk.addEntryBlock(builder);
  builder.setInsertionPointToEnd(entry);
  SmallVector<Value> arguments;
  ArrayRef<Type> parameters = kernel.getFunctionType().getParams();
  for (auto [index, parameter] : llvm::enumerate(parameters.drop_back(2)))
    arguments.push_back(load(loc, parameter, entry->getArgument(0), index * slotBytes));
  arguments.append({entry->getArgument(1), entry->getArgument(2)});
  LLVM::CallOp::create(builder, loc, kernel, arguments);
  LLVM::ReturnOp::create(builder, loc, ValueRange());
  return thunk;
}

LogicalResult ProgramLowering::lower(kernel::LaunchOp launch) {
  Location loc = launch.getLoc();
  auto kernel = symbols.lookup<LLVM::LLVMFuncOp>(launch.getKernel());
  if (!kernel)
    return launch.emitOpError() << "launches " << launch.getKernelAttr()
                                << ", which is not in the LLVM dialect yet";
  SmallVector<Value> operands;
  for (Value operand : launch.getOperands_()) {
    Value value = values.lookup(operand);
    if (!value)
      return launch.emitOpError("has an operand that is neither a view nor an argument");
    operands.push_back(value);
  }
  std::optional<int64_t> tasks = getConstantIntValue(launch.getTasks());
  if (tasks == 1) {
    operands.append({constant(loc, 0), constant(loc, 1)});
    // Hundreds of launches share a kernel. Inlined, each would be a copy of it, and optimizing them
    // in one function took half of code generation.
    LLVM::CallOp::create(builder, loc, kernel, operands).setNoInline(true);
    return success();
  }
  for (auto [index, operand] : llvm::enumerate(operands))
    LLVM::StoreOp::create(builder, loc, operand, address(loc, record, index * slotBytes));
  Value thunk = LLVM::AddressOfOp::create(builder, loc, thunkFor(kernel));
  Value count = tasks ? constant(loc, *tasks) : values.lookup(launch.getTasks());
  Value self = load(loc, pointer, env, offsetof(gc_env, self));
  Value parallelFor = load(loc, pointer, env, offsetof(gc_env, parallel_for));
  auto type = LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(builder.getContext()),
                                          {pointer, pointer, pointer, i64});
  LLVM::CallOp::create(builder, loc, type, ValueRange{parallelFor, self, thunk, record, count});
  return success();
}

// Through the environment: reading files is the caller's.
LogicalResult ProgramLowering::lower(kernel::FetchExpertsOp fetch) {
  Location loc = fetch.getLoc();
  int64_t groups = cast<MemRefType>(fetch.getChosen().getType()).getDimSize(0) - 1;
  Value self = load(loc, pointer, env, offsetof(gc_env, experts));
  Value function = load(loc, pointer, env, offsetof(gc_env, fetch_experts));
  auto type = LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(builder.getContext()),
                                          {pointer, i64, i64, pointer, pointer, pointer});
  SmallVector<Value> operands{function, self, constant(loc, fetch.getLayer()),
                              constant(loc, groups)};
  for (Value buffer : {fetch.getStarts(), fetch.getChosen(), fetch.getOuts()}) {
    operands.push_back(values.lookup(buffer));
    if (!operands.back())
      return fetch.emitOpError("has an operand that is no view");
  }
  LLVM::CallOp::create(builder, loc, type, operands);
  return success();
}

LogicalResult ProgramLowering::run() {
  MLIRContext *context = program.getContext();
  Location loc = program.getLoc();
  pointer = LLVM::LLVMPointerType::get(context);
  i8 = builder.getI8Type();
  i64 = builder.getI64Type();

  builder.setInsertionPoint(program);
  auto type = LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(context), {pointer, pointer});
  auto lowered = LLVM::LLVMFuncOp::create(builder, loc, ("gc_" + program.getName()).str(), type);
  Block *entry = lowered.addEntryBlock(builder);
  builder.setInsertionPointToEnd(entry);
  env = entry->getArgument(0);
  call = entry->getArgument(1);

  int64_t slots = 1;
  for (auto launch : program.getOps<kernel::LaunchOp>())
    slots = std::max<int64_t>(slots, launch.getOperands_().size());
  record = LLVM::AllocaOp::create(builder, loc, pointer, i8, constant(loc, slots * slotBytes), 16);
  spaces[(int)kernel::Space::Weights] = load(loc, pointer, call, offsetof(gc_call, weights));
  spaces[(int)kernel::Space::Cache] = load(loc, pointer, call, offsetof(gc_call, kv_cache));
  spaces[(int)kernel::Space::Arena] = load(loc, pointer, call, offsetof(gc_call, arena));
  // Callers of programs without experts on storage may know a shorter structure.
  if (!program.getOps<kernel::FetchExpertsOp>().empty())
    spaces[(int)kernel::Space::Experts] = load(loc, pointer, call, offsetof(gc_call, expert_slots));

  // Arguments as gemma-to-kernel orders them: tokens, table rows, table, logits (absent in
  // prefill), rows, position, spans (where images see themselves).
  Block &body = program.front();
  SmallVector<std::pair<Type, size_t>> fields{{pointer, offsetof(gc_call, tokens)},
                                              {pointer, offsetof(gc_call, per_layer_rows)},
                                              {pointer, offsetof(gc_call, per_layer_table)}};
  if (isa<MemRefType>(body.getArgument(fields.size()).getType()))
    fields.push_back({pointer, offsetof(gc_call, logits)});
  fields.append({{i64, offsetof(gc_call, rows)}, {i64, offsetof(gc_call, position)}});
  if (isa<MemRefType>(body.getArguments().back().getType()))
    fields.push_back({pointer, offsetof(gc_call, spans)});
  if (fields.size() != body.getNumArguments())
    return program.emitError("has other arguments than gemma-to-kernel gives programs");
  for (auto [argument, field] : llvm::zip(body.getArguments(), fields))
    values[argument] = load(loc, field.first, call, field.second);

  for (Operation &op : body) {
    if (auto view = dyn_cast<kernel::ViewOp>(op)) {
      values[view] = address(op.getLoc(), spaces[(int)view.getSpace()], view.getOffset());
    } else if (auto constantOp = dyn_cast<arith::ConstantIndexOp>(op)) {
      values[constantOp] = constant(op.getLoc(), constantOp.value());
    } else if (auto product = dyn_cast<arith::MulIOp>(op)) {
      values[product] = LLVM::MulOp::create(builder, op.getLoc(), values.lookup(product.getLhs()),
                                            values.lookup(product.getRhs()));
    } else if (auto sum = dyn_cast<arith::AddIOp>(op)) {
      values[sum] = LLVM::AddOp::create(builder, op.getLoc(), values.lookup(sum.getLhs()),
                                        values.lookup(sum.getRhs()));
    } else if (auto launch = dyn_cast<kernel::LaunchOp>(op)) {
      if (failed(lower(launch)))
        return failure();
    } else if (auto fetch = dyn_cast<kernel::FetchExpertsOp>(op)) {
      if (failed(lower(fetch)))
        return failure();
    } else if (!isa<func::ReturnOp>(op)) {
      return op.emitOpError("is left in a program after outlining");
    }
  }
  LLVM::ReturnOp::create(builder, loc, ValueRange());
  program.erase();
  return success();
}

struct LowerPrograms : impl::LowerProgramsBase<LowerPrograms> {
  void runOnOperation() override {
    SymbolTable symbols(getOperation());
    for (auto program : llvm::make_early_inc_range(getOperation().getOps<func::FuncOp>()))
      if (program->hasAttr(gemma::programAttrName) &&
          failed(ProgramLowering(program, symbols).run()))
        return signalPassFailure();
    // Symbols of the model have done their work.
    for (Operation &op : llvm::make_early_inc_range(*getOperation().getBody())) {
      if (isa<gemma::WeightOp, gemma::KvCacheOp>(op))
        op.erase();
      else if (auto function = dyn_cast<LLVM::LLVMFuncOp>(op);
               function && !function.getName().starts_with("gc_") && !function.isExternal())
        function.setLinkage(LLVM::Linkage::Internal);
    }
  }
};
} // namespace
} // namespace gcompile
