// Verifiers and memory effects of kernel operations.
#include "ir/Format/CacheLayout.h"
#include "ir/Kernel/Kernel.h"
#include "mlir/IR/Builders.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace gcompile::kernel {
namespace {

using Effects = SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>;

// Destinations are written, every other memref is read.
void addDestinationStyleEffects(DestinationStyleOpInterface op, Effects &effects) {
  for (OpOperand &operand : op->getOpOperands()) {
    if (!isa<MemRefType>(operand.get().getType()))
      continue;
    if (op.isDpsInit(&operand))
      effects.emplace_back(MemoryEffects::Write::get(), &operand);
    else
      effects.emplace_back(MemoryEffects::Read::get(), &operand);
  }
}

ShapedType shaped(Value value) { return cast<ShapedType>(value.getType()); }

LogicalResult verifyShape(Operation *op, StringRef what, Value value, ArrayRef<int64_t> shape) {
  ShapedType type = shaped(value);
  if (!type.hasStaticShape() || type.getShape() != shape) {
    std::string wanted;
    for (int64_t dim : shape)
      wanted += (wanted.empty() ? "" : "x") + std::to_string(dim);
    return op->emitOpError() << what << " has type " << type << ", expected shape " << wanted;
  }
  return success();
}

// One scale of static activations, or none.
LogicalResult verifyScale(Operation *op, Value scale) {
  return scale ? verifyShape(op, "scale", scale, {1}) : success();
}

FailureOr<WeightFormat> weightFormat(Operation *op, StringRef text) {
  std::optional<WeightFormat> format = parseWeightFormat(text);
  if (!format)
    return op->emitOpError() << "names weight format '" << text
                             << "', which the registry does not know";
  return *format;
}

LogicalResult verifyRank2(Operation *op, StringRef what, Value value) {
  if (shaped(value).getRank() != 2 || !shaped(value).hasStaticShape())
    return op->emitOpError() << what << " has type " << shaped(value)
                             << ", expected a static shape of rank 2";
  return success();
}

LogicalResult verifyGroups(Operation *op, int64_t columns, int64_t groups) {
  if (groups < 1 || columns % groups != 0)
    return op->emitOpError() << "splits rows of " << columns << " into " << groups << " groups";
  return success();
}

LogicalResult verifyCache(Operation *op, Value cache, StringRef kText, StringRef vText,
                          int64_t heads, int64_t headDim, int64_t capacity) {
  std::optional<KvLayout> layout = cacheLayout(kText, vText, heads, headDim, 64);
  if (!layout)
    return op->emitOpError() << "names kv format '" << (parseKvFormat(vText) ? kText : vText)
                             << "', which the registry does not know";
  if (capacity <= 0 || capacity % 64 != 0)
    return op->emitOpError() << "has a cache of " << capacity
                             << " slots, expected a multiple of 64";
  if (heads < 1 || headDim < 2 || headDim % 2)
    return op->emitOpError() << "has " << heads << " heads of " << headDim
                             << ", expected at least 1 of an even size";
  layout = cacheLayout(kText, vText, heads, headDim, capacity);
  return verifyShape(op, "cache", cache, {layout->bytes});
}

// A product's shapes and, with groups, those of its lists of slots: `in` and `out` are its rows.
template <typename Op>
LogicalResult verifyProduct(Op op, WeightFormat format, int64_t in, int64_t k) {
  int64_t out = shaped(op.getOuts()).getDimSize(0), n = shaped(op.getOuts()).getDimSize(1);
  int64_t matrices = op.getMatrices(), groups = mostGroups(op);
  if (failed(verifyScale(op, op.getRounding())))
    return failure();
  if (op.getGroups().empty()) {
    if (matrices != 1 || in != out || op.getStride() != 0)
      return op.emitOpError() << "has " << matrices << " matrices and maps " << in << " to " << out
                              << " rows without groups";
    return verifyShape(op, "weights", op.getWeights(), {packedBytes(format, n, k)});
  }
  if (op.getGroups().size() != 3)
    return op.emitOpError() << "has " << op.getGroups().size()
                            << " lists of groups, expected members, starts and chosen";
  if (matrices < 1 || op.getGroupRows() < 1 || in < 1 || out % in)
    return op.emitOpError() << "has " << matrices << " matrices, groups of " << op.getGroupRows()
                            << " rows, and maps " << in << " to " << out << " rows";
  if (failed(verifyShape(op, "members", op.getGroups()[0], {out})) ||
      failed(verifyShape(op, "starts", op.getGroups()[1], {groups + 1})) ||
      failed(verifyShape(op, "chosen", op.getGroups()[2], {groups + 1})))
    return failure();
  if (op.getStride() == 0)
    return verifyShape(op, "weights", op.getWeights(), {stackedBytes(format, matrices, n, k)});
  // Slots: how many there are follows from the type. Of another slot, the last one ends early.
  int64_t stride = op.getStride(), whole = packedBytes(format, n, k);
  int64_t bytes = shaped(op.getWeights()).getDimSize(0), slots = (bytes - whole) / stride + 1;
  if (stride % 128 || stride < whole || bytes < whole || slots < groups)
    return op.emitOpError() << "has weights of " << bytes << " bytes in slots of " << stride
                            << ", expected slots of a multiple of 128 and at least " << whole
                            << " bytes for " << groups << " groups";
  return success();
}

// "%k, %v" or "%v", then the types of these and of the cache.
ParseResult parseRows(OpAsmParser &parser, std::optional<OpAsmParser::UnresolvedOperand> &k,
                      OpAsmParser::UnresolvedOperand &v) {
  if (parser.parseOperand(v))
    return failure();
  if (failed(parser.parseOptionalComma()))
    return success();
  k = v;
  return parser.parseOperand(v);
}

void printRows(OpAsmPrinter &printer, Operation *, Value k, Value v) {
  if (k)
    printer << k << ", ";
  printer << v;
}

ParseResult parseRowTypes(OpAsmParser &parser, Type &k, Type &v, Type &cache) {
  if (parser.parseType(v) || parser.parseComma() || parser.parseType(cache))
    return failure();
  if (failed(parser.parseOptionalComma()))
    return success();
  k = v;
  v = cache;
  return parser.parseType(cache);
}

void printRowTypes(OpAsmPrinter &printer, Operation *, Type k, Type v, Type cache) {
  if (k)
    printer << k << ", ";
  printer << v << ", " << cache;
}

} // namespace

