// matmul_float with nf4 weights: within a group of 64 columns p = fma(x, table value, p) in order
// of k, then y = fma(scale, p, y), group after group; the same bits on every instruction set.
#include "passes/Conversion/KernelToLoops/MatmulTable.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "passes/Conversion/KernelToLoops/PanelLoops.h"
#include "passes/Conversion/KernelToLoops/TableLookup.h"

using namespace mlir;

namespace gcompile::kernel {
namespace {

constexpr int64_t panelWidth = 64, wideLanes = 16, unitsOfPanel = 2, fields = 2;
constexpr int64_t group = 64, quadBytes = panelWidth * 2, codeBytes = group / 4 * quadBytes,
                  groupBytes = codeBytes + 4 * panelWidth;

class TablePanel {
public:
  TablePanel(VectorMath &m, MatmulFloatOp op, TableLookup &table)
      : m(m), op(op), table(table), parts(wideLanes / table.partLanes),
        depth(cast<MemRefType>(op.getX().getType()).getDimSize(1)) {}

  // Outputs of the units (32 rows each) [from, to) of a tile's panel.
  void tile(const ProductTile &tile, int64_t from, int64_t to) {
    ArrayRef<TileRow> rows = tile.rows;
    Value base = m.muli(tile.panel, panelBytes(WeightFormat::NF4, depth));
    if (tile.matrix)
      base = m.addi(base, tile.matrix);
    Value scales = m.viewBytes(op.getWeights(), m.b.getF32Type());
    size_t size = rows.size() * (to - from) * fields * parts;
    Value zero = m.constant(m.f32s(table.partLanes), 0);
    auto addGroup = [&](Value number, int64_t count, ValueRange carried) {
      SmallVector<Value> next(carried);
      Value start = m.addi(base, m.muli(number, groupBytes));
      SmallVector<Value> sums = products(start, m.muli(number, group), count, rows, from, to, size);
      Value first = m.divi(m.addi(start, codeBytes), 4);
      size_t i = 0;
      for (size_t r = 0; r < rows.size(); ++r)
        forEachOutput(from, to, [&](int64_t output) {
          Value scale = m.loadAs(m.f32s(table.partLanes), scales, m.addi(first, output));
          next[i] = m.fma(scale, sums[i], next[i]);
          ++i;
        });
      return next;
    };
    SmallVector<Value> outputs =
        forEachUnrolled(m, depth / group, 1, SmallVector<Value>(size, zero),
                        [&](Value number, int64_t, ValueRange carried) {
                          return addGroup(number, group, carried);
                        });
    if (depth % group)
      outputs = addGroup(m.index(depth / group), depth % group, outputs);
    SmallVector<PanelPiece> pieces;
    size_t i = 0;
    for (TileRow row : rows)
      forEachOutput(from, to,
                    [&](int64_t output) { pieces.push_back({row.out, output, outputs[i++]}); });
    storePanel(m, op.getOuts(), tile.panel, op.getRounding(), pieces);
  }

private:
  void forEachOutput(int64_t from, int64_t to, llvm::function_ref<void(int64_t)> body) {
    for (int64_t unit = from; unit < to; ++unit)
      for (int64_t field = 0; field < fields; ++field)
        for (int64_t part = 0; part < parts; ++part)
          body((unit * fields + field) * wideLanes + part * table.partLanes);
  }

  // Σ x · table over `count` columns from `column` on, whose codes begin at byte `start`.
  SmallVector<Value> products(Value start, Value column, int64_t count, ArrayRef<TileRow> rows,
                              int64_t from, int64_t to, size_t size) {
    SmallVector<Value> sums(size, m.constant(m.f32s(table.partLanes), 0));
    constexpr int64_t unroll = 2;
    sums = forEachUnrolled(
        m, count / 4, unroll, sums, [&](Value quad, int64_t quads, ValueRange carried) {
          SmallVector<Value> next(carried);
          Value bytes = m.addi(start, m.muli(quad, quadBytes));
          prefetchStream(m, op.getWeights(), bytes, quads * quadBytes);
          for (int64_t i = 0; i < quads; ++i)
            addQuad(m.addi(bytes, i * quadBytes), m.addi(column, m.muli(m.addi(quad, i), 4)), 4,
                    rows, from, to, next);
          return next;
        });
    if (count % 4)
      addQuad(m.addi(start, count / 4 * quadBytes), m.addi(column, count / 4 * 4), count % 4, rows,
              from, to, sums);
    return sums;
  }

  void addQuad(Value bytes, Value column, int64_t present, ArrayRef<TileRow> rows, int64_t from,
               int64_t to, MutableArrayRef<Value> sums) {
    VectorType partType = VectorType::get(4 * table.partLanes, m.b.getI8Type());
    int64_t perRow = (to - from) * fields * parts;
    SmallVector<Value> x;
    for (TileRow row : rows)
      for (int64_t k = 0; k < present; ++k)
        x.push_back(m.splat(m.loadScalar(op.getX(), {row.in, m.addi(column, k)}), table.partLanes));
    for (int64_t unit = from; unit < to; ++unit)
      for (int64_t part = 0; part < parts; ++part) {
        int64_t offset = (unit * parts + part) * 4 * table.partLanes;
        Value codes = m.loadAs(partType, op.getWeights(), m.addi(bytes, offset));
        for (int64_t field = 0; field < fields; ++field) {
          SmallVector<Value> values = table.values(codes, field);
          for (size_t r = 0; r < rows.size(); ++r) {
            Value &sum = sums[r * perRow + ((unit - from) * fields + field) * parts + part];
            for (int64_t k = 0; k < present; ++k)
              sum = m.fma(x[r * present + k], values[k], sum);
          }
        }
      }
  }

  VectorMath &m;
  MatmulFloatOp op;
  TableLookup &table;
  const int64_t parts, depth;
};

} // namespace

LogicalResult emitTableProduct(VectorMath &m, MatmulFloatOp op, TaskRange tasks,
                               const TargetInfo &target) {
  auto triple = op->getParentOfType<ModuleOp>()->getAttrOfType<TargetAttr>(targetAttrName);
  // Several rows crash under qemu-hexagon; the cause was not found.
  if (triple.getTriple().starts_with("hexagon"))
    return op.emitOpError("has nf4 weights, which products on Hexagon do not take yet");
  std::unique_ptr<TableLookup> table = makeTableLookup(m, target, triple.getTriple());
  TablePanel panels(m, op, *table);
  bool isWide = target.wideRegisters() >= 32;
  int64_t rowTile = isWide ? 6 : 2, units = isWide ? unitsOfPanel : 1;
  int64_t depth = cast<MemRefType>(op.getX().getType()).getDimSize(1);
  forEachProductTile(m, productShape(op, op.getX(), depth), tasks, rowTile,
                     [&](const ProductTile &tile) {
                       int64_t width = tile.rows.size() == 1 ? unitsOfPanel : units;
                       for (int64_t from = 0; from < unitsOfPanel; from += width)
                         panels.tile(tile, from, from + width);
                     });
  return success();
}

} // namespace gcompile::kernel
