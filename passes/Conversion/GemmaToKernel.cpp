// gemma-to-kernel: each program becomes a function over static capacities
//   (tokens: memref<Mxi32>, table_rows: memref<Mxi32>, table: memref<Bxi8>, logits:
//   memref<MxVxf32>, rows: index, position: index, spans: memref<Mx2xi32>)
// whose operations are kernels on tensors; weights and caches are references, the logits buffer is
// written by the last kernel.
#include "ir/Format/CacheLayout.h"
#include "passes/Passes.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/SmallVectorExtras.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace gcompile {
#define GEN_PASS_DEF_GEMMATOKERNEL
#include "passes/Passes.h.inc"

namespace {

// Quantized activations of one value for one activation group.
struct Quantized {
  Value codes, scales, sums;
};

class ProgramConverter {
public:
  ProgramConverter(func::FuncOp program, SymbolTable &symbols)
      : program(program), symbols(symbols), builder(program.getContext()) {}

  LogicalResult run();

private:
  using Handler = LogicalResult (ProgramConverter::*)(Operation *);

  ShapedType shaped(Value value) { return cast<ShapedType>(value.getType()); }
  int64_t columns(Value value) { return shaped(value).getDimSize(1); }
  Value mapped(Value value) { return values.lookup(value); }

  Value empty(Location loc, int64_t width, Type element) {
    return emptyOf(loc, {capacity, width}, element);
  }
  Value emptyOf(Location loc, ArrayRef<int64_t> shape, Type element) {
    // Not tensor.empty: equal ones would be merged into one buffer that lives through the program.
    return bufferization::AllocTensorOp::create(builder, loc, RankedTensorType::get(shape, element),
                                                ValueRange());
  }
  // Where the kernel for `result` writes: the logits buffer when the program returns it.
  Value destination(Location loc, Value result) {
    return result == returned ? logits : empty(loc, columns(result), builder.getF32Type());
  }
  template <typename Op>
  void define(Value result, Op kernel) {
    if (!kernel->getResults().empty())
      values[result] = kernel->getResult(0);
  }
  TypeRange resultTypes(Value out) {
    if (!isa<RankedTensorType>(out.getType()))
      return {};
    resultTypeStorage = out.getType();
    return TypeRange(resultTypeStorage);
  }

  gemma::WeightOp weightOp(FlatSymbolRefAttr name) {
    return symbols.lookup<gemma::WeightOp>(name.getValue());
  }
  FailureOr<WeightFormat> formatOf(gemma::WeightOp weight) {
    if (!weight.getFormat())
      return weight.emitOpError("has no format; run gemma-apply-plan first");
    return *parseWeightFormat(*weight.getFormat());
  }
  Value vectorWeight(Location loc, FlatSymbolRefAttr name) {
    if (!name)
      return {};
    int64_t length = cast<ShapedType>(weightOp(name).getType()).getNumElements();
    return kernel::WeightOp::create(builder, loc, MemRefType::get({length}, builder.getF32Type()),
                                    name);
  }
  Value packedWeight(Location loc, gemma::WeightOp weight, WeightFormat format) {
    int64_t bytes = gemma::packedBytes(weight, format);
    if (gemma::isExpertOnStorage(
            weight)) // from its matrix in the first slot to the end of the last
      bytes = *weight.getCacheSlots() * *weight.getBlockBytes() - *weight.getBlockOffset();
    return kernel::WeightOp::create(builder, loc, MemRefType::get({bytes}, builder.getI8Type()),
                                    FlatSymbolRefAttr::get(weight.getSymNameAttr()));
  }

  LogicalResult convert(gemma::EmbedOp op);
  LogicalResult convert(gemma::LinearOp op);
  LogicalResult convert(gemma::RmsNormOp op);
  LogicalResult convert(gemma::RopeOp op);
  LogicalResult convert(gemma::AppendKvOp op);
  LogicalResult convert(gemma::AttentionOp op);
  LogicalResult convert(gemma::GatedGeluOp op);
  LogicalResult convert(gemma::AddOp op);
  LogicalResult convert(gemma::SoftCapOp op);
  LogicalResult convert(gemma::ExpertsOp op);
  LogicalResult convertOperation(Operation *op);