Value activeRows(Operation *op) {
  return llvm::TypeSwitch<Operation *, Value>(op)
      .Case<GatherRowsOp, QuantizeRowsOp, RoundRowsOp, MatmulFloatOp, MatmulIntegerOp, RmsNormOp,
            RopeTableOp, RopeOp, AppendKvOp, AttendOp, GeluMulOp, AddOp, SoftCapOp, GeluMulHalvesOp,
            ChooseExpertsOp, GroupRowsOp, CombineExpertsOp>(
          [](auto kernel) { return kernel.getRows(); })
      .Default([](Operation *) { return Value(); });
}

#define GCOMPILE_DPS_EFFECTS(OP)                                                                   \
  void OP::getEffects(Effects &effects) {                                                          \
    addDestinationStyleEffects(cast<DestinationStyleOpInterface>(getOperation()), effects);        \
  }
GCOMPILE_DPS_EFFECTS(GatherRowsOp)
GCOMPILE_DPS_EFFECTS(QuantizeRowsOp)
GCOMPILE_DPS_EFFECTS(RoundRowsOp)
GCOMPILE_DPS_EFFECTS(MatmulFloatOp)
GCOMPILE_DPS_EFFECTS(MatmulIntegerOp)
GCOMPILE_DPS_EFFECTS(RmsNormOp)
GCOMPILE_DPS_EFFECTS(RopeTableOp)
GCOMPILE_DPS_EFFECTS(RopeOp)
GCOMPILE_DPS_EFFECTS(AttendOp)
GCOMPILE_DPS_EFFECTS(GeluMulOp)
GCOMPILE_DPS_EFFECTS(AddOp)
GCOMPILE_DPS_EFFECTS(SoftCapOp)
GCOMPILE_DPS_EFFECTS(GeluMulHalvesOp)
GCOMPILE_DPS_EFFECTS(ChooseExpertsOp)
GCOMPILE_DPS_EFFECTS(GroupRowsOp)
GCOMPILE_DPS_EFFECTS(FetchExpertsOp)
GCOMPILE_DPS_EFFECTS(CombineExpertsOp)
#undef GCOMPILE_DPS_EFFECTS

void AppendKvOp::getEffects(Effects &effects) {
  for (OpOperand &operand : (*this)->getOpOperands())
    if (&operand == &getCacheMutable())
      effects.emplace_back(MemoryEffects::Write::get(), &operand);
    else if (isa<MemRefType>(operand.get().getType()))
      effects.emplace_back(MemoryEffects::Read::get(), &operand);
}

