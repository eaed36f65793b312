#include "passes/Conversion/KernelToLoops/DotProducts.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;

namespace gcompile::kernel {

SmallVector<Value> DotStrategy::activations(Value codes, Value first, int64_t count) {
  SmallVector<Value> result;
  for (int64_t q = 0; q < count; ++q)
    result.push_back(m.loadScalar(codes, m.addi(first, q)));
  return result;
}

// Codes carry an offset (w + codeOffset), and accumulator j holds the lowest j + 1 fields.
int64_t DotStrategy::sumFactor(int64_t field) const {
  int64_t factor = 0;
  for (int64_t j = 0; j <= field; ++j)
    factor -= int64_t(format.codeOffset) << (j * format.bits);
  return factor;
}

void DotStrategy::finish(MutableArrayRef<Value> sums) {
  for (int64_t j = (int64_t)sums.size() - 1; j > 0; --j) {
    Value difference = arith::SubIOp::create(m.b, sums[j], sums[j - 1]);
    sums[j] = m.shiftRightSigned(difference, j * format.bits);
  }
}

Value DotStrategy::intrinsic(StringRef name, Type type, ValueRange operands) {
  return LLVM::CallIntrinsicOp::create(m.b, m.b.getLoc(), type, m.b.getStringAttr(name), operands)
      .getResult(0);
}

namespace {

// The byte's lowest field + 1 fields; the last mask would keep everything.
Value nestedMask(VectorMath &m, Value bytes, int64_t field, unsigned bits) {
  int64_t kept = (field + 1) * bits;
  return kept == 8 ? bytes : m.bitAnd(bytes, (1 << kept) - 1);
}

// Plain arithmetic on int32 lanes, for machines without any of the instructions below.
class PlainDot final : public DotStrategy {
public:
  using DotStrategy::DotStrategy;

  void accumulate(MutableArrayRef<Value> sums, Value bytes, Value quad) override {
    Value dwords = m.bitcast(bytes, sumType());
    for (int64_t t = 0; t < 4; ++t) {
      Value x = dwordSplat(m.shiftRightSigned(m.shiftLeft(quad, 24 - 8 * t), 24));
      for (int64_t field = 0; field < fields; ++field) {
        Value code = fields == 1 ? m.shiftRightSigned(m.shiftLeft(dwords, 24 - 8 * t), 24)
                                 : m.bitAnd(m.shiftRight(dwords, 8 * t + format.bits * field),
                                            (1 << format.bits) - 1);
        sums[field] = m.addi(sums[field], m.muli(code, x));
      }
    }
  }
  int64_t sumFactor(int64_t) const override { return -format.codeOffset; }
  void finish(MutableArrayRef<Value>) override {}
};

// AVX-512 VNNI: unsigned · signed bytes, four of them added to an int32, no saturation.
class VnniDot final : public DotStrategy {
public:
  VnniDot(VectorMath &m, const WeightFormatInfo &format, RowCount rows)
      : DotStrategy(m, format, 16),
        flipsActivations(format.bits == 8 && format.group == 0 && rows == RowCount::One) {}

  SmallVector<Value> activations(Value codes, Value first, int64_t count) override {
    SmallVector<Value> quads = DotStrategy::activations(codes, first, count);
    for (Value &quad : quads)
      quad = m.bitcast(dwordSplat(quad), byteType());
    return quads;
  }
  void accumulate(MutableArrayRef<Value> sums, Value bytes, Value x) override {
    for (int64_t field = 0; field < fields; ++field) {
      if (flipsActivations)
        sums[field] = dot(sums[field], m.bitXor(x, -128), bytes);
      else if (fields == 1)
        sums[field] = dot(sums[field], m.bitXor(bytes, -128), x);
      else
        sums[field] = dot(sums[field], nestedMask(m, bytes, field, format.bits), x);
    }
  }
  // Signed bytes are made unsigned by adding 128: to the activations of a single row (the row's
  // packed correction takes it off), else to the weights.
  int64_t sumFactor(int64_t field) const override {
    return fields == 1 ? (flipsActivations ? 0 : -128) : DotStrategy::sumFactor(field);
  }
  bool startsAtCorrection() const override { return flipsActivations; }

private:
  Value dot(Value sum, Value unsignedBytes, Value signedBytes) {
    return intrinsic("llvm.x86.avx512.vpdpbusd.512", sumType(), {sum, unsignedBytes, signedBytes});
  }
  const bool flipsActivations;
};

// AVX2: pairs of products saturate at int16, so every field is taken apart. Codes of four bits or
// less leave room to add several pairs before widening: 15 · 128 · 2 · 8 < 2¹⁵.
class MaddubsDot final : public DotStrategy {
public:
  MaddubsDot(VectorMath &m, const WeightFormatInfo &format) : DotStrategy(m, format, 8) {}