  // Active rows of something that has `count` of them for each row of the program.
  Value rowsTimes(Location loc, int64_t count);
  Quantized quantize(Location loc, Value x, int64_t group, FloatAttr scale = {});
  Quantized quantizeRows(Location loc, Value x, Value active, int64_t group, FloatAttr scale = {});
  Value roundRows(Location loc, Value x, FloatAttr scale);
  Value scaleWeight(Location loc, FloatAttr scale);
  Value product(Location loc, Value x, Quantized q, gemma::WeightOp weight, WeightFormat format,
                ValueRange groups, Value out, Value active);
  FailureOr<gemma::KvCacheOp> plannedCache(Operation *op, StringRef name);
  Value cacheMemory(Location loc, gemma::KvCacheOp cache);
  std::pair<Value, Value> keyRotations(gemma::AttentionOp op, gemma::KvCacheOp cache);

  func::FuncOp program;
  SymbolTable &symbols;
  OpBuilder builder;
  int64_t capacity = 0;
  Value returned; // of the gemma program; null for prefill
  Value tokens, tableRows, table, logits, rows, position, spans;
  DenseMap<Value, Value> values;
  DenseMap<std::tuple<Value, int64_t, Attribute>, Quantized> quantized;
  DenseMap<std::pair<Value, Attribute>, Value> rounded;
  DenseMap<Attribute, std::pair<Value, Value>> ropeTables; // by frequencies
  // Of all positions of a cache with derived keys, by frequencies and capacity.
  DenseMap<std::pair<Attribute, int64_t>, std::pair<Value, Value>> keyTables;
  Type resultTypeStorage;
};

LogicalResult ProgramConverter::convert(gemma::EmbedOp op) {
  gemma::WeightOp weight = weightOp(op.getTableAttr());
  FailureOr<WeightFormat> format = formatOf(weight);
  if (failed(format))
    return failure();
  auto type = cast<ShapedType>(weight.getType());
  bool rowTable = weight.getRole() == gemma::perLayerTableRole;
  int64_t width = columns(op.getResult());
  Value source = rowTable ? table : packedWeight(op.getLoc(), weight, *format);
  Value out = destination(op.getLoc(), op.getResult());
  define(op.getResult(),
         kernel::GatherRowsOp::create(
             builder, op.getLoc(), resultTypes(out), rowTable ? tableRows : tokens, source, out,
             rows, name(*format), rowTable ? "row" : "packed", type.getDimSize(0), width,
             op.getSlice(), (int64_t)weight.getSlices(), op.getScale()));
  return success();
}

// A static scale as memory; null for none. Equal scales share a weight.
Value ProgramConverter::scaleWeight(Location loc, FloatAttr scale) {
  if (!scale)
    return {};
  uint32_t bits = scale.getValue().bitcastToAPInt().getZExtValue();
  std::string symbol = "scale_" + llvm::utohexstr(bits, /*LowerCase=*/true, 8);
  if (!symbols.lookup(symbol)) {
    OpBuilder outside(program);
    auto type = RankedTensorType::get({1}, builder.getF32Type());
    auto integer = [&](int64_t value) { return builder.getI64IntegerAttr(value); };
    symbols.insert(gemma::WeightOp::create(
        outside, loc, builder.getStringAttr(symbol), builder.getStringAttr(""), integer(0),
        TypeAttr::get(type), builder.getStringAttr(gemma::activationScaleRole), integer(-1),
        builder.getStringAttr("text"), integer(1), integer(1),
        builder.getStringAttr(name(WeightFormat::F32)), StringAttr(), IntegerAttr(), IntegerAttr(),
        IntegerAttr(), IntegerAttr(), FloatAttr(), IntegerAttr(), FloatAttr(), FloatAttr(), scale));
  }
  return kernel::WeightOp::create(builder, loc, MemRefType::get({1}, builder.getF32Type()),
                                  FlatSymbolRefAttr::get(builder.getContext(), symbol));
}

Value ProgramConverter::roundRows(Location loc, Value x, FloatAttr scale) {
  Value &entry = rounded[{x, scale}];
  if (!entry) {
    Value out = emptyOf(loc, shaped(x).getShape(), builder.getF32Type());
    entry = kernel::RoundRowsOp::create(builder, loc, out.getType(), x, scaleWeight(loc, scale),
                                        out, rows)
                ->getResult(0);
  }
  return entry;
}

Quantized ProgramConverter::quantize(Location loc, Value x, int64_t group, FloatAttr scale) {
  Quantized &entry = quantized[{x, group, scale}];
  if (!entry.codes)
    entry = quantizeRows(loc, x, rows, group, scale);
  return entry;
}

Quantized ProgramConverter::quantizeRows(Location loc, Value x, Value active, int64_t group,
                                         FloatAttr scale) {
  int64_t height = shaped(x).getDimSize(0);
  int64_t padded = (columns(x) + 63) / 64 * 64, groups = group ? padded / group : 1;
  Value codes = emptyOf(loc, {height, padded}, builder.getI8Type());
  Value scales = emptyOf(loc, {height, groups}, builder.getF32Type());
  Value sums = emptyOf(loc, {height, groups}, builder.getI32Type());
  SmallVector<Type> types{codes.getType(), scales.getType(), sums.getType()};
  auto kernel = kernel::QuantizeRowsOp::create(builder, loc, types, x, scaleWeight(loc, scale),
                                               codes, scales, sums, active, group);
  return {kernel->getResult(0), kernel->getResult(1), kernel->getResult(2)};
}

// x · Wᵀ into `out`, from `x` or from its codes, as the format wants; with groups, of the matrices
// that slots chose (docs/decisions/0008). Null when `out` is the logits buffer.
Value ProgramConverter::product(Location loc, Value x, Quantized q, gemma::WeightOp weight,
                                WeightFormat format, ValueRange groups, Value out, Value active) {
  Value packed = packedWeight(loc, weight, format);
  int64_t matrices = weight.getMatrices(), groupRows = groups.empty() ? 0 : capacity;
  int64_t stride = gemma::isExpertOnStorage(weight) ? *weight.getBlockBytes() : 0;
  Value rounding = scaleWeight(loc, weight.getOutputScaleAttr());
  Operation *kernel = nullptr;
  if (info(format).isInteger)
    kernel = kernel::MatmulIntegerOp::create(builder, loc, resultTypes(out), q.codes, q.scales,
                                             q.sums, packed, groups, rounding, out, active,
                                             name(format), columns(x), matrices, groupRows, stride,
                                             /*full_range=*/bool(weight.getInputScale()));
  else
    kernel =
        kernel::MatmulFloatOp::create(builder, loc, resultTypes(out), x, packed, groups, rounding,
                                      out, active, name(format), matrices, groupRows, stride);
  return kernel->getNumResults() ? kernel->getResult(0) : Value();
}

LogicalResult ProgramConverter::convert(gemma::LinearOp op) {
  Location loc = op.getLoc();
  gemma::WeightOp weight = weightOp(op.getWeightAttr());
  FailureOr<WeightFormat> format = formatOf(weight);
  if (failed(format))
    return failure();
  Value x = mapped(op.getX());
  FloatAttr scale = weight.getInputScaleAttr();
  Quantized q;
  if (info(*format).isInteger)
    q = quantize(loc, x, info(*format).group, scale);
  else if (scale)
    x = roundRows(loc, x, scale);
  Value out = destination(loc, op.getResult());
  if (Value result = product(loc, x, q, weight, *format, {}, out, rows))
    values[op.getResult()] = result;
  return success();
}

Value ProgramConverter::rowsTimes(Location loc, int64_t count) {
  if (capacity == 1)
    return arith::ConstantIndexOp::create(builder, loc, count);
  Value factor = arith::ConstantIndexOp::create(builder, loc, count);
  return arith::MulIOp::create(builder, loc, rows, factor);
}

// Everything behind the choice runs over slots: row · k + rank.
LogicalResult ProgramConverter::convert(gemma::ExpertsOp op) {
  Location loc = op.getLoc();
  gemma::WeightOp gateUp = weightOp(op.getGateUpAttr()), down = weightOp(op.getDownAttr());
  FailureOr<WeightFormat> upFormat = formatOf(gateUp), downFormat = formatOf(down);
  if (failed(upFormat) || failed(downFormat))
    return failure();
  Type f32 = builder.getF32Type(), i32 = builder.getI32Type();
  int64_t experts = columns(op.getRouter()), ranks = op.getTopK(), width = columns(op.getX());
  int64_t slots = capacity * ranks, most = std::min(experts, slots);
  int64_t inner = cast<ShapedType>(down.getType()).getDimSize(1);
  auto typesOf = [](ArrayRef<Value> outs) {
    return llvm::map_to_vector(outs, [](Value out) { return out.getType(); });
  };

  Value choice[] = {empty(loc, ranks, i32), empty(loc, ranks, f32)};
  auto chosen = kernel::ChooseExpertsOp::create(
      builder, loc, typesOf(choice), mapped(op.getRouter()),
      vectorWeight(loc, op.getExpertScaleAttr()), choice[0], choice[1], rows, op.getRouterScale());
  Value lists[] = {emptyOf(loc, {slots}, i32), emptyOf(loc, {most + 1}, i32),
                   emptyOf(loc, {most + 1}, i32), emptyOf(loc, {experts}, i32)};
  auto grouped = kernel::GroupRowsOp::create(builder, loc, typesOf(lists), chosen->getResult(0),
                                             lists[0], lists[1], lists[2], lists[3], rows);
  SmallVector<Value> groups(grouped->getResults().take_front(3));
  if (gemma::isExpertOnStorage(gateUp) != gemma::isExpertOnStorage(down))
    return op.emitOpError("has one projection in memory and one on storage");
  if (gemma::isExpertOnStorage(gateUp)) {
    if (int64_t(*gateUp.getCacheSlots()) < most)
      return op.emitOpError() << "needs " << most << " experts at once, the cache has "
                              << *gateUp.getCacheSlots() << " slots";
    Value slotsOf = emptyOf(loc, {most + 1}, i32);
    groups[2] = kernel::FetchExpertsOp::create(builder, loc, resultTypes(slotsOf), groups[1],
                                               groups[2], slotsOf, gateUp.getLayer())
                    ->getResult(0);
  }

  Value x = mapped(op.getX()), active = rowsTimes(loc, ranks);
  Quantized q;
  if (info(*upFormat).isInteger)
    q = quantize(loc, x, info(*upFormat).group);
  Value hidden =
      product(loc, x, q, gateUp, *upFormat, groups, emptyOf(loc, {slots, 2 * inner}, f32), active);
  Value gated = emptyOf(loc, {slots, inner}, f32);
  gated = kernel::GeluMulHalvesOp::create(builder, loc, resultTypes(gated), hidden, gated, active)
              ->getResult(0);
  if (info(*downFormat).isInteger)
    q = quantizeRows(loc, gated, active, info(*downFormat).group);
  Value y =
      product(loc, gated, q, down, *downFormat, groups, emptyOf(loc, {slots, width}, f32), active);
  Value out = destination(loc, op.getResult());
  define(op.getResult(), kernel::CombineExpertsOp::create(builder, loc, resultTypes(out), y,
                                                          chosen->getResult(1), out, rows));
  return success();
}

LogicalResult ProgramConverter::convert(gemma::RmsNormOp op) {
  Value weight = vectorWeight(op.getLoc(), op.getWeightAttr());
  Value out = destination(op.getLoc(), op.getResult());
  define(op.getResult(), kernel::RmsNormOp::create(
                             builder, op.getLoc(), resultTypes(out), mapped(op.getX()), weight, out,
                             rows, op.getGroups(), op.getEpsilon(), op.getInputScale()));
  return success();
}

LogicalResult ProgramConverter::convert(gemma::RopeOp op) {
  Location loc = op.getLoc();
  auto &[cosines, sines] = ropeTables[op.getFrequenciesAttr()];
  if (!cosines) {
    Value frequencies = vectorWeight(loc, op.getFrequenciesAttr());
    int64_t half = shaped(frequencies).getDimSize(0);
    Value c = empty(loc, half, builder.getF32Type()), s = empty(loc, half, builder.getF32Type());
    SmallVector<Type> types{c.getType(), s.getType()};
    auto kernel =
        kernel::RopeTableOp::create(builder, loc, types, frequencies, c, s, rows, position);
    cosines = kernel->getResult(0);
    sines = kernel->getResult(1);
  }
  Value out = destination(loc, op.getResult());
  define(op.getResult(), kernel::RopeOp::create(builder, loc, resultTypes(out), mapped(op.getX()),
                                                cosines, sines, out, rows, op.getGroups()));
  return success();
}

FailureOr<gemma::KvCacheOp> ProgramConverter::plannedCache(Operation *op, StringRef name) {
  auto cache = symbols.lookup<gemma::KvCacheOp>(name);
  if (cache.getDonor())
    return op->emitOpError() << "uses cache @" << name
                             << ", an alias; run gemma-share-kv-caches first";
  if (!cache.getCapacity() || !cache.getKFormat() || !cache.getVFormat())
    return op->emitOpError() << "uses cache @" << name
                             << ", which is not planned; run gemma-apply-plan first";
  return cache;
}

Value ProgramConverter::cacheMemory(Location loc, gemma::KvCacheOp cache) {
  int64_t bytes = cacheLayout(*cache.getKFormat(), *cache.getVFormat(), cache.getHeads(),
                              cache.getHeadDim(), *cache.getCapacity())
                      ->bytes;
  return kernel::CacheOp::create(builder, loc, MemRefType::get({bytes}, builder.getI8Type()),
                                 FlatSymbolRefAttr::get(cache.getSymNameAttr()));
}

LogicalResult ProgramConverter::convert(gemma::AppendKvOp op) {
  FailureOr<gemma::KvCacheOp> cache = plannedCache(op, op.getCache());
  if (failed(cache))
    return failure();
  Value k = op.getK() ? mapped(op.getK()) : Value();
  kernel::AppendKvOp::create(
      builder, op.getLoc(), k, mapped(op.getV()), cacheMemory(op.getLoc(), *cache),
      scaleWeight(op.getLoc(), cache->getKeyScaleAttr()),
      scaleWeight(op.getLoc(), cache->getValueScaleAttr()), rows, position, *cache->getKFormat(),
      *cache->getVFormat(), cache->getHeads(), cache->getHeadDim(), *cache->getCapacity());
  return success();
}

// Rotations of every position that a cache with derived keys may hold by the end of this call: the
// same kernel as that of the rows' own positions, so the same bits as keys were rotated with when
// they were stored. One table serves all layers; it lives in the arena for one call.
std::pair<Value, Value> ProgramConverter::keyRotations(gemma::AttentionOp op,
                                                       gemma::KvCacheOp cache) {
  Location loc = op.getLoc();
  auto &[cosines, sines] = keyTables[{op.getFrequenciesAttr(), *cache.getCapacity()}];
  if (cosines)
    return {cosines, sines};
  int64_t columns =
      rotaryTableColumns(cache.getHeadDim(), *weightOp(op.getFrequenciesAttr()).getPairs());
  int64_t positions = *cache.getCapacity();
  Value c = emptyOf(loc, {positions, columns}, builder.getF32Type());
  Value s = emptyOf(loc, {positions, columns}, builder.getF32Type());
  Value end = arith::AddIOp::create(builder, loc, position, rows);
  Value zero = arith::ConstantIndexOp::create(builder, loc, 0);
  SmallVector<Type> types{c.getType(), s.getType()};
  auto kernel = kernel::RopeTableOp::create(
      builder, loc, types, vectorWeight(loc, op.getFrequenciesAttr()), c, s, end, zero);
  cosines = kernel->getResult(0);
  sines = kernel->getResult(1);
  return {cosines, sines};
}

LogicalResult ProgramConverter::convert(gemma::AttentionOp op) {
  FailureOr<gemma::KvCacheOp> cache = plannedCache(op, op.getCache());
  if (failed(cache))
    return failure();
  Value memory = cacheMemory(op.getLoc(), *cache);
  SmallVector<Value> keys;
  if (cache->getDerivedKeys()) {
    auto [cosines, sines] = keyRotations(op, *cache);
    keys = {vectorWeight(op.getLoc(), op.getKeyNormAttr()), cosines, sines};
  }
  Value out = destination(op.getLoc(), op.getResult());
  define(op.getResult(),
         kernel::AttendOp::create(builder, op.getLoc(), resultTypes(out), mapped(op.getQ()), memory,
                                  keys, op.getSpans() ? spans : Value(), out, rows, position,
                                  *cache->getKFormat(), *cache->getVFormat(), op.getHeads(),
                                  cache->getHeads(), cache->getHeadDim(), *cache->getCapacity(),
                                  cache->getWindow(), op.getWholeSpans()));
  return success();
}

LogicalResult ProgramConverter::convert(gemma::GatedGeluOp op) {
  Value out = destination(op.getLoc(), op.getResult());
  define(op.getResult(),
         kernel::GeluMulOp::create(builder, op.getLoc(), resultTypes(out), mapped(op.getGate()),
                                   mapped(op.getUp()), out, rows));
  return success();
}

LogicalResult ProgramConverter::convert(gemma::AddOp op) {
  Value factor = vectorWeight(op.getLoc(), op.getFactorAttr());
  Value out = destination(op.getLoc(), op.getResult());
  define(op.getResult(),
         kernel::AddOp::create(builder, op.getLoc(), resultTypes(out), mapped(op.getA()),
                               mapped(op.getB()), factor, out, rows, op.getScale()));
  return success();
}

LogicalResult ProgramConverter::convert(gemma::SoftCapOp op) {
  Value out = destination(op.getLoc(), op.getResult());
  define(op.getResult(), kernel::SoftCapOp::create(builder, op.getLoc(), resultTypes(out),
                                                   mapped(op.getX()), out, rows, op.getCap()));
  return success();
}

LogicalResult ProgramConverter::convertOperation(Operation *op) {
  return TypeSwitch<Operation *, LogicalResult>(op)
      .Case<gemma::EmbedOp, gemma::LinearOp, gemma::RmsNormOp, gemma::RopeOp, gemma::AppendKvOp,
            gemma::AttentionOp, gemma::GatedGeluOp, gemma::AddOp, gemma::SoftCapOp,
            gemma::ExpertsOp>([&](auto typed) { return convert(typed); })
      .Case<func::ReturnOp>([&](auto) { return success(); })
      .Default([](Operation *other) {
        return other->emitOpError("is no operation that a gemma program may hold");
      });
}

LogicalResult ProgramConverter::run() {
  auto rowsAttr = program->getAttrOfType<IntegerAttr>(gemma::rowsAttrName);
  if (!rowsAttr)
    return program.emitError("has no row capacity; run gemma-split-phases first");
  capacity = rowsAttr.getInt();

  Location loc = program.getLoc();
  Block &old = program.front();
  auto returnOp = cast<func::ReturnOp>(old.getTerminator());
  returned = returnOp.getNumOperands() ? returnOp.getOperand(0) : Value();
  if (returned && (isa<BlockArgument>(returned) || !returned.hasOneUse()))
    return returnOp.emitError("must return a value that nothing else uses");

  int64_t tableBytes = 1;
  for (auto weight : program->getParentOfType<ModuleOp>().getOps<gemma::WeightOp>())
    if (weight.getRole() == gemma::perLayerTableRole && weight.getFormat())
      tableBytes = cast<ShapedType>(weight.getType()).getDimSize(0) * gemma::tableRowBytes(weight);

  Type index = builder.getIndexType();
  SmallVector<Type> inputs{MemRefType::get({capacity}, builder.getI32Type()),
                           MemRefType::get({capacity}, builder.getI32Type()),
                           MemRefType::get({tableBytes}, builder.getI8Type())};
  if (returned)
    inputs.push_back(MemRefType::get({capacity, columns(returned)}, builder.getF32Type()));
  inputs.append({index, index});
  bool takesSpans = llvm::any_of(old.getArgumentTypes(), gemma::isSpans);
  if (takesSpans)
    inputs.push_back(MemRefType::get({capacity, 2}, builder.getI32Type()));

  Block *block = new Block;
  program.getBody().push_back(block);
  for (Type input : inputs)
    block->addArgument(input, loc);
  tokens = block->getArgument(0);
  tableRows = block->getArgument(1);
  table = block->getArgument(2);
  logits = returned ? block->getArgument(3) : Value();
  int64_t rowsAt = returned ? 4 : 3;
  rows = block->getArgument(rowsAt);
  position = block->getArgument(rowsAt + 1);
  if (takesSpans)
    spans = block->getArgument(rowsAt + 2);
  builder.setInsertionPointToEnd(block);
  if (capacity == 1)
    rows = arith::ConstantIndexOp::create(builder, loc, 1);

  for (Operation &op : old)
    if (failed(convertOperation(&op)))
      return failure();
  func::ReturnOp::create(builder, loc);

  old.dropAllDefinedValueUses();
  for (Operation &op : llvm::make_early_inc_range(llvm::reverse(old)))
    op.erase();
  old.erase();
  program.setFunctionType(builder.getFunctionType(inputs, {}));
  return success();
}

struct GemmaToKernel : impl::GemmaToKernelBase<GemmaToKernel> {
  void runOnOperation() override {
    SymbolTable symbols(getOperation());
    for (auto program : getOperation().getOps<func::FuncOp>())
      if (program->hasAttr(gemma::programAttrName) &&
          failed(ProgramConverter(program, symbols).run()))
        return signalPassFailure();
  }
};
} // namespace
} // namespace gcompile