LogicalResult GatherRowsOp::verify() {
  FailureOr<WeightFormat> format = weightFormat(*this, getFormat());
  if (failed(format))
    return failure();
  int64_t bytes = 0;
  if (getLayout() == "packed") {
    if (getSlices() != 1 || getSlice() != 0)
      return emitOpError("reads slices of a packed table, which has none");
    bytes = packedBytes(*format, getTableRows(), getColumns());
  } else if (getLayout() == "row") {
    if (!isRowTableFormat(*format))
      return emitOpError() << "names format '" << getFormat() << "', which row tables do not have";
    if (getSlice() < 0 || getSlice() >= getSlices())
      return emitOpError() << "reads slice " << getSlice() << " of " << getSlices();
    bytes = rowTableRowBytes(*format, getColumns(), getSlices()) * getTableRows();
  } else {
    return emitOpError() << "has layout '" << getLayout() << "', expected 'packed' or 'row'";
  }
  // A row table may be a cache of fewer rows than the table: only its type's lower bound is known
  // here.
  if (getLayout() == "packed" && failed(verifyShape(*this, "table", getTable(), {bytes})))
    return failure();
  int64_t m = shaped(getOuts()).getDimSize(0);
  if (failed(verifyShape(*this, "destination", getOuts(), {m, (int64_t)getColumns()})))
    return failure();
  return verifyShape(*this, "indices", getIndices(), {m});
}

LogicalResult QuantizeRowsOp::verify() {
  if (failed(verifyRank2(*this, "x", getX())))
    return failure();
  int64_t m = shaped(getX()).getDimSize(0), k = shaped(getX()).getDimSize(1);
  int64_t padded = (k + 63) / 64 * 64, group = getGroup();
  if (group < 0 || (group && padded % group))
    return emitOpError() << "has group " << group << ", which does not divide " << padded;
  int64_t groups = group ? padded / group : 1;
  if (failed(verifyShape(*this, "codes", getCodes(), {m, padded})) ||
      failed(verifyShape(*this, "scales", getScales(), {m, groups})) ||
      failed(verifyScale(*this, getScale())))
    return failure();
  return verifyShape(*this, "sums", getSums(), {m, groups});
}

LogicalResult RoundRowsOp::verify() {
  if (failed(verifyRank2(*this, "x", getX())) || failed(verifyScale(*this, getScale())))
    return failure();
  return verifyShape(*this, "destination", getOuts(), shaped(getX()).getShape());
}

LogicalResult MatmulFloatOp::verify() {
  FailureOr<WeightFormat> format = weightFormat(*this, getFormat());
  if (failed(format) || failed(verifyRank2(*this, "x", getX())) ||
      failed(verifyRank2(*this, "destination", getOuts())))
    return failure();
  if (info(*format).isInteger)
    return emitOpError() << "has integer format '" << getFormat() << "'; use kernel.matmul_integer";
  return verifyProduct(*this, *format, shaped(getX()).getDimSize(0), shaped(getX()).getDimSize(1));
}

LogicalResult MatmulIntegerOp::verify() {
  FailureOr<WeightFormat> format = weightFormat(*this, getFormat());
  if (failed(format) || failed(verifyRank2(*this, "codes", getCodes())) ||
      failed(verifyRank2(*this, "destination", getOuts())))
    return failure();
  if (!info(*format).isInteger)
    return emitOpError() << "has float format '" << getFormat() << "'; use kernel.matmul_float";
  int64_t m = shaped(getCodes()).getDimSize(0), k = getColumns();
  int64_t padded = paddedColumns(*format, k), group = info(*format).group,
          groups = group ? padded / group : 1;
  if (failed(verifyShape(*this, "codes", getCodes(), {m, padded})) ||
      failed(verifyShape(*this, "scales", getScales(), {m, groups})) ||
      failed(verifyShape(*this, "sums", getSums(), {m, groups})))
    return failure();
  return verifyProduct(*this, *format, m, k);
}

LogicalResult RmsNormOp::verify() {
  if (failed(verifyRank2(*this, "x", getX())))
    return failure();
  int64_t columns = shaped(getX()).getDimSize(1);
  if (failed(verifyGroups(*this, columns, getGroups())))
    return failure();
  if (getWeight() &&
      failed(verifyShape(*this, "weight", getWeight(), {columns / (int64_t)getGroups()})))
    return failure();
  return verifyShape(*this, "destination", getOuts(), shaped(getX()).getShape());
}

