// gather_rows: rows of a packed matrix (strided, a few elements at a time) or of a row table
// (contiguous), decoded to f32: value = code · scale of the row, then · the operation's scale.
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "passes/Conversion/KernelToLoops/Emitters.h"
#include "passes/Conversion/KernelToLoops/PanelLoops.h"

using namespace mlir;

namespace gcompile::kernel {
namespace {

constexpr int64_t panelWidth = 64;

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
  void storeCodes(Value codes, Value rowScale, Value row, Value column, int64_t count) {
    auto type = cast<VectorType>(codes.getType());
    int64_t width = type.getNumElements();
    Value values = arith::SIToFPOp::create(m.b, m.f32s(width), codes);
    store(scaled(m.mul(values, m.splat(rowScale, width))), row, column, count);
  }
  void store(Value values, Value row, Value column, int64_t count) {
    int64_t width = cast<VectorType>(values.getType()).getNumElements();
    if (count < width)
      values = vector::ExtractStridedSliceOp::create(
          m.b, values, ArrayRef<int64_t>{0}, ArrayRef<int64_t>{count}, ArrayRef<int64_t>{1});
    vector::StoreOp::create(m.b, values, op.getOuts(), ValueRange{row, column});
  }
  void tableCodes(Value row, Value start, Value rowScale, Value block, int64_t count);
  void panelQuads(Value row, Value start, Value rowScale, Value field, Value firstColumn,
                  int64_t count);
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
    storeCodes(codes, rowScale, row, m.addi(column, j * lanes),
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

// Quads of four columns that lie a row of the panel apart: dword `start` + quad · stride.
void RowGatherer::panelQuads(Value row, Value start, Value rowScale, Value field, Value firstColumn,
                             int64_t count) {
  Value dwords = typed(m.b.getI32Type());
  int64_t stride = panelWidth * facts.bits / 8; // dwords
  Value byteShifts = arith::ConstantOp::create(
      m.b, DenseElementsAttr::get(m.i32s(4), ArrayRef<int32_t>{0, 8, 16, 24}));
  auto quad = [&](Value index, int64_t present) {
    Value dword = m.loadScalar(dwords, m.addi(start, m.muli(index, stride)));
    Value codes = m.splat(dword, 4);
    if (facts.bits == 8) {
      Value up = arith::SubIOp::create(m.b, m.integer(m.i32s(4), 24), byteShifts);
      codes = m.shiftRightSigned(arith::ShLIOp::create(m.b, codes, up), 24);
    } else {
      Value shifts = m.addi(byteShifts, m.splat(field, 4));
      codes = m.bitAnd(arith::ShRUIOp::create(m.b, codes, shifts), (1 << facts.bits) - 1);
      codes = arith::SubIOp::create(m.b, codes, m.integer(m.i32s(4), facts.codeOffset));
    }
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
  if (!facts.isInteger) {
    Value first = m.addi(m.muli(panel, columns * panelWidth), member);
    m.forEach(m.index(0), m.index(columns), 1, [&](Value column) {
      Value value = floatElement(m.addi(first, m.muli(column, panelWidth)));
      m.storeScalar(scaled(value), op.getOuts(), {row, column});
    });
    return;
  }
  // Row 16v + l of a panel: dword l of vector v / fields, field v % fields of each byte.
  int64_t fields = 8 / facts.bits;
  Value vectorIndex = m.divi(member, lanes), lane = m.remi(member, lanes);
  Value dword = m.addi(m.muli(m.divi(vectorIndex, fields), lanes), lane);
  Value field = arith::IndexCastOp::create(
      m.b, m.b.getI32Type(),
      m.muli(fields > 1 ? m.remi(vectorIndex, fields) : m.index(0), facts.bits));
  if (facts.group == 0) {
    Value place = m.addi(index, scalesOffset(facts.format, op.getTableRows(), columns) / 4);
    Value rowScale = m.loadScalar(typed(m.b.getF32Type()), place);
    panelQuads(row, m.addi(m.divi(panelStart, 4), dword), rowScale, field, m.index(0), columns);
    return;
  }
  int64_t group = facts.group, codeBytes = panelWidth * group * facts.bits / 8;
  int64_t blockBytes = codeBytes + 2 * panelWidth;
  Value halves = typed(m.b.getF16Type());
  auto block = [&](Value number, int64_t count) {
    Value start = m.addi(panelStart, m.muli(number, blockBytes));
    Value half = m.loadScalar(halves, m.addi(m.divi(m.addi(start, codeBytes), 2), member));
    Value rowScale = arith::ExtFOp::create(m.b, m.b.getF32Type(), half);
    panelQuads(row, m.addi(m.divi(start, 4), dword), rowScale, field, m.muli(number, group), count);
  };
  m.forEach(m.index(0), m.index(columns / group), 1, [&](Value number) { block(number, group); });
  if (columns % group)
    block(m.index(columns / group), columns % group);
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
