// Tasks are listed first (a few numbers each), then run by a pipeline whose tokens bound the
// memory. Reading, quantizing and writing of one task stay on one thread, while its rows are in its
// cache. Pieces to hash are tasks among them, in step with the rows, and the files are told what
// will be read next, so that a disk works while rows are quantized.
#include "compiler/Quantize/PackWeights.h"

#include "ir/Format/Stack.h"

#include "llvm/ADT/DenseSet.h"
#include "llvm/ADT/Twine.h"

#include <oneapi/tbb/enumerable_thread_specific.h>
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/parallel_pipeline.h>
#include <oneapi/tbb/task_arena.h>

#include <algorithm>
#include <cstring>
#include <mutex>

using namespace llvm;

namespace gcompile {
namespace {

// Float bytes of a task; large enough to make its overhead nothing, small enough for a cache.
constexpr int64_t taskFloatBytes = int64_t(1) << 20;

// How far ahead of the tasks files are told what will be read.
constexpr uint64_t announcedBytes = uint64_t(32) << 20;

Error errorf(const Twine &message) { return createStringError(inconvertibleErrorCode(), message); }

// A matrix item whose tensor has three dimensions is a stack: `rows` are then those of one matrix.
struct ItemShape {
  int64_t rows = 0, columns = 0, matrices = 1;
};

struct Task {
  uint32_t item;
  int64_t matrix;             // of a stack
  int64_t firstRow, rowCount; // of the stacked rows, or of the matrix
};

// A task that packs, or one that hashes a piece of what is packed next.
struct Step {
  bool isHash;
  size_t index; // of Packer::tasks or Packer::pieces
};

// What one thread needs for a task, kept between tasks.
struct Scratch {
  std::vector<float> rows;
  GridRows grid;
  std::vector<uint8_t> bytes;
  std::vector<float> scales;
  std::vector<int32_t> corrections;
};

int64_t rowsOf(const PackSource &source) {
  return source.rowCount >= 0 ? source.rowCount : source.tensor->rows() - source.firstRow;
}

std::string label(const PackItem &item) {
  return "'" +
         (item.sources.empty() || !item.sources[0].tensor ? std::string("?")
                                                          : item.sources[0].tensor->name) +
         "'";
}

Expected<ItemShape> shapeOf(const PackItem &item) {
  if (item.sources.empty())
    return errorf("internal: an item to pack has no source");
  ItemShape shape;
  bool isStack = item.kind == PackKind::Matrix && item.sources[0].tensor &&
                 item.sources[0].tensor->shape.size() == 3;
  for (const PackSource &source : item.sources) {
    if (!source.tensor)
      return errorf("internal: an item to pack has a source without a tensor");
    const TensorInfo &tensor = *source.tensor;
    int64_t rows = rowsOf(source);
    if (source.firstRow < 0 || rows <= 0 || source.firstRow > tensor.rows() ||
        rows > tensor.rows() - source.firstRow)
      return errorf("tensor '" + tensor.name + "' has " + Twine(tensor.rows()) + " rows; rows " +
                    Twine(source.firstRow) + " to " + Twine(source.firstRow + rows) +
                    " were asked for");
    if (tensor.columns() <= 0)
      return errorf("tensor '" + tensor.name + "' is empty");
    if (shape.rows && tensor.columns() != shape.columns)
      return errorf("tensor '" + tensor.name + "' has " + Twine(tensor.columns()) +
                    " columns and cannot be stacked on " + label(item) + " with " +
                    Twine(shape.columns));
    shape.columns = tensor.columns();
    shape.rows += rows;
  }
  switch (item.kind) {
  case PackKind::Matrix: {
    if (!isStack)
      break;
    const TensorInfo &tensor = *item.sources[0].tensor;
    if (item.sources.size() != 1 || shape.rows != tensor.rows())
      return errorf("tensor " + label(item) + " is a stack of " + Twine(tensor.rows()) +
                    " matrices, of which " + Twine(shape.rows) + " were asked for");
    shape = {tensor.shape[1], tensor.shape[2], tensor.shape[0]};
    break;
  }
  case PackKind::Vector:
    if (item.format != WeightFormat::F32)
      return errorf("tensor " + label(item) + " is stored as a vector, which is always f32, not " +
                    std::string(name(item.format)));
    break;
  case PackKind::RowTable:
    if (!isRowTableFormat(item.format))
      return errorf("tensor " + label(item) + " is a table read by row, which cannot be " +
                    std::string(name(item.format)) + "; choose f32, bf16, w8, w4 or w2");
    if (item.slices <= 0 || shape.columns % item.slices != 0)
      return errorf("tensor " + label(item) + " has " + Twine(shape.columns) + " columns, which " +
                    Twine(item.slices) + " slices do not divide");
    break;
  }
  return shape;
}

// Whether the checkpoint holds an item on the grid of its format. Several sources are rounded anew:
// no program joins tensors of quantized checkpoints.
bool isOnGrid(const Checkpoint &checkpoint, const PackItem &item) {
  return item.kind != PackKind::Vector && item.sources.size() == 1 &&
         checkpoint.nativeFormat(*item.sources[0].tensor) == item.format;
}

uint64_t bytesOf(const PackItem &item, const ItemShape &shape) {
  switch (item.kind) {
  case PackKind::Matrix:
    return stackedBytes(item.format, shape.matrices, shape.rows, shape.columns);
  case PackKind::Vector:
    return 4 * shape.rows * shape.columns;
  case PackKind::RowTable:
    return shape.rows * rowTableRowBytes(item.format, shape.columns / item.slices, item.slices);
  }
  return 0;
}

class Packer {
public:
  Packer(const Checkpoint &checkpoint, ArrayRef<PackItem> items, PackSink sink,
         const PackOptions &options)
      : checkpoint(checkpoint), items(items), sink(sink), options(options) {}