LogicalResult RopeTableOp::verify() {
  if (failed(verifyRank2(*this, "cosines", getCosines())))
    return failure();
  int64_t known = shaped(getFrequencies()).getDimSize(0);
  if (shaped(getCosines()).getDimSize(1) > known)
    return emitOpError() << "has cosines of type " << shaped(getCosines()) << " of " << known
                         << " frequencies";
  return verifyShape(*this, "sines", getSines(), shaped(getCosines()).getShape());
}

LogicalResult RopeOp::verify() {
  if (failed(verifyRank2(*this, "x", getX())))
    return failure();
  int64_t m = shaped(getX()).getDimSize(0), columns = shaped(getX()).getDimSize(1);
  if (failed(verifyGroups(*this, columns, 2 * getGroups())))
    return failure();
  int64_t half = columns / getGroups() / 2;
  if (failed(verifyShape(*this, "cosines", getCosines(), {m, half})) ||
      failed(verifyShape(*this, "sines", getSines(), {m, half})))
    return failure();
  return verifyShape(*this, "destination", getOuts(), shaped(getX()).getShape());
}

LogicalResult AppendKvOp::verify() {
  if (failed(verifyRank2(*this, "v", getV())))
    return failure();
  if (bool(getK()) == isDerived(getKFormat()))
    return emitOpError() << "has k_format '" << getKFormat() << "' and " << (getK() ? "" : "no ")
                         << "keys";
  for (auto [scale, format] :
       {std::pair(getKeyScale(), getKFormat()), std::pair(getValueScale(), getVFormat())}) {
    if (scale && !(parseKvFormat(format) && hasScales(*parseKvFormat(format))))
      return emitOpError() << "has a scale for format '" << format << "', which has no codes";
    if (failed(verifyScale(*this, scale)))
      return failure();
  }
  int64_t m = shaped(getV()).getDimSize(0), columns = (int64_t)getHeads() * getHeadDim();
  if ((getK() && failed(verifyShape(*this, "k", getK(), {m, columns}))) ||
      failed(verifyShape(*this, "v", getV(), {m, columns})))
    return failure();
  return verifyCache(*this, getCache(), getKFormat(), getVFormat(), getHeads(), getHeadDim(),
                     getCapacity());
}

static LogicalResult verifyDerivedKeys(AttendOp op) {
  bool derived = isDerived(op.getKFormat());
  if (op.getKeys().size() != (derived ? 3 : 0))
    return op.emitOpError() << "has k_format '" << op.getKFormat() << "' and "
                            << op.getKeys().size() << " inputs of keys, expected "
                            << (derived ? 3 : 0);
  if (!derived)
    return success();
  if (op.getWindow())
    return op.emitOpError() << "has derived keys and a window of " << op.getWindow()
                            << ", expected 0";
  int64_t headDim = op.getHeadDim(), capacity = op.getCapacity();
  Value cosines = op.getKeys()[1], sines = op.getKeys()[2];
  if (failed(verifyShape(op, "key norm", op.getKeys()[0], {headDim})) ||
      failed(verifyRank2(op, "cosines", cosines)))
    return failure();
  // Whole vectors of pairs: the loops over rotated and other pairs split there.
  int64_t pairs = shaped(cosines).getDimSize(1);
  if (pairs != rotaryTableColumns(headDim, pairs))
    return op.emitOpError() << "rotates " << pairs << " pairs of heads of " << headDim
                            << ", expected a multiple of 16 or all";
  if (failed(verifyShape(op, "cosines", cosines, {capacity, pairs})))
    return failure();
  return verifyShape(op, "sines", sines, {capacity, pairs});
}

LogicalResult AttendOp::verify() {
  if (failed(verifyRank2(*this, "q", getQ())))
    return failure();
  int64_t m = shaped(getQ()).getDimSize(0);
  if (getKvHeads() < 1 || getHeads() % getKvHeads())
    return emitOpError() << "has " << getHeads() << " query heads on " << getKvHeads()
                         << " kv heads";
  if (failed(verifyShape(*this, "q", getQ(), {m, (int64_t)getHeads() * (int64_t)getHeadDim()})) ||
      failed(verifyShape(*this, "destination", getOuts(), shaped(getQ()).getShape())) ||
      failed(verifyDerivedKeys(*this)))
    return failure();
  if (getWholeSpans() && !getSpans())
    return emitOpError("has 'whole_spans' and no spans");
  if (getSpans() && failed(verifyShape(*this, "spans", getSpans(), {m, 2})))
    return failure();
  return verifyCache(*this, getCache(), getKFormat(), getVFormat(), getKvHeads(), getHeadDim(),
                     getCapacity());
}

