// Registration and verifiers of the gemma dialect.
#include "ir/Format/Format.h"
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

} // namespace

LogicalResult WeightOp::verify() {
  auto type = cast<RankedTensorType>(getType());
  if (!type.hasStaticShape() || type.getRank() < 1 || type.getRank() > 2)
    return emitOpError() << "has type " << type
                         << ", expected a vector or a matrix of static shape";
  if (getFormat() && !parseWeightFormat(*getFormat()))
    return emitOpError() << "has format '" << *getFormat() << "', which the registry does not know";
  if (getFormat() && type.getRank() == 1 && *getFormat() != "f32")
    return emitOpError() << "is a vector of format '" << *getFormat() << "', expected 'f32'";
  if ((getRole() == ropeRole) != (getTheta().has_value() && getPairs().has_value()))
    return emitOpError("needs 'theta' and 'pairs' exactly when its role is 'rope_frequencies'");
  return success();
}

LogicalResult KvCacheOp::verify() {
  if (getHeads() < 1 || getHeadDim() < 2 || getHeadDim() % 2)
    return emitOpError() << "has " << getHeads() << " heads of " << getHeadDim()
                         << ", expected at least 1 of an even size";
  for (std::optional<StringRef> format : {getKFormat(), getVFormat()})
    if (format && !parseKvFormat(*format))
      return emitOpError() << "has format '" << *format << "', which the registry does not know";
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
  if (type.getRank() != 2 || type.getDimSize(1) % width ||
      (int64_t)getSlice() >= type.getDimSize(1) / width)
    return emitOpError() << "reads slice " << getSlice() << " of " << width << " columns from "
                         << getTableAttr() << " of type " << type;
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
  if (getK().getType() != getV().getType())
    return emitOpError("has keys and values of different types");
  auto cache = lookup<KvCacheOp>(*this, symbols, getCacheAttr());
  if (!cache)
    return failure();
  return verifyHeads(*this, symbols, getCacheAttr(), cache.getHeads(), columns(getK()));
}

LogicalResult AttentionOp::verifySymbolUses(SymbolTableCollection &symbols) {
  return verifyHeads(*this, symbols, getCacheAttr(), getHeads(), columns(getQ()));
}

LogicalResult AddOp::verifySymbolUses(SymbolTableCollection &symbols) {
  return getFactorAttr() ? verifyVector(*this, symbols, getFactorAttr(), 1) : success();
}

} // namespace gcompile::gemma

#define GET_OP_CLASSES
#include "ir/Gemma/GemmaOps.cpp.inc"