  SmallVector<Value> activations(Value codes, Value first, int64_t count) override {
    SmallVector<Value> quads = DotStrategy::activations(codes, first, count);
    for (Value &quad : quads)
      quad = m.bitcast(dwordSplat(quad), byteType());
    return quads;
  }
  void accumulate(MutableArrayRef<Value> sums, Value bytes, Value x) override {
    if (fields == 1) {
      sums[0] = addPartial(sums[0], signedPairs(bytes, x));
      return;
    }
    for (int64_t field = 0; field < fields; ++field) {
      Value pairs = pairsOf(code(bytes, field), x);
      sums[field] = sums[field] ? m.addi(sums[field], pairs) : pairs;
    }
  }
  int64_t quadsPerBatch() const override { return fields == 1 ? 1 : 8; }
  Value addPartial(Value sum, Value pairs) override {
    Value ones = m.integer(pairType(), 1);
    return m.addi(sum, intrinsic("llvm.x86.avx2.pmadd.wd", sumType(), {pairs, ones}));
  }
  int64_t sumFactor(int64_t) const override { return -format.codeOffset; }
  void finish(MutableArrayRef<Value>) override {}

private:
  Value code(Value bytes, int64_t field) {
    Value down = m.shiftRight(bytes, field * format.bits);
    return (field + 1) * format.bits == 8 ? down : m.bitAnd(down, (1 << format.bits) - 1);
  }
  VectorType pairType() { return VectorType::get(2 * partLanes, m.b.getIntegerType(16)); }
  Value pairsOf(Value unsignedBytes, Value signedBytes) {
    return intrinsic("llvm.x86.avx2.pmadd.ub.sw", pairType(), {unsignedBytes, signedBytes});
  }
  // |w| · (x with the sign of w): 2 · 128 · 127 stays below 2¹⁵, but −(−128) is no byte.
  Value signedPairs(Value bytes, Value x) {
    Value magnitude = intrinsic("llvm.x86.avx2.psign.b", byteType(), {bytes, bytes});
    return pairsOf(magnitude, intrinsic("llvm.x86.avx2.psign.b", byteType(), {x, bytes}));
  }
};

// AVX2, eight bits by activations that may be −128: x = 2·⌊x/2⌋ + (x mod 2), and w + 128 times
// either stays below 2¹⁵ in pairs (255 · 64 · 2).
class HalvedDot final : public DotStrategy {
public:
  HalvedDot(VectorMath &m, const WeightFormatInfo &format) : DotStrategy(m, format, 8) {}

  SmallVector<Value> activations(Value codes, Value first, int64_t count) override {
    SmallVector<Value> quads = DotStrategy::activations(codes, first, count);
    for (Value &quad : quads)
      quad = dwordSplat(quad);
    return quads;
  }
  void accumulate(MutableArrayRef<Value> sums, Value bytes, Value x) override {
    Value signs = m.bitAnd(x, ~0x7f7f7f7f);
    Value halves = arith::OrIOp::create(m.b, m.bitAnd(m.shiftRight(x, 1), 0x7f7f7f7f), signs);
    Value weights = m.bitXor(bytes, -128);
    for (auto [part, factor] : {std::pair(halves, 2), std::pair(m.bitAnd(x, 0x01010101), 1)}) {
      VectorType pairType = VectorType::get(2 * partLanes, m.b.getIntegerType(16));
      Value pairs =
          intrinsic("llvm.x86.avx2.pmadd.ub.sw", pairType, {weights, m.bitcast(part, byteType())});
      Value products =
          intrinsic("llvm.x86.avx2.pmadd.wd", sumType(), {pairs, m.integer(pairType, factor)});
      sums[0] = m.addi(sums[0], products);
    }
  }
  int64_t sumFactor(int64_t) const override { return -128; }
  void finish(MutableArrayRef<Value>) override {}
};

// AArch64: sdot (signed · signed) and, with i8mm, usdot (unsigned · signed).
class NeonDot final : public DotStrategy {
public:
  NeonDot(VectorMath &m, const WeightFormatInfo &format, DotProduct dot)
      : DotStrategy(m, format, 4), hasUnsigned(dot == DotProduct::Usdot) {}

  // One load serves four quads: the instruction takes its second operand by lane.
  SmallVector<Value> activations(Value codes, Value first, int64_t count) override {
    SmallVector<Value> quads;
    for (int64_t q = 0; q < count; q += 4) {
      int64_t width = std::min<int64_t>(4, count - q);
      Value vector = m.loadAs(m.i32s(width), codes, m.addi(first, q));
      for (int64_t lane = 0; lane < width; ++lane)
        quads.push_back(m.bitcast(m.splat(m.extract(vector, lane), partLanes), byteType()));
    }
    return quads;
  }
  void accumulate(MutableArrayRef<Value> sums, Value bytes, Value x) override {
    for (int64_t field = 0; field < fields; ++field) {
      Value operand = nestedMask(m, bytes, field, format.bits);
      StringRef name = "llvm.aarch64.neon.sdot.v4i32.v16i8";
      if (fields > 1 && field == fields - 1) {
        // Without usdot the whole byte is read as signed after subtracting 128.
        if (hasUnsigned)
          name = "llvm.aarch64.neon.usdot.v4i32.v16i8";
        else
          operand = m.bitXor(operand, -128);
      }
      sums[field] = intrinsic(name, sumType(), {sums[field], operand, x});
    }
  }
  int64_t sumFactor(int64_t field) const override {
    int64_t factor = DotStrategy::sumFactor(field);
    return fields > 1 && field == fields - 1 && !hasUnsigned ? factor + 128 : factor;
  }

private:
  const bool hasUnsigned;
};

} // namespace

std::unique_ptr<DotStrategy> makeDotStrategy(VectorMath &m, const WeightFormatInfo &format,
                                             const TargetInfo &target, RowCount rows,
                                             CodeRange range) {
  switch (target.dot) {
  case DotProduct::Vpdpbusd:
    return std::make_unique<VnniDot>(m, format, rows);
  case DotProduct::Maddubs:
    if (range == CodeRange::Full && format.bits == 8)
      return std::make_unique<HalvedDot>(m, format);
    return std::make_unique<MaddubsDot>(m, format);
  case DotProduct::Sdot:
  case DotProduct::Usdot:
    return std::make_unique<NeonDot>(m, format, target.dot);
  case DotProduct::None:
  case DotProduct::Vrmpy:
    break;
  }
  int64_t partLanes = std::clamp<int64_t>(target.vectorBytes / 4, 4, lanes);
  return std::make_unique<PlainDot>(m, format, partLanes);
}

} // namespace gcompile::kernel
