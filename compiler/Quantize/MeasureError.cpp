// One task per tensor; sums run over its rows in order.
#include "compiler/Quantize/MeasureError.h"
#include "compiler/Quantize/RoundTrip.h"
#include "ir/Format/Pack.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/Twine.h"

#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/parallel_for.h>
#include <oneapi/tbb/task_arena.h>

#include <algorithm>
#include <mutex>

using namespace llvm;

namespace gcompile {
namespace {

PackError weightedError(WeightFormat format, ArrayRef<float> rows, ArrayRef<double> moments,
                        std::vector<float> &decoded) {
  size_t columns = moments.size();
  decoded.resize(rows.size());
  roundTripRows(format, int64_t(rows.size() / columns), int64_t(columns), rows.data(),
                decoded.data());
  PackError error;
  for (size_t i = 0; i < rows.size(); ++i) {
    double x = rows[i], difference = x - double(decoded[i]), moment = moments[i % columns];
    error.squaredError += moment * difference * difference;
    error.squaredSum += moment * x * x;
  }
  return error;
}

bool isStack(const TensorInfo &tensor) { return tensor.shape.size() == 3; }

// Of all its formats, over the rows that it is given.
class ErrorSums {
public:
  ErrorSums(const MeasureItem &item, int64_t slices) : item(item), slices(slices) {}

