#include "passes/Conversion/KernelToLoops/PanelLoops.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "llvm/ADT/SmallVectorExtras.h"

using namespace mlir;

namespace gcompile::kernel {
namespace {

constexpr int64_t panelWidth = 64;

// if (condition) then(); else otherwise();
void branch(VectorMath &m, Value condition, llvm::function_ref<void()> then,
            llvm::function_ref<void()> otherwise) {
  auto op = scf::IfOp::create(m.b, condition, /*withElseRegion=*/bool(otherwise));
  OpBuilder::InsertionGuard guard(m.b);
  m.b.setInsertionPoint(op.thenBlock()->getTerminator());
  then();
  if (!otherwise)
    return;
  m.b.setInsertionPoint(op.elseBlock()->getTerminator());
  otherwise();
}

} // namespace

void forEachRowTile(VectorMath &m, Value rows, int64_t capacity, int64_t tile,
                    llvm::function_ref<void(ArrayRef<Value>)> body) {
  tile = std::min(tile, capacity);
  if (capacity == 1)
    return body({m.index(0)});
  Value whole = m.muli(m.divi(rows, tile), tile);
  m.forEach(m.index(0), whole, tile, [&](Value first) {
    SmallVector<Value> members;
    for (int64_t i = 0; i < tile; ++i)
      members.push_back(m.addi(first, i));
    body(members);
  });
  if (tile == 1)
    return;
  Value left = m.subi(rows, whole), last = m.subi(rows, m.index(1));
  auto clamped = [&](int64_t size) {
    SmallVector<Value> members;
    for (int64_t i = 0; i < size; ++i)
      members.push_back(arith::MinUIOp::create(m.b, m.addi(whole, i), last));
    body(members);
  };
  auto atMost = [&](int64_t size) {
    return m.compare(arith::CmpIPredicate::ule, left, m.index(size));
  };
  branch(
      m, m.compare(arith::CmpIPredicate::ne, left, m.index(0)),
      [&] {
        branch(
            m, atMost(1), [&] { body({whole}); },
            [&] {
              if (tile < 4)
                return clamped(tile);
              branch(m, atMost(tile / 2), [&] { clamped(tile / 2); }, [&] { clamped(tile); });
            });
      },
      nullptr);
}

void forEachProductTile(VectorMath &m, const ProductShape &shape, TaskRange tasks, int64_t tile,
                        llvm::function_ref<void(const ProductTile &)> body) {
  if (shape.groups.empty()) {
    m.forEach(tasks.begin, tasks.end, 1, [&](Value panel) {
      forEachRowTile(m, shape.rows, shape.outputs, tile, [&](ArrayRef<Value> rows) {
        auto same = llvm::map_to_vector(rows, [](Value row) { return TileRow{row, row}; });
        body({panel, {}, same});
      });
    });
    return;
  }
  auto entry = [&](Value list, Value place) { return m.toIndex(m.loadScalar(list, place)); };
  Value members = shape.groups[0], starts = shape.groups[1], chosen = shape.groups[2];
  int64_t panels = (shape.columns + panelWidth - 1) / panelWidth;
  m.forEach(tasks.begin, tasks.end, 1, [&](Value task) {
    Value group = m.divi(task, panels), panel = m.remi(task, panels);
    Value begin = entry(starts, group), end = entry(starts, m.addi(group, 1));
    Value matrix = m.muli(entry(chosen, group), shape.matrixBytes);
    forEachRowTile(m, m.subi(end, begin), shape.groupRows, tile, [&](ArrayRef<Value> rows) {
      auto slots = llvm::map_to_vector(rows, [&](Value row) {
        Value slot = entry(members, m.addi(begin, row));
        return TileRow{m.divi(slot, shape.outputs / shape.inputs), slot};
      });
      body({panel, matrix, slots});
    });
  });
}

SmallVector<Value>
forEachUnrolled(VectorMath &m, int64_t count, int64_t unroll, ArrayRef<Value> initial,
                llvm::function_ref<SmallVector<Value>(Value, int64_t, ValueRange)> body) {
  SmallVector<Value> carried(initial);
  int64_t whole = count / unroll * unroll;
  if (whole == unroll)
    carried = body(m.index(0), unroll, carried);
  else if (whole)
    carried =
        m.forEach(m.index(0), m.index(whole), unroll, carried,
                  [&](Value index, ValueRange values) { return body(index, unroll, values); });
  if (count > whole)
    carried = body(m.index(whole), count - whole, carried);
  return carried;
}

void storePanel(VectorMath &m, Value out, Value panel, Value rounding,
                MutableArrayRef<PanelPiece> pieces) {
  if (rounding) {
    Value scale = m.loadScalar(rounding, m.index(0));
    for (PanelPiece &piece : pieces) {
      int64_t width = cast<VectorType>(piece.values.getType()).getNumElements();
      piece.values = m.roundToCodes(piece.values, m.splat(scale, width));
    }
  }
  int64_t columns = cast<MemRefType>(out.getType()).getDimSize(1);
  int64_t wholePanels = columns / panelWidth, left = columns % panelWidth;
  auto store = [&](int64_t limit) {
    Value base = m.muli(panel, panelWidth);
    for (const PanelPiece &piece : pieces) {
      int64_t width = cast<VectorType>(piece.values.getType()).getNumElements();
      int64_t count = std::min(width, limit - piece.first);
      if (count <= 0)
        continue;
      Value values = piece.values;
      if (count != width)
        values = vector::ExtractStridedSliceOp::create(
            m.b, values, ArrayRef<int64_t>{0}, ArrayRef<int64_t>{count}, ArrayRef<int64_t>{1});
      vector::StoreOp::create(m.b, values, out, ValueRange{piece.row, m.addi(base, piece.first)});
    }
  };
  if (left == 0)
    return store(panelWidth);
  if (wholePanels == 0)
    return store(left);
  branch(
      m, m.compare(arith::CmpIPredicate::ult, panel, m.index(wholePanels)),
      [&] { store(panelWidth); }, [&] { store(left); });
}

void prefetchStream(VectorMath &m, Value bytes, Value offset, int64_t length) {
  // Two pages ahead, to the second cache, every other line: enough to carry hardware prefetchers
  // over page borders (they fetch neighbours themselves), too little to get in their way. More
  // hints, or hints to the first cache, cost up to 40 % on some machines (docs/performance.md).
  constexpr int64_t stride = 128, ahead = 8192;
  constexpr unsigned secondCache = 2;
  for (int64_t i = 0; i < length; i += stride)
    memref::PrefetchOp::create(m.b, bytes, ValueRange{m.addi(offset, i + ahead)},
                               /*isWrite=*/false, secondCache, /*isDataCache=*/true);
}

Value flatten(VectorMath &m, Value memref) {
  int64_t rank = cast<MemRefType>(memref.getType()).getRank();
  if (rank == 1)
    return memref;
  return memref::CollapseShapeOp::create(
      m.b, memref, SmallVector<ReassociationIndices>{llvm::to_vector(llvm::seq<int64_t>(rank))});
}

Value loadHalf(VectorMath &m, Value memref, Value index, int64_t lanes) {
  Value half = m.loadAs(VectorType::get(lanes, m.b.getF16Type()), memref, index);
  return arith::ExtFOp::create(m.b, m.f32s(lanes), half);
}

Value loadBrain(VectorMath &m, Value memref, Value index, int64_t lanes) {
  // bf16 is the upper half of an f32; conversions of the type itself are not vector code
  // everywhere.
  Value bits = m.loadAs(VectorType::get(lanes, m.b.getIntegerType(16)), memref, index);
  Value wide = arith::ExtUIOp::create(m.b, m.i32s(lanes), bits);
  return m.bitcast(m.shiftLeft(wide, 16), m.f32s(lanes));
}

} // namespace gcompile::kernel
