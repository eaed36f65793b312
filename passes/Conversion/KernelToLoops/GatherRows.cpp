// gather_rows: rows of a packed matrix (strided, a few elements at a time) or of a row table
// (contiguous), decoded to f32: value = code · scale of the row (q4_k: − minimum; nf4: from its
// table), then · the operation's scale.
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "passes/Conversion/KernelToLoops/Emitters.h"
#include "passes/Conversion/KernelToLoops/PanelLoops.h"
#include "passes/Conversion/KernelToLoops/TableLookup.h"

using namespace mlir;

namespace gcompile::kernel {
namespace {

constexpr int64_t panelWidth = 64;

// What codes are multiplied with, and what is then subtracted (null: nothing); f32.
struct RowScale {
  Value scale, minimum;
};

// Where codes of one row of a panel lie: the dword of its quad at a byte that is a multiple of 4
// plus `dword`, quads `stride` dwords apart, in each byte from bit `field` (i32) on.
struct CodePlane {
  unsigned bits;
  int64_t stride;
  Value dword, field, start;
};

class RowGatherer {
public:
  RowGatherer(VectorMath &m, GatherRowsOp op)
      : m(m), op(op), facts(info(*parseWeightFormat(op.getFormat()))), columns(op.getColumns()),
        scale(op.getScale().convertToFloat()) {}

  void fromTable(Value row, Value index);
  void fromPanels(Value row, Value index);

private:
  Value typed(Type type) { return m.viewBytes(op.getTable(), type); }
  Value scaled(Value values) {
    return scale == 1 ? values : m.mul(values, m.constant(values.getType(), scale));
  }
  // Codes (i32 lanes) to the destination's columns [column, column + count).
  void storeCodes(Value codes, RowScale rowScale, Value row, Value column, int64_t count) {
    auto type = cast<VectorType>(codes.getType());
    int64_t width = type.getNumElements();
    Value values = facts.isInteger ? arith::SIToFPOp::create(m.b, m.f32s(width), codes).getResult()
                                   : lookUpBySelection(m, codes);
    values = m.mul(values, m.splat(rowScale.scale, width));
    if (rowScale.minimum)
      values = m.sub(values, m.splat(rowScale.minimum, width));
    store(scaled(values), row, column, count);
  }
  void store(Value values, Value row, Value column, int64_t count) {
    int64_t width = cast<VectorType>(values.getType()).getNumElements();
    if (count < width)
      values = vector::ExtractStridedSliceOp::create(
          m.b, values, ArrayRef<int64_t>{0}, ArrayRef<int64_t>{count}, ArrayRef<int64_t>{1});
    vector::StoreOp::create(m.b, values, op.getOuts(), ValueRange{row, column});
  }
  void tableCodes(Value row, Value start, Value rowScale, Value block, int64_t count);
  void panelQuads(Value row, const CodePlane &low, const CodePlane *high, RowScale rowScale,
                  Value firstColumn, int64_t count);
  Value quadCodes(const CodePlane &plane, Value index);
  CodePlane planeOf(Value member, unsigned bits, int64_t quadBytes);
  void groupsFromPanels(Value row, Value member, Value panelStart);
  void blocksFromPanels(Value row, Value member, Value panelStart);
  Value half(Value byte, Value member) {
    Value value = m.loadScalar(typed(m.b.getF16Type()), m.addi(m.divi(byte, 2), member));
    return arith::ExtFOp::create(m.b, m.b.getF32Type(), value);
  }
  // A small scale of 8 bits as f32.
  Value small(Value byte, bool isSigned) {
    Value bits = m.loadScalar(op.getTable(), byte);
    Type i32 = m.b.getI32Type(), f32 = m.b.getF32Type();
    if (isSigned)
      return arith::SIToFPOp::create(m.b, f32, arith::ExtSIOp::create(m.b, i32, bits));
    return arith::UIToFPOp::create(m.b, f32, arith::ExtUIOp::create(m.b, i32, bits));
  }
  Value floatElement(Value index);