  // `count` rows of `columns`, weighted unless there are no moments.
  void add(ArrayRef<float> rows, int64_t count, ArrayRef<double> moments) {
    int64_t columns = int64_t(rows.size()) / count, width = columns / slices;
    for (size_t format = 0; format < item.formats.size(); ++format) {
      if (!moments.empty())
        sums[format] += weightedError(item.formats[format], rows, moments, decoded);
      else
        for (int64_t slice = 0; slice < slices; ++slice)
          sums[format] +=
              measureRows(item.formats[format], count, width, columns, rows.data() + slice * width);
    }
  }
  std::vector<double> relative() const {
    std::vector<double> result;
    for (const PackError &sum : sums)
      result.push_back(sum.relative());
    return result;
  }

private:
  const MeasureItem &item;
  int64_t slices;
  std::vector<PackError> sums = std::vector<PackError>(item.formats.size());
  std::vector<float> decoded;
};

Error interrupted() {
  return createStringError(inconvertibleErrorCode(), "interrupted while formats were measured");
}
bool isCancelled(const MeasureOptions &options) {
  return options.cancel && options.cancel->load(std::memory_order_relaxed);
}

Expected<std::vector<double>> measureMatrix(const Checkpoint &checkpoint, const MeasureItem &item,
                                            const MeasureOptions &options) {
  const TensorInfo &tensor = *item.tensor;
  int64_t columns = tensor.columns();
  ArrayRef<double> moments;
  if (item.inputMoments)
    moments = *item.inputMoments;
  ErrorSums sums(item, item.slices);
  constexpr int64_t rowsAtOnce = 16; // of channel-wise formats they cost as much as one
  std::vector<float> rows(rowsAtOnce * columns);
  std::vector<int64_t> sample = sampledRows(tensor.rows(), options.sampleRows);
  for (size_t first = 0; first < sample.size(); first += rowsAtOnce) {
    int64_t count = std::min<int64_t>(rowsAtOnce, int64_t(sample.size() - first));
    if (isCancelled(options))
      return interrupted();
    for (int64_t i = 0; i < count; ++i)
      if (Error error = checkpoint.readRowsAsFloat(
              tensor, sample[first + i], 1, MutableArrayRef(rows.data() + i * columns, columns)))
        return std::move(error);
    sums.add(ArrayRef(rows).take_front(count * columns), count, moments);
  }
  return sums.relative();
}

Expected<std::vector<double>> measureStack(const Checkpoint &checkpoint, const MeasureItem &item,
                                           const MeasureOptions &options) {
  const TensorInfo &tensor = *item.tensor;
  int64_t columns = tensor.shape[2];
  StackSample sample = sampledStack(tensor, options.sampleRows, item.inputMoments);
  // Of no use where nothing ran through any of its matrices.
  bool isWeighted = item.inputMoments && any_of(*item.inputMoments, [](double m) { return m > 0; });
  ErrorSums sums(item, 1);
  std::vector<float> matrix(tensor.columns()), rows;
  for (int64_t index : sample.matrices) {
    if (isCancelled(options))
      return interrupted();
    if (Error error = checkpoint.readRowsAsFloat(tensor, index, 1, matrix))
      return std::move(error);
    rows.clear();
    for (int64_t row : sample.rows)
      append_range(rows, ArrayRef(matrix).slice(row * columns, columns));
    ArrayRef<double> moments;
    if (isWeighted)
      moments = ArrayRef(*item.inputMoments).slice(index * columns, columns);
    sums.add(rows, int64_t(sample.rows.size()), moments);
  }
  return sums.relative();
}

Expected<std::vector<double>> measure(const Checkpoint &checkpoint, const MeasureItem &item,
                                      const MeasureOptions &options) {
  const TensorInfo &tensor = *item.tensor;
  bool stack = isStack(tensor);
  if (item.slices <= 0 || tensor.columns() % item.slices != 0)
    return createStringError(inconvertibleErrorCode(),
                             "tensor '" + tensor.name + "' has " + Twine(tensor.columns()) +
                                 " columns, which " + Twine(item.slices) + " slices do not divide");
  int64_t inputs = stack ? tensor.shape[0] * tensor.shape[2] : tensor.columns();
  if (item.inputMoments && (item.slices != 1 || int64_t(item.inputMoments->size()) != inputs))
    return createStringError(inconvertibleErrorCode(),
                             "tensor '" + tensor.name + "' has " + Twine(inputs) +
                                 " columns, its inputs were observed for " +
                                 Twine(item.inputMoments->size()));
  return stack ? measureStack(checkpoint, item, options) : measureMatrix(checkpoint, item, options);
}

} // namespace

std::vector<int64_t> sampledRows(int64_t rows, int64_t sampleRows) {
  int64_t count = std::min(rows, std::max<int64_t>(1, sampleRows));
  std::vector<int64_t> sample;
  // The middle of each of `count` equal parts.
  for (int64_t i = 0; i < count; ++i)
    sample.push_back((2 * i + 1) * rows / (2 * count));
  return sample;
}

StackSample sampledStack(const TensorInfo &stack, int64_t sampleRows,
                         const std::vector<double> *inputMoments) {
  // Checkpoints hand out matrices of a stack whole.
  constexpr int64_t rowsOfMatrix = 4;
  std::vector<int64_t> used;
  int64_t columns = stack.shape[2];
  for (int64_t matrix = 0; matrix < stack.shape[0]; ++matrix)
    if (!inputMoments || any_of(ArrayRef(*inputMoments).slice(matrix * columns, columns),
                                [](double moment) { return moment > 0; }))
      used.push_back(matrix);
  if (used.empty())
    return sampledStack(stack, sampleRows);
  StackSample sample;
  for (int64_t index : sampledRows(int64_t(used.size()), sampleRows / rowsOfMatrix))
    sample.matrices.push_back(used[index]);
  sample.rows = sampledRows(stack.shape[1], rowsOfMatrix);
  return sample;
}

Expected<std::vector<std::vector<double>>> measureErrors(const Checkpoint &checkpoint,
                                                         ArrayRef<MeasureItem> items,
                                                         const MeasureOptions &options) {
  std::vector<std::vector<double>> results(items.size());
  std::mutex mutex;
  size_t firstFailed = items.size();
  Error failure = Error::success();
  unsigned jobs = options.jobs ? options.jobs : tbb::this_task_arena::max_concurrency();
  tbb::global_control control(tbb::global_control::max_allowed_parallelism, jobs);
  tbb::task_arena arena(static_cast<int>(jobs));
  arena.execute([&] {
    tbb::parallel_for(size_t(0), items.size(), [&](size_t i) {
      Expected<std::vector<double>> result = measure(checkpoint, items[i], options);
      if (result) {
        results[i] = std::move(*result);
        return;
      }
      // Of several failures, the first in order is told.
      std::lock_guard lock(mutex);
      if (i < firstFailed) {
        consumeError(std::move(failure));
        failure = result.takeError();
        firstFailed = i;
      } else {
        consumeError(result.takeError());
      }
    });
  });
  if (failure)
    return std::move(failure);
  return results;
}

} // namespace gcompile
