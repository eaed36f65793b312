// One task per tensor; sums run over its rows in order.
#include "compiler/Quantize/MeasureError.h"
#include "compiler/Quantize/RoundTrip.h"
#include "ir/Format/Pack.h"

#include "llvm/ADT/Twine.h"

#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/parallel_for.h>
#include <oneapi/tbb/task_arena.h>

#include <algorithm>
#include <mutex>

using namespace llvm;

namespace gcompile {
namespace {

PackError weightedError(WeightFormat format, ArrayRef<float> row, ArrayRef<double> moments,
                        std::vector<float> &decoded) {
  decoded.resize(row.size());
  roundTripRows(format, 1, int64_t(row.size()), row.data(), decoded.data());
  PackError error;
  for (size_t i = 0; i < row.size(); ++i) {
    double x = row[i], difference = x - double(decoded[i]);
    error.squaredError += moments[i] * difference * difference;
    error.squaredSum += moments[i] * x * x;
  }
  return error;
}

Expected<std::vector<double>> measure(const Checkpoint &checkpoint, const MeasureItem &item,
                                      const MeasureOptions &options) {
  const TensorInfo &tensor = *item.tensor;
  int64_t columns = tensor.columns();
  // Checkpoints hand out matrices of a stack (experts) whole: a few rows of some of them.
  constexpr int64_t rowsOfMatrix = 4;
  bool isStack = tensor.shape.size() == 3;
  int64_t pieces = isStack ? tensor.shape[1] : item.slices;
  int64_t samples = isStack ? options.sampleRows / rowsOfMatrix : options.sampleRows;
  if (item.slices <= 0 || columns % item.slices != 0)
    return createStringError(inconvertibleErrorCode(),
                             "tensor '" + tensor.name + "' has " + Twine(columns) +
                                 " columns, which " + Twine(item.slices) + " slices do not divide");
  if (item.inputMoments && (pieces != 1 || int64_t(item.inputMoments->size()) != columns))
    return createStringError(inconvertibleErrorCode(),
                             "tensor '" + tensor.name + "' has " + Twine(columns) +
                                 " columns, its inputs were observed for " +
                                 Twine(item.inputMoments->size()));
  int64_t sliceColumns = columns / pieces;
  std::vector<int64_t> slices = sampledRows(pieces, isStack ? rowsOfMatrix : pieces);
  std::vector<PackError> sums(item.formats.size());
  constexpr int64_t rowsAtOnce = 16; // of channel-wise formats they cost as much as one
  std::vector<float> rows(rowsAtOnce * columns), decoded;
  std::vector<int64_t> sample = sampledRows(tensor.rows(), samples);
  for (size_t first = 0; first < sample.size(); first += rowsAtOnce) {
    int64_t count = std::min<int64_t>(rowsAtOnce, int64_t(sample.size() - first));
    if (options.cancel && options.cancel->load(std::memory_order_relaxed))
      return createStringError(inconvertibleErrorCode(), "interrupted while formats were measured");
    for (int64_t i = 0; i < count; ++i)
      if (Error error = checkpoint.readRowsAsFloat(
              tensor, sample[first + i], 1, MutableArrayRef(rows.data() + i * columns, columns)))
        return std::move(error);
    for (size_t format = 0; format < item.formats.size(); ++format) {
      if (item.inputMoments) {
        for (int64_t i = 0; i < count; ++i)
          sums[format] +=
              weightedError(item.formats[format], ArrayRef(rows.data() + i * columns, columns),
                            *item.inputMoments, decoded);
        continue;
      }
      for (int64_t slice : slices)
        sums[format] += measureRows(item.formats[format], count, sliceColumns, columns,
                                    rows.data() + slice * sliceColumns);
    }
  }
  std::vector<double> result;
  for (const PackError &sum : sums)
    result.push_back(sum.relative());
  return result;
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
