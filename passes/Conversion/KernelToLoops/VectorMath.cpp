// Fixed-order arithmetic on vectors of 16 lanes, and elementary functions made of it.
#include "passes/Conversion/KernelToLoops/VectorMath.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/TypeUtilities.h"

using namespace mlir;

namespace gcompile::kernel {

Value VectorMath::constant(Type type, double value) {
  auto attr = b.getFloatAttr(getElementTypeOrSelf(type), value);
  if (auto shaped = dyn_cast<ShapedType>(type))
    return arith::ConstantOp::create(b, DenseElementsAttr::get(shaped, attr));
  return arith::ConstantOp::create(b, attr);
}

Value VectorMath::integer(Type type, int64_t value) {
  auto attr = b.getIntegerAttr(getElementTypeOrSelf(type), value);
  if (auto shaped = dyn_cast<ShapedType>(type))
    return arith::ConstantOp::create(b, DenseElementsAttr::get(shaped, attr));
  return arith::ConstantOp::create(b, attr);
}

Value VectorMath::index(int64_t value) { return arith::ConstantIndexOp::create(b, value); }

Value VectorMath::splat(Value scalar, int64_t n) {
  return vector::BroadcastOp::create(b, VectorType::get(n, scalar.getType()), scalar);
}

Value VectorMath::fma(Value x, Value y, Value z) { return math::FmaOp::create(b, x, y, z); }

Value VectorMath::max(Value x, Value y) {
  return select(arith::CmpFOp::create(b, arith::CmpFPredicate::OGT, x, y), x, y);
}

Value VectorMath::min(Value x, Value y) {
  return select(arith::CmpFOp::create(b, arith::CmpFPredicate::OLT, x, y), x, y);
}

Value VectorMath::abs(Value x) { return math::AbsFOp::create(b, x); }
Value VectorMath::sqrt(Value x) { return math::SqrtOp::create(b, x); }

Value VectorMath::select(Value condition, Value x, Value y) {
  return arith::SelectOp::create(b, condition, x, y);
}

Value VectorMath::addi(Value x, int64_t y) { return y ? addi(x, integer(x.getType(), y)) : x; }
Value VectorMath::muli(Value x, int64_t y) { return y == 1 ? x : muli(x, integer(x.getType(), y)); }
Value VectorMath::divi(Value x, int64_t y) {
  return y == 1 ? x : arith::DivUIOp::create(b, x, integer(x.getType(), y)).getResult();
}
Value VectorMath::remi(Value x, int64_t y) {
  return arith::RemUIOp::create(b, x, integer(x.getType(), y));
}
Value VectorMath::toIndex(Value x) { return arith::IndexCastUIOp::create(b, b.getIndexType(), x); }
Value VectorMath::compare(arith::CmpIPredicate predicate, Value x, Value y) {
  return arith::CmpIOp::create(b, predicate, x, y);
}

Value VectorMath::shiftLeft(Value x, int64_t y) {
  return y ? arith::ShLIOp::create(b, x, integer(x.getType(), y)).getResult() : x;
}
Value VectorMath::shiftRight(Value x, int64_t y) {
  return y ? arith::ShRUIOp::create(b, x, integer(x.getType(), y)).getResult() : x;
}
Value VectorMath::shiftRightSigned(Value x, int64_t y) {
  return y ? arith::ShRSIOp::create(b, x, integer(x.getType(), y)).getResult() : x;
}
Value VectorMath::bitAnd(Value x, int64_t y) {
  return arith::AndIOp::create(b, x, integer(x.getType(), y));
}
Value VectorMath::bitXor(Value x, int64_t y) {
  return arith::XOrIOp::create(b, x, integer(x.getType(), y));
}
Value VectorMath::bitcast(Value x, Type type) {
  if (isa<VectorType>(type))
    return vector::BitCastOp::create(b, cast<VectorType>(type), x);
  return arith::BitcastOp::create(b, type, x);
}

Value VectorMath::loadAs(VectorType type, Value memref, ValueRange indices) {
  return vector::LoadOp::create(b, type, memref, indices);
}

Value VectorMath::load(Value memref, ValueRange indices, int64_t count) {
  Type element = cast<MemRefType>(memref.getType()).getElementType();
  Value part = loadAs(VectorType::get(count, element), memref, indices);
  if (count == lanes)
    return part;
  Value zero = constant(VectorType::get(lanes, element), 0);
  return vector::InsertStridedSliceOp::create(b, part, zero, ArrayRef<int64_t>{0},
                                              ArrayRef<int64_t>{1});
}

void VectorMath::store(Value vector, Value memref, ValueRange indices, int64_t count) {
  if (count != lanes)
    vector = vector::ExtractStridedSliceOp::create(b, vector, ArrayRef<int64_t>{0},
                                                   ArrayRef<int64_t>{count}, ArrayRef<int64_t>{1});
  vector::StoreOp::create(b, vector, memref, indices);
}

Value VectorMath::loadScalar(Value memref, ValueRange indices) {
  return memref::LoadOp::create(b, memref, indices);
}

void VectorMath::storeScalar(Value value, Value memref, ValueRange indices) {
  memref::StoreOp::create(b, value, memref, indices);
}

Value VectorMath::extract(Value vector, int64_t lane) {
  return vector::ExtractOp::create(b, vector, ArrayRef<int64_t>{lane});
}

Value VectorMath::viewBytes(Value bytes, Type type) {
  int64_t size = cast<MemRefType>(bytes.getType()).getNumElements();
  auto viewed = MemRefType::get({size * 8 / type.getIntOrFloatBitWidth()}, type);
  return memref::ViewOp::create(b, viewed, bytes, index(0), ValueRange{});
}

Value VectorMath::reduceLanes(Value vector, llvm::function_ref<Value(Value, Value)> combine) {
  for (int64_t width = lanes / 2; width >= 1; width /= 2) {
    auto half = [&](int64_t offset) -> Value {
      return vector::ExtractStridedSliceOp::create(b, vector, ArrayRef<int64_t>{offset},
                                                   ArrayRef<int64_t>{width}, ArrayRef<int64_t>{1});
    };
    vector = combine(half(0), half(width));
  }
  return extract(vector, 0);
}

Value VectorMath::sumOfLanes(Value vector) {
  return reduceLanes(vector, [&](Value x, Value y) { return add(x, y); });
}

Value VectorMath::maxOfLanes(Value vector) {
  return reduceLanes(vector, [&](Value x, Value y) { return max(x, y); });
}

Value VectorMath::polynomial(Value x, ArrayRef<double> coefficients) {
  Value sum = constant(x.getType(), coefficients.back());
  for (double c : llvm::reverse(coefficients.drop_back()))
    sum = fma(sum, x, constant(x.getType(), c));
  return sum;
}

Value VectorMath::roundToInteger(Value x) {
  // Adding 1.5·2²³ leaves no fraction bits: the sum's low bits are the rounded integer.
  Value shifted = add(x, f(12582912.0));
  return arith::SubIOp::create(b, bitcast(shifted, i32s()), integer(i32s(), 0x4b400000));
}

Value VectorMath::clampToCodes(Value x, Value scale) {
  Value ratio = max(div(x, scale), constant(x.getType(), -128));
  return min(ratio, constant(x.getType(), 127));
}

Value VectorMath::roundToCodes(Value x, Value scale) {
  Value shift = constant(x.getType(), 12582912.0); // as above
  Value rounded = sub(add(clampToCodes(x, scale), shift), shift);
  return mul(rounded, scale);
}

VectorMath::ExpParts VectorMath::expParts(Value x) {
  Value shifted = fma(x, f(1.44269504088896340736), f(12582912.0));
  Value n = sub(shifted, f(12582912.0));
  // ln 2 in two parts: the first has 15 bits, so that n times it is exact.
  Value r = fma(n, f(-0.693145751953125), x);
  r = fma(n, f(-1.42860682030941723212e-6), r);
  // The integer's low bits, shifted into the exponent field: 2ⁿ.
  Value bits = shiftLeft(bitcast(shifted, i32s()), 23);
  bits = arith::AddIOp::create(b, bits, integer(i32s(), 0x3f800000));
  // Taylor: the first term left out is r⁷/8!, below 1.5e-8 of the sum.
  Value series = polynomial(r, {1.0, 1.0 / 2, 1.0 / 6, 1.0 / 24, 1.0 / 120, 1.0 / 720, 1.0 / 5040});
  return {bitcast(bits, f32s()), r, series};
}

Value VectorMath::exp(Value x) {
  Value inside = min(max(x, f(-87.0)), f(88.0));
  ExpParts parts = expParts(inside);
  Value result = mul(fma(parts.r, parts.series, f(1.0)), parts.power);
  Value vanishes = arith::CmpFOp::create(b, arith::CmpFPredicate::OLT, x, f(-87.0));
  return select(vanishes, f(0.0), result);
}

Value VectorMath::tanh(Value x) {
  // (e²ˣ − 1) / (e²ˣ + 1) of |x| with e²ˣ − 1 computed without cancellation: relative accuracy down
  // to the smallest x. Beyond 10 the result rounds to 1.
  Value w = abs(x);
  w = min(w, f(10.0));
  ExpParts parts = expParts(add(w, w));
  Value expm1 = fma(mul(parts.r, parts.series), parts.power, sub(parts.power, f(1.0)));
  Value result = div(expm1, add(expm1, f(2.0)));
  return math::CopySignOp::create(b, result, x);
}

Value VectorMath::geluTanh(Value x) {
  // 0.5·(1 + tanh u) = 1 / (1 + e⁻²ᵘ): no cancellation for negative x. −2u is bounded, so the
  // exponential stays finite and the quotient goes to 0 (from below).
  Value square = mul(x, x);
  Value inner =
      fma(square, f(2.0 * 0.79788456080286535588 * 0.044715), f(2.0 * 0.79788456080286535588));
  Value minus = mul(mul(x, inner), f(-1.0));
  return div(x, add(exp(minus), f(1.0)));
}

CosineSine VectorMath::cosineSine(Value angle) {
  auto wide = VectorType::get(lanes, b.getF64Type());
  auto wideBits = VectorType::get(lanes, b.getI64Type());
  Value a = arith::ExtFOp::create(b, wide, angle);
  // Quadrant q = round(a / (π/2)), r = a − q·π/2 in f64: the error of r is below 2⁻³⁰ for a < 2²⁰.
  Value magic = constant(wide, 6755399441055744.0);
  Value shifted = fma(a, constant(wide, 0.63661977236758134308), magic);
  Value q = sub(shifted, magic);
  Value r = fma(q, constant(wide, -1.57079632679489661923), a);
  Value z = mul(r, r);
  Value sine =
      mul(r, polynomial(z, {1.0, -1.0 / 6, 1.0 / 120, -1.0 / 5040, 1.0 / 362880, -1.0 / 39916800}));
  Value cosine = polynomial(z, {1.0, -1.0 / 2, 1.0 / 24, -1.0 / 720, 1.0 / 40320, -1.0 / 3628800});
  Value bits = bitcast(shifted, wideBits);
  auto isSet = [&](Value value, int64_t bit) -> Value {
    return compare(arith::CmpIPredicate::ne, bitAnd(value, bit), integer(wideBits, 0));
  };
  Value odd = isSet(bits, 1);
  Value c = select(odd, sine, cosine), s = select(odd, cosine, sine);
  // Signs: cos is negative in quadrants 1 and 2, sin in 2 and 3.
  Value minusOne = constant(wide, -1.0), one = constant(wide, 1.0);
  c = mul(c, select(isSet(addi(bits, 1), 2), minusOne, one));
  s = mul(s, select(isSet(bits, 2), minusOne, one));
  return {arith::TruncFOp::create(b, f32s(), c), arith::TruncFOp::create(b, f32s(), s)};
}

std::pair<Value, Value> VectorMath::rotate(Value x, Value y, Value cosine, Value sine) {
  Value minusSine = sub(f(-0.0), sine);
  return {fma(y, minusSine, mul(x, cosine)), fma(x, sine, mul(y, cosine))};
}

void VectorMath::forEach(Value from, Value to, int64_t step, llvm::function_ref<void(Value)> body) {
  forEach(from, to, step, ValueRange{}, [&](Value i, ValueRange) -> SmallVector<Value> {
    body(i);
    return {};
  });
}

SmallVector<Value>
VectorMath::forEach(Value from, Value to, int64_t step, ValueRange initial,
                    llvm::function_ref<SmallVector<Value>(Value, ValueRange)> body) {
  auto loop = scf::ForOp::create(b, from, to, index(step), initial);
  OpBuilder::InsertionGuard guard(b);
  if (!initial.empty()) {
    b.setInsertionPointToStart(loop.getBody());
    SmallVector<Value> results = body(loop.getInductionVar(), loop.getRegionIterArgs());
    scf::YieldOp::create(b, results);
  } else {
    b.setInsertionPoint(loop.getBody()->getTerminator());
    body(loop.getInductionVar(), {});
  }
  return llvm::to_vector(llvm::map_range(loop.getResults(), [](Value v) { return v; }));
}

void VectorMath::forEachChunk(int64_t columns, llvm::function_ref<void(Value, int64_t)> body) {
  int64_t whole = columns / lanes * lanes;
  if (whole)
    forEach(index(0), index(whole), lanes, [&](Value column) { body(column, lanes); });
  if (columns != whole)
    body(index(whole), columns - whole);
}

Value VectorMath::forEachChunk(int64_t columns, Value initial,
                               llvm::function_ref<Value(Value, int64_t, Value)> body) {
  int64_t whole = columns / lanes * lanes;
  Value carried = initial;
  if (whole)
    carried = forEach(index(0), index(whole), lanes, carried,
                      [&](Value column, ValueRange values) -> SmallVector<Value> {
                        return {body(column, lanes, values.front())};
                      })
                  .front();
  if (columns != whole)
    carried = body(index(whole), columns - whole, carried);
  return carried;
}

} // namespace gcompile::kernel
