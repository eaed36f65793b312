// Loops that the matrix kernels share: tiles of activation rows, of all rows or of those that chose
// an expert, over a panel of 64 output rows, and stores that stop at the last output. Which rows
// share a tile never changes a result.
#pragma once

#include "passes/Conversion/KernelToLoops/Emitters.h"
#include "passes/Conversion/KernelToLoops/VectorMath.h"

namespace gcompile::kernel {

// Calls `body` with the rows of one tile after the other until all `rows` of at most `capacity` are
// covered. Tiles have `tile` rows; what is left is a tile of one, of half, or of `tile` rows whose
// surplus rows repeat the last one (computed again to the same bits), so that code stays small.
void forEachRowTile(VectorMath &m, mlir::Value rows, int64_t capacity, int64_t tile,
                    llvm::function_ref<void(llvm::ArrayRef<mlir::Value>)> body);

// body(index, carried) for index in [0, count), `unroll` at a time: the body is called with the
// first index of each step and how many there are (the rest comes last).
llvm::SmallVector<mlir::Value> forEachUnrolled(
    VectorMath &m, int64_t count, int64_t unroll, llvm::ArrayRef<mlir::Value> initial,
    llvm::function_ref<llvm::SmallVector<mlir::Value>(mlir::Value, int64_t, mlir::ValueRange)>
        body);

// A row of a tile: where its activations lie, and where its outputs go.
struct TileRow {
  mlir::Value in, out;
};
// Some rows times one panel of one matrix, whose first byte is at `matrix` (null: at 0).
struct ProductTile {
  mlir::Value panel, matrix;
  llvm::ArrayRef<TileRow> rows;
};
// What the loops of a product over tasks need to know of it.
struct ProductShape {
  mlir::ValueRange groups; // members, starts, chosen; empty: all rows times one matrix
  mlir::Value rows;        // active ones, of the latter
  int64_t inputs, outputs; // capacities in rows
  int64_t columns;         // of the outputs
  int64_t groupRows;       // most rows of a group
  int64_t matrixBytes;     // from one matrix to the next
};
template <typename Product>
ProductShape productShape(Product op, mlir::Value activations, int64_t depth) {
  auto out = mlir::cast<mlir::MemRefType>(op.getOuts().getType());
  int64_t columns = out.getDimSize(1);
  return {op.getGroups(),
          op.getRows(),
          mlir::cast<mlir::MemRefType>(activations.getType()).getDimSize(0),
          out.getDimSize(0),
          columns,
          int64_t(op.getGroupRows()),
          op.getStride() ? int64_t(op.getStride())
                         : stackedStride(*parseWeightFormat(op.getFormat()), columns, depth)};
}
// All tiles of the tasks [begin, end) of a product (docs/decisions/0001 and 0008).
void forEachProductTile(VectorMath &m, const ProductShape &shape, TaskRange tasks, int64_t tile,
                        llvm::function_ref<void(const ProductTile &)> body);

// A piece of one output row inside a panel: columns [first, first + lanes of the vector).
struct PanelPiece {
  mlir::Value row;
  int64_t first;
  mlir::Value values;
};
// Stores pieces of panel `panel` to `out` (M×N); columns from N on do not exist. `rounding` (null:
// none) is a scale in memory, to whose codes the values are rounded.
void storePanel(VectorMath &m, mlir::Value out, mlir::Value panel, mlir::Value rounding,
                llvm::MutableArrayRef<PanelPiece> pieces);

// Hints that a stream of weights, of which `length` bytes at `offset` are read now, goes on.
void prefetchStream(VectorMath &m, mlir::Value bytes, mlir::Value offset, int64_t length);

// A memref of any rank as one dimension.
mlir::Value flatten(VectorMath &m, mlir::Value memref);
// 16-bit floats of a memref of f16, or of i16 that holds bf16, as f32.
mlir::Value loadHalf(VectorMath &m, mlir::Value memref, mlir::Value index, int64_t lanes);
mlir::Value loadBrain(VectorMath &m, mlir::Value memref, mlir::Value index, int64_t lanes);

} // namespace gcompile::kernel
