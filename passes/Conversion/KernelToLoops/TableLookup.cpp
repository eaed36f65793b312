#include "passes/Conversion/KernelToLoops/TableLookup.h"
#include "ir/Format/Format.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

#include <bit>

using namespace mlir;

namespace gcompile::kernel {
namespace {

constexpr int64_t codeBits = 4;

Value intrinsic(VectorMath &m, StringRef name, Type type, ValueRange operands) {
  return LLVM::CallIntrinsicOp::create(m.b, m.b.getLoc(), type, m.b.getStringAttr(name), operands)
      .getResult(0);
}

Value tablePart(VectorMath &m, int64_t first, int64_t count) {
  return arith::ConstantOp::create(
      m.b, DenseElementsAttr::get(m.f32s(count), ArrayRef<float>(nf4Table + first, count)));
}

// Codes as dwords of one lane a row, found by a shift; what lies above the lowest four bits
// differs.
class DwordLookup : public TableLookup {
public:
  using TableLookup::TableLookup;
  SmallVector<Value> values(Value bytes, int64_t field) override {
    Value dwords = m.bitcast(bytes, m.i32s(partLanes));
    SmallVector<Value> result;
    for (int64_t k = 0; k < 4; ++k) {
      int64_t shift = 8 * k + codeBits * field;
      result.push_back(lookUp(shift ? m.shiftRight(dwords, shift) : dwords));
    }
    return result;
  }

protected:
  virtual Value lookUp(Value codes) = 0;
};

// Machines whose vectors have no permutation: one load from memory for each code, which is much
// less code than choosing among sixteen values. The table lies on the stack: devices without a
// linker for constants take it, too.
class MemoryLookup final : public DwordLookup {
public:
  MemoryLookup(VectorMath &m, int64_t partLanes) : DwordLookup(m, partLanes) {
    table = memref::AllocaOp::create(m.b, MemRefType::get({16}, m.b.getF32Type()),
                                     m.b.getI64IntegerAttr(64));
    for (int64_t i = 0; i < 16; ++i)
      m.storeScalar(m.constant(m.b.getF32Type(), nf4Table[i]), table, {m.index(i)});
  }

protected:
  Value lookUp(Value codes) override {
    Value places = m.bitAnd(codes, 15);
    Value result = m.constant(m.f32s(partLanes), 0);
    for (int64_t lane = 0; lane < partLanes; ++lane) {
      Value place = arith::IndexCastUIOp::create(m.b, m.b.getIndexType(), m.extract(places, lane));
      result = vector::InsertOp::create(m.b, m.loadScalar(table, place), result, lane);
    }
    return result;
  }

private:
  Value table;
};

// AVX-512: one permutation of 16 floats, which looks at the lowest four bits alone.
class WidePermutation final : public DwordLookup {
public:
  explicit WidePermutation(VectorMath &m) : DwordLookup(m, 16) {}

protected:
  Value lookUp(Value codes) override {
    return intrinsic(m, "llvm.x86.avx512.permvar.sf.512", m.f32s(16), {tablePart(m, 0, 16), codes});
  }
};

// AVX2: a permutation of each half of the table by three bits; the fourth chooses.
class HalfPermutations final : public DwordLookup {
public:
  explicit HalfPermutations(VectorMath &m) : DwordLookup(m, 8) {}

protected:
  Value lookUp(Value codes) override {
    auto half = [&](int64_t first) {
      return intrinsic(m, "llvm.x86.avx2.permps", m.f32s(8), {tablePart(m, first, 8), codes});
    };
    Value sign = m.shiftLeft(codes, 32 - codeBits);
    Value isHigh = m.compare(arith::CmpIPredicate::slt, sign, m.integer(sign.getType(), 0));
    return m.select(isHigh, half(8), half(0));
  }
};

// AArch64: a lookup of 16 bytes for each byte of the floats, which are then put together.
class ByteLookups final : public TableLookup {
public:
  explicit ByteLookups(VectorMath &m) : TableLookup(m, 4) {}

  SmallVector<Value> values(Value bytes, int64_t field) override {
    // Byte 4·row + k to 4·k + row.
    SmallVector<int64_t> transpose;
    for (int64_t i = 0; i < 16; ++i)
      transpose.push_back(i % 4 * 4 + i / 4);
    Value codes = shuffle(bytes, bytes, transpose);
    codes = field ? m.shiftRight(codes, codeBits) : m.bitAnd(codes, 15);
    SmallVector<Value> planes;
    for (int64_t byte = 0; byte < 4; ++byte)
      planes.push_back(
          intrinsic(m, "llvm.aarch64.neon.tbl1.v16i8", codes.getType(), {plane(byte), codes}));
    SmallVector<Value> result;
    VectorType halves = VectorType::get(8, m.b.getIntegerType(16));
    for (int64_t first : {0, 8}) {
      Value low = m.bitcast(zip(planes[0], planes[1], first), halves);
      Value high = m.bitcast(zip(planes[2], planes[3], first), halves);
      for (int64_t quarter : {0, 4})
        result.push_back(m.bitcast(zip(low, high, quarter), m.f32s(4)));
    }
    return result;
  }

private:
  Value shuffle(Value x, Value y, ArrayRef<int64_t> mask) {
    return vector::ShuffleOp::create(m.b, x, y, mask);
  }
  // x and y in turns, from half of their lanes.
  Value zip(Value x, Value y, int64_t first) {
    int64_t width = cast<VectorType>(x.getType()).getNumElements();
    SmallVector<int64_t> mask;
    for (int64_t i = 0; i < width; ++i)
      mask.push_back(first + i / 2 + i % 2 * width);
    return shuffle(x, y, mask);
  }
  Value plane(int64_t byte) {
    SmallVector<int8_t> bytes;
    for (float value : nf4Table)
      bytes.push_back(int8_t(std::bit_cast<uint32_t>(value) >> (8 * byte)));
    return arith::ConstantOp::create(
        m.b, DenseElementsAttr::get(VectorType::get(16, m.b.getI8Type()), ArrayRef(bytes)));
  }
};

} // namespace

Value lookUpBySelection(VectorMath &m, Value codes) {
  Type type = codes.getType();
  Type floats = m.f32s(cast<VectorType>(type).getNumElements());
  SmallVector<Value> level;
  for (float value : nf4Table)
    level.push_back(m.constant(floats, value));
  for (int64_t bit = 0; bit < codeBits; ++bit) {
    Value isSet =
        m.compare(arith::CmpIPredicate::ne, m.bitAnd(codes, 1 << bit), m.integer(type, 0));
    SmallVector<Value> next;
    for (size_t i = 0; i < level.size(); i += 2)
      next.push_back(m.select(isSet, level[i + 1], level[i]));
    level = next;
  }
  return level.front();
}

std::unique_ptr<TableLookup> makeTableLookup(VectorMath &m, const TargetInfo &target,
                                             StringRef triple) {
  if (target.isX86 && target.vectorBytes == 64)
    return std::make_unique<WidePermutation>(m);
  if (target.isX86)
    return std::make_unique<HalfPermutations>(m);
  if (triple.starts_with("aarch64"))
    return std::make_unique<ByteLookups>(m);
  return std::make_unique<MemoryLookup>(m, std::clamp<int64_t>(target.vectorBytes / 4, 4, lanes));
}

} // namespace gcompile::kernel