  Expected<std::vector<PackError>> run();

private:
  Error listTasks();
  int64_t listPieces(const PackItem &item);
  void announce(size_t step);
  Error hash(const HashPiece &piece);
  void runAll();
  void runStep(size_t number);
  Error pack(const Task &task, PackError &error);
  Error readRows(const PackItem &item, const Task &task, int64_t columns, float *out) const;
  Error readGrid(const PackItem &item, const Task &task, int64_t columns, GridRows &grid) const;
  Error packMatrixTask(const PackItem &item, const ItemShape &shape, const Task &task,
                       Scratch &scratch, PackError &error);
  Error packTableTask(const PackItem &item, const ItemShape &shape, const Task &task,
                      Scratch &scratch, PackError &error);
  uint64_t floatBytes(const Task &task) const {
    return 4 * static_cast<uint64_t>(task.rowCount * shapes[task.item].columns);
  }

  const Checkpoint &checkpoint;
  ArrayRef<PackItem> items;
  PackSink sink;
  const PackOptions &options;

  std::vector<ItemShape> shapes;
  std::vector<bool> keepsGrid; // by item: its bytes come from the checkpoint's own codes
  std::vector<Task> tasks;
  std::vector<PackError> taskErrors;
  std::vector<HashPiece> pieces;
  DenseSet<const TensorInfo *> listedTensors; // whose pieces are in `pieces`
  std::vector<Step> steps;
  size_t announcedSteps = 0;
  uint64_t bytesAhead = 0; // announced and not reached
  uint64_t totalBytes = 0, largestTaskBytes = 0;

