// Arithmetic on the universal virtual vector (16 lanes of f32), as kernels with fixed results need
// it: every function here states the order of its operations, and nothing may be reassociated.
// Elementary functions are polynomials of plain operations, so that code needs no C library and
// gives the same bits on every target.
#pragma once

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "llvm/ADT/STLFunctionalExtras.h"

namespace gcompile::kernel {

inline constexpr int64_t lanes = 16;

// The angle's cosine and sine.
struct CosineSine {
  mlir::Value cosine, sine;
};

class VectorMath {
public:
  VectorMath(mlir::OpBuilder &builder, mlir::Location loc) : b(loc, builder) {}

  mlir::ImplicitLocOpBuilder b;

  mlir::VectorType f32s(int64_t n = lanes) { return mlir::VectorType::get(n, b.getF32Type()); }
  mlir::VectorType i32s(int64_t n = lanes) { return mlir::VectorType::get(n, b.getI32Type()); }

  // Constants; a vector type gives a splat.
  mlir::Value constant(mlir::Type type, double value);
  mlir::Value integer(mlir::Type type, int64_t value);
  mlir::Value index(int64_t value);
  mlir::Value f(double value) { return constant(f32s(), value); }
  mlir::Value splat(mlir::Value scalar, int64_t n = lanes);

  // Floating-point operations on operands of one type.
  mlir::Value add(mlir::Value x, mlir::Value y) { return mlir::arith::AddFOp::create(b, x, y); }
  mlir::Value sub(mlir::Value x, mlir::Value y) { return mlir::arith::SubFOp::create(b, x, y); }
  mlir::Value mul(mlir::Value x, mlir::Value y) { return mlir::arith::MulFOp::create(b, x, y); }
  mlir::Value div(mlir::Value x, mlir::Value y) { return mlir::arith::DivFOp::create(b, x, y); }
  mlir::Value fma(mlir::Value x, mlir::Value y, mlir::Value z); // x·y + z, rounded once
  mlir::Value max(mlir::Value x, mlir::Value y);                // x > y ? x : y
  mlir::Value min(mlir::Value x, mlir::Value y);                // x < y ? x : y
  mlir::Value abs(mlir::Value x);
  mlir::Value sqrt(mlir::Value x);
  mlir::Value select(mlir::Value condition, mlir::Value x, mlir::Value y);

  // Index operations (operands are never negative where a division is meant).
  mlir::Value addi(mlir::Value x, mlir::Value y) { return mlir::arith::AddIOp::create(b, x, y); }
  mlir::Value subi(mlir::Value x, mlir::Value y) { return mlir::arith::SubIOp::create(b, x, y); }
  mlir::Value muli(mlir::Value x, mlir::Value y) { return mlir::arith::MulIOp::create(b, x, y); }
  mlir::Value addi(mlir::Value x, int64_t y);
  mlir::Value muli(mlir::Value x, int64_t y);
  mlir::Value divi(mlir::Value x, int64_t y);
  mlir::Value remi(mlir::Value x, int64_t y);
  mlir::Value toIndex(mlir::Value x); // of an integer that is not negative
  mlir::Value compare(mlir::arith::CmpIPredicate predicate, mlir::Value x, mlir::Value y);

  // Integer operations with a splat constant.
  mlir::Value shiftLeft(mlir::Value x, int64_t y);
  mlir::Value shiftRight(mlir::Value x, int64_t y);       // logical
  mlir::Value shiftRightSigned(mlir::Value x, int64_t y); // arithmetic
  mlir::Value bitAnd(mlir::Value x, int64_t y);
  mlir::Value bitXor(mlir::Value x, int64_t y);
  mlir::Value bitcast(mlir::Value x, mlir::Type type); // vectors and scalars

  // 16 lanes of memory, of which `count` exist: the others load as zero and are not stored.
  mlir::Value load(mlir::Value memref, mlir::ValueRange indices, int64_t count = lanes);
  void store(mlir::Value vector, mlir::Value memref, mlir::ValueRange indices,
             int64_t count = lanes);
  mlir::Value loadAs(mlir::VectorType type, mlir::Value memref, mlir::ValueRange indices);
  mlir::Value loadScalar(mlir::Value memref, mlir::ValueRange indices);
  void storeScalar(mlir::Value value, mlir::Value memref, mlir::ValueRange indices);
  mlir::Value extract(mlir::Value vector, int64_t lane);
  // A memref of 1-D bytes as one of elements of `type`.
  mlir::Value viewBytes(mlir::Value bytes, mlir::Type type);

  // Reductions of 16 lanes: lane i with lane i + 8, then i + 4, i + 2, i + 1.
  mlir::Value sumOfLanes(mlir::Value vector);
  mlir::Value maxOfLanes(mlir::Value vector);

  // f32 vectors. Errors are relative, against the exact function, in units of 2⁻²⁴.
  mlir::Value exp(mlir::Value x);      // ≤ 3 for −87 ≤ x ≤ 88; 0 below −87, e⁸⁸ above 88
  mlir::Value tanh(mlir::Value x);     // ≤ 6
  mlir::Value geluTanh(mlir::Value x); // 0.5·x·(1 + tanh(√(2/π)(x + 0.044715 x³)))
  // Of f32 angles up to 2²⁰; absolute error ≤ 2⁻²⁴.
  CosineSine cosineSine(mlir::Value angle);
  // (x, y) turned by an angle; in each sum the second product is fused.
  std::pair<mlir::Value, mlir::Value> rotate(mlir::Value x, mlir::Value y, mlir::Value cosine,
                                             mlir::Value sine);
  // round-half-even(x) as i32 lanes; |x| < 2²².
  mlir::Value roundToInteger(mlir::Value x);
  // x / scale within −128 … 127, not rounded yet (bounds are whole, so the order does not matter);
  // what is not a number gives −128. Vectors of any one length.
  mlir::Value clampToCodes(mlir::Value x, mlir::Value scale);
  // clamp(round-half-even(x / scale), −128, 127) · scale.
  mlir::Value roundToCodes(mlir::Value x, mlir::Value scale);

  // for (i = from; i < to; i += step). The second form carries values.
  void forEach(mlir::Value from, mlir::Value to, int64_t step,
               llvm::function_ref<void(mlir::Value)> body);
  llvm::SmallVector<mlir::Value>
  forEach(mlir::Value from, mlir::Value to, int64_t step, mlir::ValueRange initial,
          llvm::function_ref<llvm::SmallVector<mlir::Value>(mlir::Value, mlir::ValueRange)> body);
  // body(column, count) for each 16 columns of [0, columns); the last one may be shorter.
  void forEachChunk(int64_t columns, llvm::function_ref<void(mlir::Value, int64_t)> body);
  mlir::Value forEachChunk(int64_t columns, mlir::Value initial,
                           llvm::function_ref<mlir::Value(mlir::Value, int64_t, mlir::Value)> body);

private:
  // x = n·ln 2 + r with |r| ≤ ln 2 / 2; `power` = 2ⁿ, `series` = (eʳ − 1) / r.
  struct ExpParts {
    mlir::Value power, r, series;
  };
  ExpParts expParts(mlir::Value x);
  mlir::Value polynomial(mlir::Value x, llvm::ArrayRef<double> coefficients); // lowest first
  mlir::Value reduceLanes(mlir::Value vector,
                          llvm::function_ref<mlir::Value(mlir::Value, mlir::Value)> combine);
};

} // namespace gcompile::kernel