  VectorMath &m;
  GatherRowsOp op;
  const WeightFormatInfo &facts;
  int64_t columns;
  float scale;
};

// One block of 16 bytes: 16 values (w8), 32 (w4) or 64 (w2); field j holds values 16j … 16j+15.
void RowGatherer::tableCodes(Value row, Value start, Value rowScale, Value block, int64_t count) {
  int64_t fields = 8 / facts.bits;
  Value bytes = m.loadAs(VectorType::get(lanes, m.b.getI8Type()), op.getTable(),
                         m.addi(start, m.muli(block, lanes)));
  Value column = m.muli(block, lanes * fields);
  Value wide = facts.bits == 8 ? arith::ExtSIOp::create(m.b, m.i32s(), bytes).getResult()
                               : arith::ExtUIOp::create(m.b, m.i32s(), bytes).getResult();
  for (int64_t j = 0; j < fields && j * lanes < count; ++j) {
    Value codes = wide;
    if (fields > 1) {
      codes = m.bitAnd(m.shiftRight(wide, j * facts.bits), (1 << facts.bits) - 1);
      codes = arith::SubIOp::create(m.b, codes, m.integer(m.i32s(), facts.codeOffset));
    }
    storeCodes(codes, {rowScale, {}}, row, m.addi(column, j * lanes),
               std::min<int64_t>(lanes, count - j * lanes));
  }
}

void RowGatherer::fromTable(Value row, Value index) {
  int64_t slices = op.getSlices(), slice = op.getSlice();
  int64_t sliceBytes = rowTableSliceBytes(facts.format, columns);
  Value rowStart = m.muli(index, rowTableRowBytes(facts.format, columns, slices));
  Value start = m.addi(rowStart, slice * sliceBytes);
  if (facts.isInteger) {
    Value place = m.divi(m.addi(rowStart, slices * sliceBytes + 4 * slice), 4);
    Value rowScale = m.loadScalar(typed(m.b.getF32Type()), place);
    int64_t blockColumns = lanes * (8 / facts.bits), whole = columns / blockColumns;
    m.forEach(m.index(0), m.index(whole), 1,
              [&](Value block) { tableCodes(row, start, rowScale, block, blockColumns); });
    if (columns % blockColumns)
      tableCodes(row, start, rowScale, m.index(whole), columns % blockColumns);
    return;
  }
  bool isBrain = facts.format == WeightFormat::BF16;
  Value elements = typed(isBrain ? Type(m.b.getIntegerType(16)) : Type(m.b.getF32Type()));
  Value first = m.divi(start, isBrain ? 2 : 4);
  // Slices are padded to 64 values, so whole vectors may be read.
  m.forEachChunk(columns, [&](Value column, int64_t count) {
    Value place = m.addi(first, column);
    Value values =
        isBrain ? loadBrain(m, elements, place, lanes) : m.loadAs(m.f32s(), elements, place);
    store(scaled(values), row, column, count);
  });
}

// The plane with codes of `bits` of row `member`: dword l of vector v / fields, field v % fields of
// each byte, where the row is 16v + l of the panel.
CodePlane RowGatherer::planeOf(Value member, unsigned bits, int64_t quadBytes) {
  int64_t fields = 8 / bits;
  Value vectorIndex = m.divi(member, lanes), lane = m.remi(member, lanes);
  Value dword = m.addi(m.muli(m.divi(vectorIndex, fields), lanes), lane);
  Value field = arith::IndexCastOp::create(
      m.b, m.b.getI32Type(), m.muli(fields > 1 ? m.remi(vectorIndex, fields) : m.index(0), bits));
  return {bits, quadBytes / 4, dword, field, Value()};
}

// Codes of one quad as they are stored, but signed ones of eight bits.
Value RowGatherer::quadCodes(const CodePlane &plane, Value index) {
  Value byteShifts = arith::ConstantOp::create(
      m.b, DenseElementsAttr::get(m.i32s(4), ArrayRef<int32_t>{0, 8, 16, 24}));
  Value place = m.addi(m.divi(plane.start, 4), plane.dword);
  Value dword = m.loadScalar(typed(m.b.getI32Type()), m.addi(place, m.muli(index, plane.stride)));
  Value codes = m.splat(dword, 4);
  if (plane.bits == 8) {
    Value up = arith::SubIOp::create(m.b, m.integer(m.i32s(4), 24), byteShifts);
    return m.shiftRightSigned(arith::ShLIOp::create(m.b, codes, up), 24);
  }
  Value shifts = m.addi(byteShifts, m.splat(plane.field, 4));
  return m.bitAnd(arith::ShRUIOp::create(m.b, codes, shifts), (1 << plane.bits) - 1);
}

// Quads of four columns; `high` has the bits above those of `low`.
void RowGatherer::panelQuads(Value row, const CodePlane &low, const CodePlane *high,
                             RowScale rowScale, Value firstColumn, int64_t count) {
  auto quad = [&](Value index, int64_t present) {
    Value codes = quadCodes(low, index);
    if (high)
      codes = m.addi(codes, m.shiftLeft(quadCodes(*high, index), low.bits));
    if (facts.codeOffset)
      codes = arith::SubIOp::create(m.b, codes, m.integer(m.i32s(4), facts.codeOffset));
    storeCodes(codes, rowScale, row, m.addi(firstColumn, m.muli(index, 4)), present);
  };
  m.forEach(m.index(0), m.index(count / 4), 1, [&](Value index) { quad(index, 4); });
  if (count % 4)
    quad(m.index(count / 4), count % 4);
}

Value RowGatherer::floatElement(Value index) {
  Type f32 = m.b.getF32Type();
  switch (facts.format) {
  case WeightFormat::F16:
    return arith::ExtFOp::create(m.b, f32, m.loadScalar(typed(m.b.getF16Type()), index));
  case WeightFormat::BF16: {
    Value bits = m.loadScalar(typed(m.b.getIntegerType(16)), index);
    Value wide = arith::ExtUIOp::create(m.b, m.b.getI32Type(), bits);
    return m.bitcast(m.shiftLeft(wide, 16), f32);
  }
  default:
    return m.loadScalar(typed(f32), index);
  }
}

void RowGatherer::fromPanels(Value row, Value index) {
  Value panel = m.divi(index, panelWidth), member = m.remi(index, panelWidth);
  Value panelStart = m.muli(panel, panelBytes(facts.format, columns));
  if (facts.bits > 8) {
    Value first = m.addi(m.muli(panel, columns * panelWidth), member);
    m.forEach(m.index(0), m.index(columns), 1, [&](Value column) {
      Value value = floatElement(m.addi(first, m.muli(column, panelWidth)));
      m.storeScalar(scaled(value), op.getOuts(), {row, column});
    });
    return;
  }
  if (facts.block)
    return blocksFromPanels(row, member, panelStart);
  if (facts.group)
    return groupsFromPanels(row, member, panelStart);
  Value place = m.addi(index, scalesOffset(facts.format, op.getTableRows(), columns) / 4);
  CodePlane plane = planeOf(member, facts.bits, panelWidth * facts.bits / 2);
  plane.start = panelStart;
  panelQuads(row, plane, nullptr, {m.loadScalar(typed(m.b.getF32Type()), place), {}}, m.index(0),
             columns);
}

void RowGatherer::groupsFromPanels(Value row, Value member, Value panelStart) {
  int64_t group = facts.group, codeBytes = panelWidth * group * facts.bits / 8;
  int64_t blockBytes = codeBytes + (facts.isInteger ? 2 : 4) * panelWidth;
  CodePlane plane = planeOf(member, facts.bits, panelWidth * facts.bits / 2);
  auto block = [&](Value number, int64_t count) {
    plane.start = m.addi(panelStart, m.muli(number, blockBytes));
    Value scales = m.addi(plane.start, codeBytes);
    Value rowScale = facts.isInteger
                         ? half(scales, member)
                         : m.loadScalar(typed(m.b.getF32Type()), m.addi(m.divi(scales, 4), member));
    panelQuads(row, plane, nullptr, {rowScale, {}}, m.muli(number, group), count);
  };
  m.forEach(m.index(0), m.index(columns / group), 1, [&](Value number) { block(number, group); });
  if (columns % group)
    block(m.index(columns / group), columns % group);
}

void RowGatherer::blocksFromPanels(Value row, Value member, Value panelStart) {
  BlockLayout layout = blockLayout(facts.format);
  int64_t group = facts.group, groupsPerBlock = facts.block / group;
  int64_t blockBytes = layout.headBytes + groupsPerBlock * layout.groupBytes;
  bool isSixBits = facts.bits == 6;
  int64_t quadBytes = panelWidth * facts.bits / 2;
  CodePlane low = planeOf(member, isSixBits ? 4 : facts.bits, quadBytes), high;
  if (isSixBits)
    high = planeOf(member, 2, quadBytes);
  int64_t subColumns = layout.subScaleColumns ? layout.subScaleColumns : group;
  auto emitGroup = [&](Value number, int64_t count) {
    Value block = m.divi(number, groupsPerBlock);
    Value start = m.addi(panelStart, m.muli(block, blockBytes));
    Value bytes = m.addi(m.addi(start, layout.headBytes),
                         m.muli(m.remi(number, groupsPerBlock), layout.groupBytes));
    for (int64_t sub = 0; sub * subColumns < count; ++sub) {
      RowScale rowScale = {half(start, member), {}};
      Value smalls = m.addi(m.addi(bytes, layout.codeBytes + sub * panelWidth), member);
      if (layout.subScaleColumns)
        rowScale.scale = m.mul(rowScale.scale, small(smalls, /*isSigned=*/!layout.hasMinima));
      if (layout.hasMinima)
        rowScale.minimum = m.mul(half(m.addi(start, 2 * panelWidth), member),
                                 small(m.addi(smalls, panelWidth), /*isSigned=*/false));
      low.start = m.addi(bytes, sub * subColumns / 4 * quadBytes);
      if (isSixBits)
        high.start = m.addi(low.start, 2 * panelWidth);
      panelQuads(row, low, isSixBits ? &high : nullptr, rowScale,
                 m.addi(m.muli(number, group), sub * subColumns),
                 std::min(subColumns, count - sub * subColumns));
    }
  };
  m.forEach(m.index(0), m.index(columns / group), 1,
            [&](Value number) { emitGroup(number, group); });
  if (columns % group)
    emitGroup(m.index(columns / group), columns % group);
}

} // namespace

LogicalResult emit(OpBuilder &builder, GatherRowsOp op, TaskRange tasks, const TargetInfo &) {
  VectorMath m(builder, op.getLoc());
  RowGatherer gatherer(m, op);
  bool isTable = op.getLayout() == "row";
  m.forEach(tasks.begin, tasks.end, 1, [&](Value row) {
    Value index =
        arith::IndexCastOp::create(m.b, m.b.getIndexType(), m.loadScalar(op.getIndices(), row));
    if (isTable)
      gatherer.fromTable(row, index);
    else
      gatherer.fromPanels(row, index);
  });
  return success();
}

} // namespace gcompile::kernel
