#include "compiler/Export/Export.h"

#include "llvm/ADT/STLExtras.h"

#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/parallel_for.h>
#include <oneapi/tbb/task_arena.h>

#include <mutex>
#include <tuple>

using namespace llvm;

namespace gcompile {

Expected<std::vector<ExportedTensor>> exportedTensors(const ImportedModel &model,
                                                      const Plan &plan) {
  if (!model.checkpoint || !model.tensors)
    return createStringError("'" + model.name +
                             "' is known by its shapes alone; an export needs the weights: give "
                             "the checkpoint to --model");
  std::vector<ExportedTensor> tensors;
  for (TensorSpec &spec : expectedTextTensors(model.config)) {
    const TensorInfo *source = model.tensors->find(spec.role, spec.layer);
    if (!source)
      return createStringError("tensor '" + spec.name +
                               "' is wanted by the model, but the checkpoint has none");
    auto found = plan.tensorFormats.find(spec.name);
    std::optional<WeightFormat> planned;
    if (found != plan.tensorFormats.end())
      planned = found->second;
    else if (isMatrixRole(spec.role))
      return createStringError("the plan says nothing of tensor '" + spec.name +
                               "': it is for another model ('" + plan.model + "')");
    tensors.push_back({std::move(spec), source, planned});
  }
  return tensors;
}

void ExportSummary::add(const ExportedFormat &tensor) {
  auto line = find_if(formats, [&](const ExportedFormat &other) {
    return std::tie(other.planned, other.written) == std::tie(tensor.planned, tensor.written);
  });
  if (line == formats.end()) {
    formats.push_back(tensor);
    return;
  }
  line->tensors += tensor.tensors;
  line->kept += tensor.kept;
  line->values += tensor.values;
  line->bytes += tensor.bytes;
}

void ExportSummary::finish() {
  llvm::sort(formats, [](const ExportedFormat &a, const ExportedFormat &b) {
    return a.bytes != b.bytes ? a.bytes > b.bytes
                              : std::tie(a.planned, a.written) < std::tie(b.planned, b.written);
  });
}

Error runExportTasks(size_t count, uint64_t totalBytes, const ExportOptions &options,
                     function_ref<Expected<uint64_t>(size_t)> run) {
  std::mutex mutex;
  size_t firstFailed = count;
  Error failure = Error::success();
  uint64_t done = 0;
  int jobs = options.jobs ? int(options.jobs) : tbb::this_task_arena::max_concurrency();
  tbb::global_control control(tbb::global_control::max_allowed_parallelism, size_t(jobs));
  tbb::task_arena arena(jobs);
  arena.execute([&] {
    tbb::parallel_for(size_t(0), count, [&](size_t i) {
      {
        std::lock_guard lock(mutex);
        if (i > firstFailed)
          return;
      }
      Expected<uint64_t> bytes = run(i);
      std::lock_guard lock(mutex);
      if (!bytes) {
        Error error = bytes.takeError();
        if (i < firstFailed) {
          std::swap(failure, error);
          firstFailed = i;
        }
        consumeError(std::move(error));
        return;
      }
      done += *bytes;
      if (options.progress)
        options.progress(done, totalBytes);
    });
  });
  return failure;
}

} // namespace gcompile
