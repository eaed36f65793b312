// Registration and verifiers of the gemma dialect.
#include "ir/Format/CacheLayout.h"
#include "ir/Gemma/Gemma.h"
#include "mlir/IR/Builders.h"

using namespace mlir;

#include "ir/Gemma/GemmaDialect.cpp.inc"

void gcompile::gemma::GemmaDialect::initialize() {
  addOperations<
#define GET_OP_LIST
#include "ir/Gemma/GemmaOps.cpp.inc"
      >();
}

namespace gcompile::gemma {
namespace {

int64_t columns(Value value) { return cast<ShapedType>(value.getType()).getDimSize(1); }

template <typename SymbolOp>
SymbolOp lookup(Operation *op, SymbolTableCollection &symbols, FlatSymbolRefAttr name) {
  auto symbol = symbols.lookupNearestSymbolFrom<SymbolOp>(op, name);
  if (!symbol)
    op->emitOpError() << "names " << name << ", which is no " << SymbolOp::getOperationName();
  return symbol;
}

ShapedType typeOf(WeightOp weight) { return cast<ShapedType>(weight.getType()); }

LogicalResult verifyVector(Operation *op, SymbolTableCollection &symbols, FlatSymbolRefAttr name,
                           int64_t length) {
  auto weight = lookup<WeightOp>(op, symbols, name);
  if (!weight)
    return failure();
  if (typeOf(weight).getNumElements() != length)
    return op->emitOpError() << "needs " << length << " values of " << name << ", which has "
                             << typeOf(weight).getNumElements();
  return success();
}

LogicalResult verifyHeads(Operation *op, SymbolTableCollection &symbols, FlatSymbolRefAttr name,
                          int64_t heads, int64_t actual) {
  auto cache = lookup<KvCacheOp>(op, symbols, name);
  if (!cache)
    return failure();
  int64_t kvHeads = cache.getHeads(), headDim = cache.getHeadDim();
  if (heads % kvHeads)
    return op->emitOpError() << "has " << heads << " query heads on " << kvHeads << " kv heads of "
                             << name;
  if (actual != heads * headDim)
    return op->emitOpError() << "has rows of " << actual << ", expected " << heads * headDim
                             << " for " << name;
  return success();
}

// "%k, %v," or "%v,", then their types.
ParseResult parseRows(OpAsmParser &parser, std::optional<OpAsmParser::UnresolvedOperand> &k,
                      OpAsmParser::UnresolvedOperand &v) {
  OpAsmParser::UnresolvedOperand second;
  if (parser.parseOperand(v) || parser.parseComma())
    return failure();
  OptionalParseResult found = parser.parseOptionalOperand(second);
  if (!found.has_value())
    return success();
  k = v;
  v = second;
  return failure(failed(*found) || parser.parseComma());
}

void printRows(OpAsmPrinter &printer, Operation *, Value k, Value v) {
  if (k)
    printer << k << ", ";
  printer << v << ",";
}

ParseResult parseRowTypes(OpAsmParser &parser, Type &k, Type &v) {
  if (parser.parseType(v))
    return failure();
  if (failed(parser.parseOptionalComma()))
    return success();
  k = v;
  return parser.parseType(v);
}

void printRowTypes(OpAsmPrinter &printer, Operation *, Type k, Type v) {
  if (k)
    printer << k << ", ";
  printer << v;
}

} // namespace

int64_t packedBytes(WeightOp weight, WeightFormat format) {
  int64_t matrices = weight.getMatrices();
  return stackedBytes(format, matrices, typeOf(weight).getDimSize(0) / matrices,
                      typeOf(weight).getDimSize(1));
}

int64_t tableRowBytes(WeightOp table) {
  int64_t columns = typeOf(table).getDimSize(1), slices = table.getSlices();
  return rowTableRowBytes(*parseWeightFormat(*table.getFormat()), columns / slices, slices);
}

int64_t tableResidentBytes(WeightOp table) {
  if (!table.getFormat() || !table.getPlacement())
    return 0;
  int64_t rows = *table.getPlacement() == onStorage ? int64_t(table.getCacheRows().value_or(0))
                                                    : typeOf(table).getDimSize(0);
  return rows * tableRowBytes(table);
}

bool isExpertOnStorage(WeightOp weight) {
  return weight.getMatrices() > 1 && weight.getPlacement() == onStorage;
}

LogicalResult WeightOp::verify() {
  auto type = cast<RankedTensorType>(getType());
  if (!type.hasStaticShape() || type.getRank() < 1 || type.getRank() > 2)
    return emitOpError() << "has type " << type
                         << ", expected a vector or a matrix of static shape";
  if (getFormat() && !parseWeightFormat(*getFormat()))
    return emitOpError() << "has format '" << *getFormat() << "', which the registry does not know";
  if (getFormat() && type.getRank() == 1 && *getFormat() != "f32")
    return emitOpError() << "is a vector of format '" << *getFormat() << "', expected 'f32'";
  bool table = getRole() == perLayerTableRole;
  if (int64_t slices = getSlices();
      slices < 1 || (slices > 1 && !table) || type.getShape().back() % slices)
    return emitOpError() << "has rows of " << type.getShape().back() << " in " << slices
                         << " slices, expected a divisor, and 1 unless it is a per-layer table";
  if (int64_t matrices = getMatrices(); matrices < 1 || type.getDimSize(0) % matrices ||
                                        (matrices > 1 && (type.getRank() != 2 || table)))
    return emitOpError()
           << "has type " << type << " of " << matrices
           << " matrices, expected a divisor of its rows, and 1 unless it is a matrix";
  bool stack = getMatrices() > 1;
  if (getPlacement() &&
      ((!table && !stack) || (*getPlacement() != inMemory && *getPlacement() != onStorage)))
    return emitOpError() << "has placement '" << *getPlacement()
                         << "', expected 'memory' or 'storage', and only on a per-layer table or "
                            "a stack of experts";
  if (getCacheRows() && (!table || getPlacement() != onStorage || *getCacheRows() < 1))
    return emitOpError("needs 'cache_rows' of at least 1, and only on a table with placement "
                       "'storage'");
  bool inSlots = stack && getPlacement() == onStorage;
  for (std::optional<uint64_t> attribute : {getCacheSlots(), getBlockBytes(), getBlockOffset()})
    if (attribute.has_value() != inSlots)
      return emitOpError("needs 'cache_slots', 'block_bytes' and 'block_offset' exactly when it is "
                         "a stack with placement 'storage'");
  if (inSlots && (*getCacheSlots() < 1 || *getBlockBytes() % expertBlockAlignment ||
                  *getBlockOffset() % 128 || *getBlockOffset() >= *getBlockBytes()))
    return emitOpError() << "has " << *getCacheSlots() << " slots of " << *getBlockBytes()
                         << " bytes and begins at " << *getBlockOffset()
                         << ", expected at least 1 of a multiple of "
                         << int64_t(expertBlockAlignment) << ", and a multiple of 128 inside";
  if ((getRole() == ropeRole) != (getTheta().has_value() && getPairs().has_value()))
    return emitOpError("needs 'theta' and 'pairs' exactly when its role is 'rope_frequencies'");
  if ((getRole() == activationScaleRole) != getValue().has_value() ||
      (getValue() && type.getNumElements() != 1))
    return emitOpError("needs one 'value' exactly when its role is 'activation_scale'");
  for (std::optional<APFloat> scale : {getInputScale(), getOutputScale(), getValue()})
    if (scale && (!scale->isFiniteNonZero() || scale->isNegative()))
      return emitOpError() << "has an activation scale of " << scale->convertToDouble()
                           << ", expected a positive number";
  if ((getInputScale() || getOutputScale()) && (type.getRank() != 2 || table))
    return emitOpError("has activation scales, which only a matrix that is multiplied has");
  if ((getInputScale() || getOutputScale()) && getMatrices() > 1)
    return emitOpError() << "has activation scales and " << getMatrices()
                         << " matrices; experts have none";
  return success();
}

LogicalResult KvCacheOp::verify() {
  if (getHeads() < 1 || getHeadDim() < 2 || getHeadDim() % 2)
    return emitOpError() << "has " << getHeads() << " heads of " << getHeadDim()
                         << ", expected at least 1 of an even size";
  bool derives = getKFormat() && isDerived(*getKFormat());
  if (getKFormat() && derives != getDerivedKeys())
    return emitOpError() << "has k_format '" << *getKFormat()
                         << "', expected 'derived' exactly with 'derived_keys'";
  // In a ring the slot does not tell the position, which K is rotated by.
  if (getDerivedKeys() && getWindow())
    return emitOpError() << "has derived keys and a window of " << getWindow() << ", expected 0";
  for (std::optional<StringRef> format : {derives ? std::nullopt : getKFormat(), getVFormat()})
    if (format && !parseKvFormat(*format))
      return emitOpError() << "has format '" << *format << "', which the registry does not know";
  for (auto [scale, format] :
       {std::pair(getKeyScale(), getKFormat()), std::pair(getValueScale(), getVFormat())}) {
    if (scale && (!scale->isFiniteNonZero() || scale->isNegative()))
      return emitOpError() << "has a scale of " << scale->convertToDouble()
                           << ", expected a positive number";
    if (scale && !(format && parseKvFormat(*format) && hasScales(*parseKvFormat(*format))))
      return emitOpError() << "has a scale for format '" << format.value_or("")
                           << "', which has no codes";
  }
  if (getCapacity() && (*getCapacity() == 0 || *getCapacity() % 64))
    return emitOpError() << "has a capacity of " << *getCapacity() << ", expected a multiple of 64";
  if (getCapacity() && getWindow() && *getCapacity() < getWindow())
    return emitOpError() << "has a capacity of " << *getCapacity() << " for a window of "
                         << getWindow();
  return success();
}

LogicalResult EmbedOp::verifySymbolUses(SymbolTableCollection &symbols) {
  auto table = lookup<WeightOp>(*this, symbols, getTableAttr());
  if (!table)
    return failure();
  ShapedType type = typeOf(table);
  int64_t width = columns(getResult());
  if (type.getRank() != 2 || type.getDimSize(1) != width * (int64_t)table.getSlices() ||
      (int64_t)getSlice() >= (int64_t)table.getSlices())
    return emitOpError() << "reads slice " << getSlice() << " of " << width << " columns from "
                         << getTableAttr() << " of type " << type << " in " << table.getSlices()
                         << " slices";
  return success();
}

LogicalResult LinearOp::verifySymbolUses(SymbolTableCollection &symbols) {
  auto weight = lookup<WeightOp>(*this, symbols, getWeightAttr());
  if (!weight)
    return failure();
  ShapedType type = typeOf(weight);
  if (type.getRank() != 2 || type.getDimSize(1) != columns(getX()) ||
      type.getDimSize(0) != columns(getResult()))
    return emitOpError() << "maps " << columns(getX()) << " to " << columns(getResult())
                         << " columns with " << getWeightAttr() << " of type " << type;
  return success();
}

LogicalResult ExpertsOp::verifySymbolUses(SymbolTableCollection &symbols) {
  auto gateUp = lookup<WeightOp>(*this, symbols, getGateUpAttr()),
       down = lookup<WeightOp>(*this, symbols, getDownAttr());
  if (!gateUp || !down)
    return failure();
  int64_t experts = columns(getRouter()), width = columns(getX());
  ShapedType up = typeOf(gateUp), back = typeOf(down);
  bool matrices = up.getRank() == 2 && back.getRank() == 2;
  int64_t inner = matrices ? back.getDimSize(1) : 0;
  if (!matrices || up.getDimSize(1) != width || back.getDimSize(0) != experts * width ||
      up.getDimSize(0) != experts * 2 * inner || columns(getResult()) != width)
    return emitOpError() << "has " << experts << " experts of " << width << " columns, which "
                         << getGateUpAttr() << " of type " << up << " and " << getDownAttr()
                         << " of type " << back << " do not fit";
  for (WeightOp stack : {gateUp, down})
    if ((int64_t)stack.getMatrices() != experts)
      return emitOpError() << "has " << experts << " experts, @" << stack.getSymName() << " has "
                           << stack.getMatrices() << " matrices";
  if (getTopK() < 1 || (int64_t)getTopK() > experts)
    return emitOpError() << "chooses " << getTopK() << " of " << experts << " experts";
  return verifyVector(*this, symbols, getExpertScaleAttr(), experts);
}

LogicalResult RmsNormOp::verifySymbolUses(SymbolTableCollection &symbols) {
  int64_t width = columns(getX()), groups = getGroups();
  if (groups < 1 || width % groups)
    return emitOpError() << "splits rows of " << width << " into " << groups << " groups";
  return getWeightAttr() ? verifyVector(*this, symbols, getWeightAttr(), width / groups)
                         : success();
}

LogicalResult RopeOp::verifySymbolUses(SymbolTableCollection &symbols) {
  int64_t width = columns(getX()), groups = getGroups();
  if (groups < 1 || width % (2 * groups))
    return emitOpError() << "splits rows of " << width << " into " << groups << " groups of pairs";
  return verifyVector(*this, symbols, getFrequenciesAttr(), width / groups / 2);
}

LogicalResult AppendKvOp::verifySymbolUses(SymbolTableCollection &symbols) {
  if (getK() && getK().getType() != getV().getType())
    return emitOpError("has keys and values of different types");
  auto cache = lookup<KvCacheOp>(*this, symbols, getCacheAttr());
  if (!cache)
    return failure();
  if (cache.getDerivedKeys() == bool(getK()))
    return emitOpError() << "writes " << (getK() ? "keys" : "no keys") << " to " << getCacheAttr()
                         << ", which " << (getK() ? "derives" : "stores") << " them";
  return verifyHeads(*this, symbols, getCacheAttr(), cache.getHeads(), columns(getV()));
}

LogicalResult AttentionOp::verify() {
  if (getWholeSpans() && !getSpans())
    return emitOpError("has 'whole_spans' and no spans");
  if (getSpans() && !isSpans(getSpans().getType()))
    return emitOpError() << "has spans of type " << getSpans().getType() << ", expected T×2";
  return success();
}

LogicalResult AttentionOp::verifySymbolUses(SymbolTableCollection &symbols) {
  if (failed(verifyHeads(*this, symbols, getCacheAttr(), getHeads(), columns(getQ()))))
    return failure();
  auto cache = lookup<KvCacheOp>(*this, symbols, getCacheAttr());
  for (FlatSymbolRefAttr needed : {getKeyNormAttr(), getFrequenciesAttr()})
    if (cache.getDerivedKeys() != bool(needed))
      return emitOpError() << "needs 'key_norm' and 'frequencies' exactly when the keys of "
                           << getCacheAttr() << " are derived";
  int64_t headDim = cache.getHeadDim();
  return success(!cache.getDerivedKeys() ||
                 (succeeded(verifyVector(*this, symbols, getKeyNormAttr(), headDim)) &&
                  succeeded(verifyVector(*this, symbols, getFrequenciesAttr(), headDim / 2))));
}

LogicalResult AddOp::verifySymbolUses(SymbolTableCollection &symbols) {
  return getFactorAttr() ? verifyVector(*this, symbols, getFactorAttr(), 1) : success();
}

} // namespace gcompile::gemma

#define GET_OP_CLASSES
#include "ir/Gemma/GemmaOps.cpp.inc"