LogicalResult GeluMulOp::verify() {
  if (failed(verifyRank2(*this, "gate", getGate())))
    return failure();
  if (failed(verifyShape(*this, "up", getUp(), shaped(getGate()).getShape())))
    return failure();
  return verifyShape(*this, "destination", getOuts(), shaped(getGate()).getShape());
}

LogicalResult GeluMulHalvesOp::verify() {
  if (failed(verifyRank2(*this, "destination", getOuts())))
    return failure();
  ArrayRef<int64_t> shape = shaped(getOuts()).getShape();
  return verifyShape(*this, "x", getX(), {shape[0], 2 * shape[1]});
}

LogicalResult ChooseExpertsOp::verify() {
  if (failed(verifyRank2(*this, "router", getRouter())) ||
      failed(verifyRank2(*this, "experts", getExperts())))
    return failure();
  int64_t m = shaped(getRouter()).getDimSize(0), count = shaped(getRouter()).getDimSize(1);
  int64_t chosen = shaped(getExperts()).getDimSize(1);
  if (chosen < 1 || chosen > count)
    return emitOpError() << "chooses " << chosen << " of " << count << " experts";
  if (failed(verifyShape(*this, "expert scale", getExpertScale(), {count})) ||
      failed(verifyShape(*this, "experts", getExperts(), {m, chosen})))
    return failure();
  return verifyShape(*this, "gates", getGates(), {m, chosen});
}

LogicalResult GroupRowsOp::verify() {
  if (failed(verifyRank2(*this, "experts", getExperts())))
    return failure();
  if (shaped(getPlaces()).getRank() != 1 || !shaped(getPlaces()).hasStaticShape())
    return emitOpError() << "places has type " << shaped(getPlaces())
                         << ", expected a static shape of rank 1";
  int64_t slots = shaped(getExperts()).getNumElements();
  int64_t groups = std::min(slots, shaped(getPlaces()).getDimSize(0));
  if (failed(verifyShape(*this, "members", getMembers(), {slots})) ||
      failed(verifyShape(*this, "starts", getStarts(), {groups + 1})))
    return failure();
  return verifyShape(*this, "chosen", getChosen(), {groups + 1});
}

LogicalResult FetchExpertsOp::verify() {
  if (getLayer() < 0 || shaped(getStarts()).getRank() != 1)
    return emitOpError() << "has layer " << getLayer() << " and starts of type "
                         << shaped(getStarts()) << ", expected a layer and rank 1";
  int64_t entries = shaped(getStarts()).getDimSize(0);
  if (failed(verifyShape(*this, "chosen", getChosen(), {entries})))
    return failure();
  return verifyShape(*this, "slots", getOuts(), {entries});
}

LogicalResult CombineExpertsOp::verify() {
  if (failed(verifyRank2(*this, "gates", getGates())) ||
      failed(verifyRank2(*this, "destination", getOuts())))
    return failure();
  int64_t m = shaped(getOuts()).getDimSize(0), n = shaped(getOuts()).getDimSize(1);
  int64_t ranks = shaped(getGates()).getDimSize(1);
  if (failed(verifyShape(*this, "gates", getGates(), {m, ranks})))
    return failure();
  return verifyShape(*this, "y", getY(), {m * ranks, n});
}

LogicalResult AddOp::verify() {
  if (failed(verifyRank2(*this, "a", getA())))
    return failure();
  if (getFactor() && failed(verifyShape(*this, "factor", getFactor(), {1})))
    return failure();
  if (failed(verifyShape(*this, "b", getB(), shaped(getA()).getShape())))
    return failure();
  return verifyShape(*this, "destination", getOuts(), shaped(getA()).getShape());
}

LogicalResult SoftCapOp::verify() {
  if (failed(verifyRank2(*this, "x", getX())))
    return failure();
  return verifyShape(*this, "destination", getOuts(), shaped(getX()).getShape());
}

} // namespace gcompile::kernel

#define GET_OP_CLASSES
#include "ir/Kernel/KernelOps.cpp.inc"