  tbb::enumerable_thread_specific<Scratch> scratches;
  std::atomic<size_t> firstFailed{SIZE_MAX}; // steps after it need not run
  std::mutex failureMutex, progressMutex;
  Error failure = Error::success();
  uint64_t doneBytes = 0;
};

Error Packer::listTasks() {
  for (uint32_t i = 0; i < items.size(); ++i) {
    const PackItem &item = items[i];
    Expected<ItemShape> shape = shapeOf(item);
    if (!shape)
      return shape.takeError();
    shapes.push_back(*shape);
    keepsGrid.push_back(isOnGrid(checkpoint, item));
    int64_t unit = item.kind == PackKind::Matrix ? panelRows : 1;
    int64_t units = std::max<int64_t>(1, taskFloatBytes / (4 * unit * shape->columns));
    // Checkpoints hand out matrices of a stack whole.
    int64_t step = shape->matrices > 1 ? shape->rows : unit * units;
    int64_t stepsOfMatrix = (shape->rows + step - 1) / step,
            count = shape->matrices * stepsOfMatrix;
    size_t firstPiece = pieces.size();
    int64_t pieceCount = listPieces(item), hashed = 0;
    for (int64_t index = 0; index < count; ++index) {
      // The pieces that begin in the rows of this task.
      for (; hashed * count < (index + 1) * pieceCount; ++hashed)
        steps.push_back({true, firstPiece + size_t(hashed)});
      int64_t first = index % stepsOfMatrix * step;
      Task task{i, index / stepsOfMatrix, first, std::min(step, shape->rows - first)};
      totalBytes += floatBytes(task);
      // Floats, the codes of a panel, and packed bytes, which are never more than the floats except
      // for padding.
      largestTaskBytes = std::max<uint64_t>(largestTaskBytes, 3 * floatBytes(task));
      steps.push_back({false, tasks.size()});
      tasks.push_back(task);
    }
  }
  taskErrors.resize(tasks.size());
  return Error::success();
}

// Appends the pieces of an item's tensors that no item before had; how many.
int64_t Packer::listPieces(const PackItem &item) {
  size_t before = pieces.size();
  if (options.hashes)
    for (const PackSource &source : item.sources)
      if (listedTensors.insert(source.tensor).second)
        checkpoint.listHashPieces(*source.tensor, pieces);
  return int64_t(pieces.size() - before);
}

// Called in order, by one thread at a time.
void Packer::announce(size_t step) {
  auto pieceOf = [&](size_t number) {
    return steps[number].isHash ? &pieces[steps[number].index] : nullptr;
  };
  for (; announcedSteps < steps.size() && bytesAhead < announcedBytes; ++announcedSteps)
    if (const HashPiece *piece = pieceOf(announcedSteps)) {
      piece->checkpoint->willRead(*piece->tensor, piece->offset, piece->bytes);
      bytesAhead += piece->bytes;
    }
  if (const HashPiece *piece = pieceOf(step))
    bytesAhead -= piece->bytes;
}

Error Packer::hash(const HashPiece &piece) {
  Expected<PieceDigest> digest = digestOf(piece);
  if (!digest)
    return digest.takeError();
  options.hashes->put(piece, *digest);
  return Error::success();
}

Error Packer::readRows(const PackItem &item, const Task &task, int64_t columns, float *out) const {
  const TensorInfo &tensor = *item.sources[0].tensor;
  if (item.kind == PackKind::Matrix && tensor.shape.size() == 3)
    return checkpoint.readRowsAsFloat(
        tensor, task.matrix, 1, MutableArrayRef(out, static_cast<size_t>(task.rowCount * columns)));
  int64_t sourceFirst = 0, at = task.firstRow, end = task.firstRow + task.rowCount;
  for (const PackSource &source : item.sources) {
    int64_t sourceEnd = sourceFirst + rowsOf(source);
    int64_t count = std::min(end, sourceEnd) - at;
    if (count > 0) {
      if (Error error = checkpoint.readRowsAsFloat(
              *source.tensor, source.firstRow + at - sourceFirst, count,
              MutableArrayRef(out, static_cast<size_t>(count * columns))))
        return error;
      out += count * columns;
      at += count;
    }
    sourceFirst = sourceEnd;
  }
  return Error::success();
}

Error Packer::readGrid(const PackItem &item, const Task &task, int64_t columns,
                       GridRows &grid) const {
  const PackSource &source = item.sources[0];
  bool isStack = item.kind == PackKind::Matrix && source.tensor->shape.size() == 3;
  int64_t first = isStack ? task.matrix : source.firstRow + task.firstRow;
  if (Error error =
          checkpoint.readRowsOnGrid(*source.tensor, first, isStack ? 1 : task.rowCount, grid))
    return error;
  grid.rows = task.rowCount;
  grid.columns = columns;
  std::string wrong = gridError(grid);
  return wrong.empty() ? Error::success() : errorf("tensor '" + source.tensor->name + "' " + wrong);
}

Error Packer::packMatrixTask(const PackItem &item, const ItemShape &shape, const Task &task,
                             Scratch &scratch, PackError &error) {
  int64_t k = shape.columns, bytes = panelBytes(item.format, k);
  int64_t panels = paddedRows(task.rowCount) / panelRows, firstPanel = task.firstRow / panelRows;
  uint64_t stride =
      item.matrixStride ? item.matrixStride : uint64_t(stackedStride(item.format, shape.rows, k));
  uint64_t start = item.offset + uint64_t(task.matrix) * stride;
  scratch.bytes.resize(panels * bytes);
  scratch.scales.resize(panels * panelRows);
  scratch.corrections.resize(panels * panelRows);
  for (int64_t panel = 0; panel < panels; ++panel) {
    int64_t first = panel * panelRows, count = std::min(panelRows, task.rowCount - first);
    std::span<uint8_t> out = std::span(scratch.bytes).subspan(panel * bytes, bytes);
    float *scales = scratch.scales.data() + first;
    int32_t *corrections = scratch.corrections.data() + first;
    if (keepsGrid[task.item])
      packPanelFromGrid(scratch.grid, first, count, out, scales, corrections);
    else
      error += packPanel(item.format, count, k, scratch.rows.data() + first * k, out, scales,
                         corrections);
  }
  if (Error failed = sink(item.section, start + firstPanel * bytes, scratch.bytes))
    return failed;
  const WeightFormatInfo &facts = info(item.format);
  if (!facts.isInteger || facts.group != 0)
    return Error::success();
  auto writeColumn = [&](uint64_t offset, const void *values) {
    return sink(item.section, start + offset + 4 * task.firstRow,
                ArrayRef(static_cast<const uint8_t *>(values), 4 * panels * panelRows));
  };
  if (Error failed = writeColumn(scalesOffset(item.format, shape.rows, k), scratch.scales.data()))
    return failed;
  if (item.format != WeightFormat::W8)
    return Error::success();
  return writeColumn(correctionOffset(item.format, shape.rows, k), scratch.corrections.data());
}

Error Packer::packTableTask(const PackItem &item, const ItemShape &shape, const Task &task,
                            Scratch &scratch, PackError &error) {
  int64_t columns = shape.columns / item.slices;
  int64_t rowBytes = rowTableRowBytes(item.format, columns, item.slices);
  scratch.bytes.resize(task.rowCount * rowBytes);
  if (keepsGrid[task.item])
    for (int64_t row = 0; row < task.rowCount; ++row)
      encodeTableRowFromGrid(scratch.grid, row, item.slices,
                             std::span(scratch.bytes).subspan(row * rowBytes, rowBytes));
  else
    error += encodeTableRows(item.format, task.rowCount, columns, item.slices, scratch.rows.data(),
                             scratch.bytes);
  return sink(item.section, item.offset + task.firstRow * rowBytes, scratch.bytes);
}

Error Packer::pack(const Task &task, PackError &error) {
  const PackItem &item = items[task.item];
  const ItemShape &shape = shapes[task.item];
  Scratch &scratch = scratches.local();
  if (keepsGrid[task.item]) {
    if (Error failed = readGrid(item, task, shape.columns, scratch.grid))
      return failed;
  } else {
    scratch.rows.resize(task.rowCount * shape.columns);
    if (Error failed = readRows(item, task, shape.columns, scratch.rows.data()))
      return failed;
  }
  switch (item.kind) {
  case PackKind::Matrix:
    return packMatrixTask(item, shape, task, scratch, error);
  case PackKind::RowTable:
    return packTableTask(item, shape, task, scratch, error);
  case PackKind::Vector:
    break;
  }
  error += measureRow(WeightFormat::F32, task.rowCount * shape.columns, scratch.rows.data());
  return sink(item.section, item.offset + 4 * task.firstRow * shape.columns,
              ArrayRef(reinterpret_cast<const uint8_t *>(scratch.rows.data()), floatBytes(task)));
}

void Packer::runStep(size_t number) {
  if (number > firstFailed.load(std::memory_order_relaxed))
    return;
  auto [isHash, index] = steps[number];
  Error error = options.cancel && options.cancel->load(std::memory_order_relaxed)
                    ? errorf("interrupted while weights were packed")
                : isHash ? hash(pieces[index])
                         : pack(tasks[index], taskErrors[index]);
  if (error) {
    std::lock_guard lock(failureMutex);
    if (number < firstFailed) {
      consumeError(std::move(failure));
      failure = std::move(error);
      firstFailed = number;
    } else {
      consumeError(std::move(error));
    }
    return;
  }
  if (isHash)
    return;
  std::lock_guard lock(progressMutex);
  doneBytes += floatBytes(tasks[index]);
  if (options.progress)
    options.progress(doneBytes, totalBytes);
}

void Packer::runAll() {
  unsigned jobs = options.jobs ? options.jobs : tbb::this_task_arena::max_concurrency();
  uint64_t fitting = options.memoryBytes / std::max<uint64_t>(1, largestTaskBytes);
  size_t tokens = std::clamp<uint64_t>(fitting, 1, jobs);
  size_t next = 0;
  auto issue = [&](tbb::flow_control &control) -> size_t {
    // Every step before a failed one has been issued, so the first failure in order is found.
    if (next == steps.size() || firstFailed.load(std::memory_order_relaxed) != SIZE_MAX) {
      control.stop();
      return 0;
    }
    announce(next);
    return next++;
  };
  // More threads than processors are allowed when asked for; an arena of its own keeps to `jobs`.
  tbb::global_control control(tbb::global_control::max_allowed_parallelism, jobs);
  tbb::task_arena arena(static_cast<int>(jobs));
  arena.execute([&] {
    tbb::parallel_pipeline(
        tokens, tbb::make_filter<void, size_t>(tbb::filter_mode::serial_in_order, issue) &
                    tbb::make_filter<size_t, void>(tbb::filter_mode::parallel,
                                                   [&](size_t number) { runStep(number); }));
  });
}

Expected<std::vector<PackError>> Packer::run() {
  if (Error error = listTasks()) {
    consumeError(std::move(failure));
    return std::move(error);
  }
  runAll();
  if (failure)
    return std::move(failure);
  std::vector<PackError> results(items.size());
  for (size_t i = 0; i < tasks.size(); ++i)
    results[tasks[i].item] += taskErrors[i];
  return results;
}

} // namespace

Expected<uint64_t> packedItemBytes(const PackItem &item) {
  Expected<ItemShape> shape = shapeOf(item);
  if (!shape)
    return shape.takeError();
  return bytesOf(item, *shape);
}

Expected<std::vector<PackError>> packWeights(const Checkpoint &checkpoint, ArrayRef<PackItem> items,
                                             PackSink sink, const PackOptions &options) {
  return Packer(checkpoint, items, sink, options).run();
}

} // namespace gcompile
